import { bug } from '../../../src/errors.ts';
import { int } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Model, Node, NodeInit, Value } from '../../../src/ir/graph.ts';
import { tensorFrom, tensorOf, typedArray } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { type Affine, affineParams, channelRanges, intRanges } from '../../../src/kernels/quantize.ts';
import { roundHalfEven } from '../../../src/kernels/round.ts';
import { addConstant, provenanceKey } from '../../../src/rewrite/edit.ts';
import { useMicrosoft } from '../contrib.ts';
import type { ActivationType } from './given.ts';
import type { Plan } from './plan.ts';
import { getsPairs, guardAxis } from './runtime-pairs.ts';
import type { Unit } from './unit.ts';
import type { WeightOptions, WeightStore } from './weight-store.ts';

export interface InsertOptions extends WeightOptions {
  readonly type: ActivationType;
  readonly symmetric: boolean;
  /** Biases stay as they are. */
  readonly floatBias: boolean;
  /** QuantizeLinear and DequantizeLinear may stand in ONNX Runtime's own domain. */
  readonly ownDomain: boolean;
  /** Highest u8 code of each input channel of a weighted unit, or one for all. */
  readonly largestCodes: (unit: Unit) => ArrayLike<number>;
  /** Told of units whose weights got wider scales than 8 bits ask for. */
  readonly onWidened: (unit: Unit, channels: number) => void;
}

/**
 * Puts QuantizeLinear and DequantizeLinear where the plan wants them, and weights and biases into integers.
 * @returns what is read now in the place of what units give out, by graphs inside, too
 */
export function insertQdq(
  model: Model,
  plan: Plan,
  params: ReadonlyMap<Value, Affine>,
  store: WeightStore,
  options: InsertOptions,
): ReadonlyMap<Value, Value> {
  const inserter = new Inserter(model, plan, params, store, options);
  const units = [...plan.units.values()];
  for (const unit of units) inserter.weights(unit);
  for (const unit of units) inserter.operands(unit);
  const replaced = new Map<Value, Value>();
  for (const [value, affine] of params) {
    if (plan.given.has(value)) continue;
    const result = inserter.activation(value, affine);
    if (plan.ownerOf(value)) replaced.set(value, result);
  }
  if (model.opset >= 13) for (const node of plan.guarded) inserter.guard(node);
  return replaced;
}

/**
 * QuantizeLinear takes 16 bits from opset 21 on, and in ONNX Runtime's own domain. Signed bytes are the other way round: on x64, ONNX Runtime 1.30
 * makes unsigned ones of them, and of the pairs that it has put behind a Reshape or Transpose with `output_dtype` (QDQPropagation, opset 21) it then
 * cannot load its own result. In its own domain there is no such attribute, but other
 * engines do not know it.
 */
function domainOf(model: Model, plan: Plan, { type, ownDomain }: InsertOptions): string {
  const foreign = type.endsWith('16')
    ? model.opset < 21
    : type === 'int8' && ownDomain && model.opset >= 21 && getsPairs(plan);
  if (!foreign) return '';
  if (plan.graph.firstNode) useMicrosoft(plan.graph.firstNode);
  return 'com.microsoft';
}

class Inserter {
  readonly #graph: Graph;
  readonly #plan: Plan;
  readonly #params: ReadonlyMap<Value, Affine>;
  readonly #type: ActivationType;
  readonly #weights: WeightStore;
  readonly #options: InsertOptions;
  readonly #operands = new Map<Value, Value>();
  readonly #irVersion: number;
  readonly #domain: string;

  constructor(
    model: Model,
    plan: Plan,
    params: ReadonlyMap<Value, Affine>,
    store: WeightStore,
    options: InsertOptions,
  ) {
    this.#graph = plan.graph;
    this.#plan = plan;
    this.#params = params;
    this.#type = options.type;
    this.#options = options;
    this.#weights = store;
    this.#domain = domainOf(model, plan, options);
    this.#irVersion = model.irVersion;
  }

