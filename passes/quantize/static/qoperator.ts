import { int } from '../../../src/ir/attr.ts';
import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Graph, Model, Node, NodeInit, Value } from '../../../src/ir/graph.ts';
import { movers } from '../../../src/ir/movers.ts';
import { toNumbers } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { intRanges } from '../../../src/kernels/quantize.ts';
import { provenanceKey } from '../../../src/rewrite/edit.ts';
import { useMicrosoft } from '../contrib.ts';
import { hasBoundsAsAttributes, moverProblem } from './unit.ts';

/** Codes with scale and zero point. */
interface Coded {
  readonly codes: Value;
  readonly scale: Value;
  readonly zero: Value;
}

/** The operator on integers: its inputs; without `y` it gives out floats, or undefined where it cannot. */
interface Form {
  readonly op: string;
  readonly domain: '' | 'com.microsoft';
  readonly inputs: readonly (Value | undefined)[];
  /** Attributes to leave out, and to add. */
  readonly without?: readonly string[];
  readonly attrs?: NodeInit['attrs'];
}

type Convert = (node: Node, y: Coded | undefined, model: Model) => Form | undefined;

const microsoft = 'com.microsoft';
const triple = ({ codes, scale, zero }: Coded): Value[] => [codes, scale, zero];

const conversions: Readonly<Record<string, Convert>> = {
  Conv(node, y) {
    const [x, w] = [coded(node.input(0)), codedWeights(node.input(1), 0)];
    const bias = x && w && codesOfBias(node.input(2), x, w, 1);
    if (!x || !w || !y || (node.input(2) && !bias)) return undefined;
    return { op: 'QLinearConv', domain: '', inputs: [...triple(x), ...triple(w), y.scale, y.zero, bias] };
  },
  MatMul(node, y) {
    const [a, b] = [coded(node.input(0)), codedWeights(node.input(1), -1)];
    if (!a || !b) return undefined;
    if (y) return { op: 'QLinearMatMul', domain: '', inputs: [...triple(a), ...triple(b), y.scale, y.zero] };
    const inputs = [a.codes, b.codes, a.scale, b.scale, a.zero, b.zero];
    return { op: 'MatMulIntegerToFloat', domain: microsoft, inputs };
  },
  Gemm(node, y) {
    const [a, b] = [coded(node.input(0)), codedWeights(node.input(1), node.int('transB', 0) !== 0 ? 0 : 1)];
    const bias = a && b && codesOfBias(node.input(2), a, b, node.float('alpha', 1));
    if (!a || !b || (node.input(2) && !bias) || node.float('beta', 1) !== 1) return undefined;
    const inputs = [...triple(a), ...triple(b), bias, ...(y ? [y.scale, y.zero] : [])];
    return { op: 'QGemm', domain: microsoft, inputs, without: ['beta'] };
  },
  Add: binary('QLinearAdd'),
  Mul: binary('QLinearMul'),
  Sigmoid: unary('QLinearSigmoid'),
  LeakyRelu: unary('QLinearLeakyRelu'),
  GlobalAveragePool: unary('QLinearGlobalAveragePool'),
  AveragePool: unary('QLinearAveragePool'),
  Softmax: (node, y, model) => {
    const form = unary('QLinearSoftmax')(node, y, model);
    // Before opset 13 the axis that is not named is another one.
    const axis = node.int('axis', model.opset < 13 ? 1 : -1);
    return form && { ...form, without: ['axis'], attrs: { axis: int(axis), opset: int(model.opset) } };
  },
  Concat(node, y) {
    const parts = node.inputs.map(coded);
    if (!y || !parts.every((part) => part !== undefined)) return undefined;
    return { op: 'QLinearConcat', domain: microsoft, inputs: [y.scale, y.zero, ...parts.flatMap(triple)] };
  },
  Where(node, y) {
    const [a, b] = [coded(node.input(1)), coded(node.input(2))];
    if (!a || !b || !y) return undefined;
    return {
      op: 'QLinearWhere',
      domain: microsoft,
      inputs: [node.input(0), ...triple(a), ...triple(b), y.scale, y.zero],
    };
  },
};

function binary(op: string): Convert {
  return (node, y) => {
    const [a, b] = [coded(node.input(0)), coded(node.input(1))];
    return a && b && y && { op, domain: microsoft, inputs: [...triple(a), ...triple(b), y.scale, y.zero] };
  };
}

function unary(op: string): Convert {
  return (node, y) => {
    const x = coded(node.input(0));
    return x && y && { op, domain: microsoft, inputs: [...triple(x), y.scale, y.zero] };
  };
}

