import { int } from '../../../src/ir/attr.ts';
import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Graph, Model, Node, NodeInit, Value } from '../../../src/ir/graph.ts';
import { movers } from '../../../src/ir/movers.ts';
import { toNumbers } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { intRanges } from '../../../src/kernels/quantize.ts';
import { provenanceKey } from '../../../src/rewrite/edit.ts';
import { useMicrosoft } from '../contrib.ts';
import { hasBoundsAsAttributes } from './unit.ts';

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
    const [x, w, bias] = [coded(node.input(0)), coded(node.input(1)), codesOfBias(node.input(2))];
    if (!x || !w || !y || (node.input(2) && !bias)) return undefined;
    return { op: 'QLinearConv', domain: '', inputs: [...triple(x), ...triple(w), y.scale, y.zero, bias] };
  },
  MatMul(node, y) {
    const [a, b] = [coded(node.input(0)), coded(node.input(1))];
    if (!a || !b) return undefined;
    if (y) return { op: 'QLinearMatMul', domain: '', inputs: [...triple(a), ...triple(b), y.scale, y.zero] };
    const inputs = [a.codes, b.codes, a.scale, b.scale, a.zero, b.zero];
    return { op: 'MatMulIntegerToFloat', domain: microsoft, inputs };
  },
  Gemm(node, y) {
    const [a, b, bias] = [coded(node.input(0)), coded(node.input(1)), codesOfBias(node.input(2))];
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
    return form && { ...form, without: ['axis'], attrs: { axis: int(node.int('axis', -1)), opset: int(model.opset) } };
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

const takesBytes = (node: Node, model: Model): boolean => model.opset >= (bytesFrom[node.op] ?? 0);

function convert(node: Node, model: Model): boolean {
  const make = Object.hasOwn(conversions, node.op) ? conversions[node.op] : undefined;
  if (!make || node.outputs.length !== 1) return false;
  const quantizer = quantizerBehind(node.output());
  const y = quantizer && target(quantizer);
  const form = make(node, y, model);
  if (!form) return false;
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
    return y && scalars(y) === scalars(x);
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

const scalars = ({ scale, zero }: Coded): string => `${constantScalar(scale)} ${constantScalar(zero)}`;

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

/** What comes out of a DequantizeLinear of 8 bits. */
function coded(value: Value | undefined): Coded | undefined {
  const node = value?.producer;
  if (node?.op !== 'DequantizeLinear') return undefined;
  const [codes, scale, zero] = node.inputs;
  if (!codes || !scale || !zero || (zero.dtype !== 'uint8' && zero.dtype !== 'int8')) return undefined;
  return { codes, scale, zero };
}

/** Where the result of a QuantizeLinear goes: its own scale and zero point. */
function target(quantizer: Node): Coded | undefined {
  const [, scale, zero] = quantizer.inputs;
  if (!scale || !zero || (zero.dtype !== 'uint8' && zero.dtype !== 'int8')) return undefined;
  return { codes: quantizer.output(), scale, zero };
}

function codesOfBias(value: Value | undefined): Value | undefined {
  const node = value?.producer;
  if (node?.op !== 'DequantizeLinear') return undefined;
  const codes = node.input(0);
  const tensor = constantOf(codes);
  return tensor?.dtype === 'int32' && (toNumbers(tensor)?.length ?? 0) > 0 ? codes : undefined;
}
