import { constantOf } from '../../../src/ir/constant.ts';
import { convWindow } from '../../../src/ir/conv-window.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { transpose } from '../../../src/kernels/quantize.ts';
import type { GramRequest, PatchRequest } from '../../../src/pass/pass.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { floatWeights, readLinear } from '../../quantize/linear.ts';

/** A layer that reads fewer channels than it did, with its weights as rows [n, k] and its bias [n]. */
export interface Reader {
  readonly node: Node;
  readonly input: GramRequest | PatchRequest;
  readonly n: number;
  readonly k: number;
  readonly groups: number;
  readonly rows: Float32Array;
  readonly bias: Float64Array;
  /** What the fitted numbers are for: the layer's output, its bias included. */
  readonly output: Value;
  /** Without one the mean cannot be met. */
  readonly hasBias: boolean;
  readonly weight: Value;
  readonly biasValue: Value | undefined;
  /** Weights and bias in the form that the model has them. */
  readonly stored: (rows: Float32Array) => Tensor;
  readonly storedBias: (bias: Float64Array) => Tensor;
}

/**
 * @param change gives the layer a bias of its own where it has none, or one that others read too; else it is only looked at
 * @returns a sentence where the layer cannot be fitted.
 */
export function readReader(node: Node, change: boolean): Reader | string {
  if (node.is('Conv')) return readConv(node, change);
  if (node.is('MatMul') || node.is('Gemm')) return readProduct(node, change);
  return `${node} is no convolution or matrix product: it is not fitted anew`;
}

/** @param read by the layer: the weights, or what a Transpose makes of them */
const shared = (value: Value, read: Value | undefined): string | undefined =>
  value.useCount > 1 || (read !== undefined && read.useCount > 1)
    ? `its weights "${value.name}" are shared with another layer: they are not fitted anew`
    : undefined;

function asStored(tensor: Tensor, data: Float32Array): Tensor {
  return tensor.dtype === 'float16'
    ? tensorFrom('float16', tensor.shape, f32ToF16(data))
    : tensorFrom('float32', tensor.shape, data);
}

function readConv(node: Node, change: boolean): Reader | string {
  const [value, weight] = [node.input(0), node.input(1)];
  const tensor = constantOf(weight);
  const rows = tensor && floatWeights(tensor);
  if (!value || !weight || !tensor || !rows) return 'its weights are no float constant: they are not fitted anew';
  const why = shared(weight, node.input(1));
  if (why) return why;
  const [n = 0, perGroup = 0, ...kernel] = tensor.shape;
  const groups = node.int('group', 1);
  const k = perGroup * elementCount(kernel);
  const bias = ownBias(node, 2, n, tensor, change);
  if (typeof bias === 'string') return bias;
  return {
    node,
    input: { value, window: convWindow(node, kernel), groups, k },
    n,
    k,
    groups,
    rows: Float32Array.from(rows),
    bias: bias ? numbersOf(bias) : new Float64Array(n),
    output: node.output(),
    hasBias: true,
    weight,
    biasValue: bias,
    stored: (fitted) => asStored(tensor, fitted),
    storedBias: (fitted) => asStored(constantOf(bias) as Tensor, Float32Array.from(fitted)),
  };
}

function readProduct(node: Node, change: boolean): Reader | string {
  const linear = readLinear(node);
  if (typeof linear === 'string') return linear;
  const { a, transA, weight, tensor, batch, k, n, alpha, beta } = linear;
  const data = floatWeights(tensor);
  if (!data || transA || batch.length > 0)
    return 'its weights are no float matrix on the right: they are not fitted anew';
  const why = shared(weight, node.input(1));
  if (why) return why;
  const scaled = (numbers: Float32Array, factor: number): Float32Array =>
    factor === 1 ? numbers : numbers.map((x) => x * factor);
  const rows = scaled(linear.rows === 'n' ? Float32Array.from(data) : transpose(data, k, n), alpha);
  const at = node.is('Gemm')
    ? { node, value: ownBias(node, 2, n, tensor, change), factor: beta }
    : behind(node, n, change);
  if (typeof at?.value === 'string') return at.value;
  const bias = at?.value;
  const factor = at?.factor ?? 1;
  if (factor === 0 || alpha === 0) return 'a factor of its product is zero: it is not fitted anew';
  return {
    node,
    input: { value: a, k },
    n,
    k,
    groups: 1,
    rows,
    bias: bias ? numbersOf(bias).map((x) => x * factor) : new Float64Array(n),
    output: (at?.node ?? node).output(),
    hasBias: bias !== undefined,
    weight,
    biasValue: bias,
    stored: (fitted) => asStored(tensor, scaled(linear.rows === 'n' ? fitted : transpose(fitted, n, k), 1 / alpha)),
    storedBias: (fitted) =>
      asStored(
        constantOf(bias) as Tensor,
        Float32Array.from(fitted, (x) => x / factor),
      ),
  };
}

function numbersOf(value: Value): Float64Array {
  const tensor = constantOf(value);
  return Float64Array.from((tensor && floatWeights(tensor)) ?? []);
}

/** The bias at an input, as a constant that only this layer reads; zeros where it had none. */
function ownBias(node: Node, index: number, n: number, like: Tensor, change: boolean): Value | string | undefined {
  const old = node.input(index);
  if (!old && !change) return undefined;
  if (!old) {
    const zeros = tensorFrom('float32', [n], new Float32Array(n));
    const tensor = like.dtype === 'float16' ? tensorFrom('float16', [n], new Uint16Array(n)) : zeros;
    const made = addConstant(node, `${node.input(1)?.name ?? 'layer'}_bias`, tensor);
    node.setInput(index, made);
    return made;
  }
  const tensor = constantOf(old);
  if (!tensor || elementCount(tensor.shape) !== n || tensor.shape.at(-1) !== n || !floatWeights(tensor))
    return `its bias "${old.name}" is no float constant of ${n} numbers: it is not fitted anew`;
  if (old.useCount === 1 || !change) return old;
  const own = addConstant(node, old.name, tensor);
  node.setInput(index, own);
  return own;
}

/** The Add of a constant row behind a MatMul. */
function behind(node: Node, n: number, change: boolean): { node: Node; value: Value; factor: number } | undefined {
  const output = node.output();
  const [add] = output.consumers;
  if (!add?.is('Add') || output.useCount !== 1 || output.isGraphOutput) return undefined;
  const index = add.input(0) === output ? 1 : 0;
  const value = add.input(index);
  const tensor = constantOf(value);
  if (!value || !tensor || elementCount(tensor.shape) !== n || tensor.shape.at(-1) !== n) return undefined;
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'float16') return undefined;
  if (value.useCount === 1 || !change) return { node: add, value, factor: 1 };
  const own = addConstant(add, value.name, typed(tensor));
  add.setInput(index, own);
  return { node: add, value: own, factor: 1 };
}

const typed = (tensor: Tensor): Tensor =>
  tensor.dtype === 'float32' ? tensorFrom('float32', tensor.shape, typedArray(tensor, 'float32').slice()) : tensor;