/**
 * Puts operators on integers in the place of float ones between DequantizeLinear and QuantizeLinear: what ONNX Runtime would make of
 * them itself, for runtimes that do not. Nodes for which there is none stay as they are. @returns how many were converted
 */
export function toQOperators(model: Model, graph: Graph): number {
  let count = 0;
  for (const node of graph.nodes) {
    if (node.domain !== '') continue;
    if (movers.has(node.op) ? takesBytes(node, model) && move(node) : convert(node, model)) count++;
  }
  return count;
}

/** The first opset in which these take bytes; all others always did. */
const bytesFrom: Readonly<Record<string, number>> = { MaxPool: 12, ReduceMax: 12, ReduceMin: 12 };

const takesBytes = (node: Node, model: Model): boolean =>
  model.opset >= (bytesFrom[node.op] ?? 0) && moverProblem(node) === undefined;

function convert(node: Node, model: Model): boolean {
  const make = Object.hasOwn(conversions, node.op) ? conversions[node.op] : undefined;
  if (!make || node.outputs.length !== 1) return false;
  const quantizer = quantizerBehind(node.output());
  const y = quantizer && target(quantizer);
  const form = make(node, y, model);
  if (!form || (y && !hasOneType(node, y))) return false;
  if (form.domain !== '') useMicrosoft(node);
  const attrs = new Map(node.attrs);
  for (const name of form.without ?? []) attrs.delete(name);
  replace(
    node,
    quantizer,
    {
      domain: form.domain,
      name: node.name,
      inputs: form.inputs.slice(0, form.inputs.findLastIndex((value) => value !== undefined) + 1),
      outputs: [''],
      attrs: { ...Object.fromEntries(attrs), ...form.attrs },
      types: [quantizer ? quantizer.output().type : node.output().type],
    },
    form.op,
  );
  return true;
}

const withWeights: ReadonlySet<string> = new Set(['Conv', 'MatMul', 'Gemm']);

/** Whether activations come and go with one sign: kernels take no others together. */
function hasOneType(node: Node, y: Coded): boolean {
  const inputs = withWeights.has(node.op) ? node.inputs.slice(0, 1) : node.inputs;
  return inputs.every((input) => (dequantized(input)?.zero.dtype ?? y.zero.dtype) === y.zero.dtype);
}

function replace(node: Node, quantizer: Node | undefined, init: NodeInit, op: string): void {
  const { graph } = node;
  const made = graph.insertBefore(node, op, init);
  made.meta = new Map(node.meta).set(provenanceKey, `quantize-static(${node.name || node.output().name})`);
  graph.replaceUses((quantizer ?? node).output(), made.output());
  graph.removeWithUnused(quantizer ?? node);
}

/** A rearrangement moves the codes, when scale and zero point are the same before and behind it. */
function move(node: Node): boolean {
  const x = coded(node.input(0));
  const quantizers = node.outputs.map((output) => output && quantizerBehind(output));
  if (!x || quantizers.length === 0) return false;
  const same = quantizers.every((quantizer) => {
    const y = quantizer && target(quantizer);
    return y && haveOneScale(x, y);
  });
  if (!same || x.codes.dtype === undefined) return false;
  const { graph } = node;
  const made = graph.insertBefore(node, node.op, {
    name: node.name,
    inputs: [x.codes, ...node.inputs.slice(1)],
    outputs: node.outputs.map(() => ''),
    attrs: Object.fromEntries(node.attrs),
    types: node.outputs.map((output) => tensorType(x.codes.dtype ?? 'uint8', output?.shape)),
  });
  made.meta = node.meta;
  for (const [index, quantizer] of quantizers.entries()) {
    if (!quantizer) continue;
    graph.replaceUses(quantizer.output(), made.output(index));
    graph.removeWithUnused(quantizer);
  }
  return true;
}

function haveOneScale(x: Coded, y: Coded): boolean {
  const isSame = (a: Value, b: Value): boolean =>
    a === b || (constantScalar(a) !== undefined && constantScalar(a) === constantScalar(b));
  return x.zero.dtype === y.zero.dtype && isSame(x.scale, y.scale) && isSame(x.zero, y.zero);
}

/** The QuantizeLinear that alone reads the value, or reads what a Relu or Clip makes of it that the codes cannot exceed anyway. */
function quantizerBehind(value: Value): Node | undefined {
  const [next] = value.consumers;
  if (!next || value.useCount !== 1 || value.isGraphOutput || next.list !== value.producer?.list) return undefined;
  if (next.op === 'QuantizeLinear') return next;
  if (next.op !== 'Relu' && next.op !== 'Clip') return undefined;
  const quantizer = quantizerBehind(next.output());
  return quantizer && isWithin(next, quantizer) ? quantizer : undefined;
}