  /** Weights and bias of a weighted unit. */
  weights(unit: Unit): void {
    const { node, weighted } = unit;
    if (!weighted) return;
    const before = node.inputs.slice(1);
    const inputScale = (this.#params.get(this.#activation(node)) ?? bug(`no scale for the input of ${node}`)).scale;
    const weight = this.#weights.get(node, weighted, inputScale, this.#options.largestCodes(unit));
    if (weight.widened > 0) this.#options.onWidened(unit, weight.widened);
    const { codes, scale, zeroPoint, scales } = weight;
    node.setInput(
      1,
      this.#dequantize(node, [codes, scale, zeroPoint], weight.axis, `${weighted.weight.name}_dequantized`),
    );
    const { biasAt, bias } = weighted;
    const made = (reader: Node): Value | undefined =>
      bias &&
      (this.#options.floatBias
        ? this.#floatBias(reader, bias, weighted.biasName, node.input(0)?.shape?.length ?? 2)
        : this.#bias(reader, bias, scales, inputScale, weighted.biasName));
    if (biasAt) {
      const { add, index } = biasAt;
      const value = this.#plan.units.has(add) ? undefined : made(add);
      if (value) {
        before.push(add.input(index));
        add.setInput(index, value);
      }
    } else if (bias || node.op === 'Gemm') node.setInput(2, made(node));
    for (const name of ['alpha', 'beta']) if (node.op === 'Gemm') node.removeAttr(name);
    for (const value of before) this.#release(value);
  }

  /** Constant operands (of an Add, a Concat …) keep a scale of their own. */
  operands(unit: Unit): void {
    for (const index of unit.inputs) {
      const value = unit.node.input(index);
      if (!value || !constantOf(value)) continue;
      const known = this.#operands.get(value);
      // A constant is ready before every reader, but its DequantizeLinear stands before the first.
      const dequantized = known ?? this.#operand(unit.node, value);
      this.#operands.set(value, dequantized);
      unit.node.setInput(index, dequantized);
      this.#release(value);
    }
  }

  /**
   * x → QuantizeLinear → DequantizeLinear. What a unit gives out is read behind them by everybody, for a second reader in float would
   * keep it from fusing; what comes from elsewhere stays as it is for readers that compute in float.
   */
  activation(value: Value, affine: Affine): Value {
    const graph = this.#graph;
    const { name } = value;
    const unit = this.#plan.ownerOf(value);
    const readers = value.uses.filter(({ node, index }) => this.#plan.units.get(node)?.inputs.includes(index));
    const anchor = value.producer?.list === graph ? value.producer.next : graph.firstNode;
    const place = (op: string, init: NodeInit): Node => {
      const from = { ...init, domain: this.#domain };
      const node = anchor ? graph.insertBefore(anchor, op, from) : graph.append(op, from);
      node.meta = new Map([[provenanceKey, `quantize-static(${name})`]]);
      return node;
    };
    const at = anchor ?? graph.lastNode ?? bug('a graph without nodes has nothing to quantize');
    const scale = addConstant(at, `${name}_scale`, tensorFrom('float32', [], Float32Array.of(affine.scale)));
    const zero = addConstant(at, `${name}_zero_point`, tensorOf(this.#type, [], [affine.zeroPoint]));
    const quantize = place('QuantizeLinear', {
      inputs: [value, scale, zero],
      outputs: [graph.freshName(`${name}_quantized`)],
      types: [tensorType(this.#type, value.shape)],
    });
    const dequantize = place('DequantizeLinear', {
      inputs: [quantize.output(), scale, zero],
      outputs: [graph.freshName(`${name}_dequantized`)],
      types: [tensorType('float32', value.shape)],
    });
    const result = dequantize.output();
    if (unit) {
      graph.replaceUses(value, result);
      quantize.setInput(0, value);
    } else {
      for (const { node, index } of readers) node.setInput(index, result);
    }
    return result;
  }

  /** Reads the integers in front of a node in float with a scale for each channel (or each of another axis), all the same: the runtime takes only one scale for its own. */
  guard(node: Node): void {
    const dequantize = node.input(0)?.producer;
    const shape = node.input(0)?.shape ?? [];
    const axis = guardAxis(shape);
    const channels = shape[axis ?? 0];
    if (dequantize?.op !== 'DequantizeLinear' || axis === undefined || typeof channels !== 'number') return;
    const [codes, scale, zeroPoint] = dequantize.inputs;
    const one = typedArray(constantOf(scale) ?? bug(`${dequantize} has no scale`), 'float32');
    const zero = typedArray(constantOf(zeroPoint) ?? bug(`${dequantize} has no zero point`), this.#type);
    const scales = new Float32Array(channels).fill(one[0] as number);
    const zeros = Array.from({ length: channels }, () => Number(zero[0]));
    const name = node.input(0)?.name ?? '';
    const result = this.#dequantize(
      node,
      [
        codes ?? bug(`${dequantize} has no input`),
        addConstant(node, `${name}_scales`, tensorFrom('float32', [channels], scales)),
        addConstant(node, `${name}_zero_points`, tensorOf(this.#type, [channels], zeros)),
      ],
      axis,
      `${name}_guarded`,
      this.#domain,
    );
    const before = node.input(0);
    node.setInput(0, result);
    this.#release(before);
  }

  /** The value at a unit's input 0: other units may already read it, so it has not been replaced yet. */
  #activation(node: Node): Value {
    return node.input(0) ?? bug(`${node} has no input`);
  }

  #operand(node: Node, value: Value): Value {
    const tensor = constantOf(value) ?? bug(`"${value.name}" is not constant`);
    const data = typedArray(tensor, 'float32');
    const view = { outer: 1, channels: 1, inner: data.length };
    const { low, high } = channelRanges(data, view);
    const range = intRanges[this.#type][this.#options.symmetric ? 'symmetric' : 'asymmetric'];
    const affine = affineParams(low[0] as number, high[0] as number, range, this.#options.symmetric);
    const scales = Float32Array.of(affine.scale);
    const codes = Array.from(data, (x) =>
      Math.max(range.min, Math.min(range.max, roundHalfEven(Math.fround(x / affine.scale)) + affine.zeroPoint)),
    );
    return this.#dequantize(
      node,
      [
        addConstant(node, `${value.name}_quantized`, tensorOf(this.#type, tensor.shape, codes)),
        addConstant(node, `${value.name}_scale`, tensorFrom('float32', [], scales)),
        addConstant(node, `${value.name}_zero_point`, tensorOf(this.#type, [], [affine.zeroPoint])),
      ],
      undefined,
      `${value.name}_dequantized`,
      this.#domain,
    );
  }

  /** int32 codes with exactly the scale of the products they are added to. */
  #bias(node: Node, bias: Float32Array, weightScales: Float32Array, inputScale: number, name: string): Value {
    const scales = weightScales.map((scale) => inputScale * scale);
    const isSingle = scales.length === 1;
    const codes = Int32Array.from(bias, (b, c) => roundHalfEven(b / (scales[isSingle ? 0 : c] as number)));
    const axis = isSingle && node.op === 'MatMul' ? undefined : isSingle ? undefined : 0;
    return this.#dequantize(
      node,
      [
        addConstant(node, `${name}_quantized`, tensorFrom('int32', [bias.length], codes)),
        addConstant(node, `${name}_scale`, tensorFrom('float32', isSingle ? [] : [scales.length], scales)),
      ],
      axis,
      `${name}_dequantized`,
    );
  }

  /** Times beta. Behind a MatMul of more than two axes it has as many, which keeps ONNX Runtime from making a Gemm between two Reshapes (MatMulAddFusion). */
  #floatBias(node: Node, bias: Float32Array, name: string, rank: number): Value {
    const shape = [...Array.from({ length: node.op === 'Add' && rank > 2 ? rank - 1 : 0 }, () => 1), bias.length];
    return addConstant(node, name, tensorFrom('float32', shape, bias));
  }

  #dequantize(node: Node, inputs: readonly Value[], axis: number | undefined, name: string, domain = ''): Value {
    const { graph } = node;
    const dequantize = graph.insertBefore(node, 'DequantizeLinear', {
      domain,
      inputs,
      outputs: [graph.freshName(name)],
      types: [tensorType('float32', inputs[0]?.shape)],
      attrs: axis === undefined ? {} : { axis: int(axis) },
    });
    dequantize.meta = new Map([[provenanceKey, `quantize-static(${node.name || node.output().name})`]]);
    return dequantize.output();
  }

  /** Takes out a constant that nothing reads any more. */
  #release(value: Value | undefined): void {
    if (!value || value.isUsed) return;
    if (value.producer) value.graph.removeWithUnused(value.producer);
    else if (value.initializer) {
      if (value.isGraphInput && this.#irVersion < 4) value.graph.removeInput(value);
      if (!value.isGraphInput) value.graph.removeInitializer(value);
    }
  }
}