/** Whether every number that the codes stand for passes the Relu or Clip as it is. */
function isWithin(clamp: Node, quantizer: Node): boolean {
  const scale = constantScalar(quantizer.input(1));
  const zero = constantScalar(quantizer.input(2));
  const dtype = quantizer.input(2)?.dtype;
  if (hasBoundsAsAttributes(clamp)) return false;
  if (scale === undefined || zero === undefined || (dtype !== 'uint8' && dtype !== 'int8')) return false;
  const { min, max } = intRanges[dtype].asymmetric;
  const bound = (index: number, none: number): number =>
    clamp.input(index) ? (constantScalar(clamp.input(index)) ?? Number.NaN) : none;
  const low = clamp.op === 'Relu' ? 0 : bound(1, Number.NEGATIVE_INFINITY);
  const high = clamp.op === 'Relu' ? Number.POSITIVE_INFINITY : bound(2, Number.POSITIVE_INFINITY);
  return Math.fround((min - zero) * scale) >= low && Math.fround((max - zero) * scale) <= high;
}

/** What comes out of a DequantizeLinear of 8 bits with one scale. */
function coded(value: Value | undefined): Coded | undefined {
  const found = dequantized(value);
  return found && isOne(found.scale) && isOne(found.zero) ? found : undefined;
}

/** The same with one scale, or with one for each index of `axis`, the output channels: kernels take scales for nothing else. */
function codedWeights(value: Value | undefined, axis: number): Coded | undefined {
  const found = dequantized(value);
  const node = value?.producer;
  if (!found || !node || node.int('block_size', 0) !== 0) return undefined;
  if (isOne(found.scale) && isOne(found.zero)) return found;
  const shape = constantOf(found.codes)?.shape;
  if (!shape || found.scale.shape?.length !== 1) return undefined;
  const own = node.int('axis', 1);
  return (own + shape.length) % shape.length === (axis + shape.length) % shape.length ? found : undefined;
}

/** Codes, scale and zero point that float32 numbers are made of. */
function dequantized(value: Value | undefined): Coded | undefined {
  const node = value?.producer;
  if (node?.op !== 'DequantizeLinear') return undefined;
  const [codes, scale, zero] = node.inputs;
  if (!codes || !scale || !zero || (zero.dtype !== 'uint8' && zero.dtype !== 'int8')) return undefined;
  return scale.dtype === 'float32' ? { codes, scale, zero } : undefined;
}

const isOne = ({ shape }: Value): boolean => shape?.every((dim) => dim === 1) ?? false;

/** Where the result of a QuantizeLinear goes: its own scale and zero point. */
function target(quantizer: Node): Coded | undefined {
  const [, scale, zero] = quantizer.inputs;
  if (!scale || !zero || (zero.dtype !== 'uint8' && zero.dtype !== 'int8')) return undefined;
  return scale.dtype === 'float32' && isOne(scale) && isOne(zero)
    ? { codes: quantizer.output(), scale, zero }
    : undefined;
}

/** Steps of a bias may differ from those of the products by what computing the scale in float32 or float64 makes of it. */
const sameStep = 1e-5;

/** Codes of a bias, where they are what the kernel takes them for: whole numbers of steps alpha · scale of x · scale of w. */
function codesOfBias(value: Value | undefined, x: Coded, w: Coded, alpha: number): Value | undefined {
  const node = value?.producer;
  if (node?.op !== 'DequantizeLinear') return undefined;
  const [codes, scale, zero] = node.inputs;
  const tensor = constantOf(codes);
  if (tensor?.dtype !== 'int32' || (toNumbers(tensor)?.length ?? 0) === 0) return undefined;
  if (zero && numbersOf(zero)?.every((code) => code === 0) !== true) return undefined;
  const [steps, xScale, wScales] = [numbersOf(scale), constantScalar(x.scale), numbersOf(w.scale)];
  if (!steps || xScale === undefined || !wScales) return undefined;
  const count = Math.max(steps.length, wScales.length);
  for (let c = 0; c < count; c++) {
    const wanted = alpha * xScale * (wScales[wScales.length === 1 ? 0 : c] ?? Number.NaN);
    const step = steps[steps.length === 1 ? 0 : c] ?? Number.NaN;
    if (!(Math.abs(step - wanted) <= sameStep * wanted)) return undefined;
  }
  return codes;
}

function numbersOf(value: Value | undefined): readonly number[] | undefined {
  const tensor = constantOf(value);
  return tensor && toNumbers(tensor)?.map(Number);
}
