import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';

/**
 * Moves a factor for each input of linear layers from the activations to the weights: x·diag(1/s) · diag(s)·W = x·W. The
 * activations get theirs from what makes them, where that is a product with constants: the gain of a norm, a Mul, the
 * layer before. Else a Mul is put between.
 * @param value what the layers multiply: float32 [.., K]
 * @param layers the nodes that multiply it, on the right of which a constant [K, N] (or [N, K], `rows: 'n'`) stands alone
 * @param scales s [K], positive
 * @param mayAdd whether a Mul may be put between
 * @returns true where the factor went into what makes the activations, false where a Mul was added, undefined where neither
 *   was possible and nothing changed
 */
export function moveScale(
  model: Model,
  value: Value,
  layers: readonly { readonly node: Node; readonly rows: 'k' | 'n' }[],
  scales: Float32Array,
  mayAdd: boolean,
): boolean | undefined {
  const inverse = scales.map((s) => 1 / s);
  const readers = new Set(layers.map(({ node }) => node));
  const alone = !value.isGraphOutput && value.consumers.every((node) => readers.has(node));
  const absorbed = alone && canAbsorb(value, scales.length);
  if (!absorbed && !mayAdd) return undefined;
  for (const { node, rows } of layers) scaleWeights(node, 1, scales, rows === 'k' ? 'first' : 'last');
  if (absorbed) {
    absorb(value, inverse);
    return true;
  }
  const first = [...model.graph.nodes].find((node) => readers.has(node)) as Node;
  const factor = addConstant(first, `${value.name}_scale`, tensorFrom('float32', [inverse.length], inverse));
  const scaled = first.graph.insertBefore(first, 'Mul', { inputs: [value, factor], types: [value.type] });
  for (const node of readers) node.setInput(0, scaled.output());
  return false;
}

/** Whether the weights of a layer can be scaled: a float32 constant that nothing else reads. */
export function canScale(weights: Value | undefined): boolean {
  const tensor = constantOf(weights);
  return tensor?.dtype === 'float32' && tensor.shape.length === 2 && weights?.useCount === 1 && !weights.isGraphOutput;
}

/** Inputs that scale (and shift) what a normalization gives. */
const gains: Readonly<Record<string, readonly number[]>> = {
  LayerNormalization: [1, 2],
  RMSNormalization: [1],
  SimplifiedLayerNormalization: [1],
  'com.microsoft.SkipLayerNormalization': [2, 3],
  'com.microsoft.SkipSimplifiedLayerNormalization': [2],
};

/** Constants of `node` that all of `value`, its output, is proportional to; undefined when there are none. */
function proportional(value: Value, k: number): readonly number[] | undefined {
  const node = value.producer;
  if (!node || node.output() !== value) return undefined;
  const key = node.domain ? `${node.domain}.${node.op}` : node.op;
  const inputs = Object.hasOwn(gains, key) ? gains[key] : undefined;
  if (!inputs) return undefined;
  const own = inputs.filter((index) => node.input(index));
  return own.length > 0 && own.every((index) => isVector(node.input(index), k, false)) ? own : undefined;
}

/** A float32 constant of `k` elements along the last dimension, or `one` for all. */
function isVector(value: Value | undefined, k: number, one = true): boolean {
  const tensor = constantOf(value);
  if (tensor?.dtype !== 'float32') return false;
  const count = elementCount(tensor.shape);
  return (one && count === 1) || (count === k && tensor.shape.at(-1) === k);
}

const usedOnce = (value: Value | undefined): value is Value =>
  value !== undefined &&
  value.useCount === 1 &&
  !value.isGraphOutput &&
  value.producer?.graph === value.consumers[0]?.graph;

/** Which input of a product or sum takes the factor, and whether the other one must too. */
function route(
  value: Value,
  k: number,
): { readonly node: Node; readonly through: number; readonly constant: number } | undefined {
  const node = value.producer;
  if (!node || (!node.is('Mul') && !node.is('Add'))) return undefined;
  for (const constant of [1, 0]) {
    if (!isVector(node.input(constant), k)) continue;
    const through = 1 - constant;
    if (node.is('Mul')) return { node, through: -1, constant };
    const other = node.input(through);
    if (usedOnce(other) && canAbsorb(other, k)) return { node, through, constant };
  }
  if (!node.is('Mul')) return undefined;
  for (const through of [1, 0]) {
    const other = node.input(through);
    if (usedOnce(other) && canAbsorb(other, k)) return { node, through, constant: -1 };
  }
  return undefined;
}

function canAbsorb(value: Value, k: number): boolean {
  if (proportional(value, k) || route(value, k)) return true;
  const node = value.producer;
  if (!node || !(node.is('MatMul') || node.is('Gemm')) || !canScale(node.input(1))) return false;
  const [rows, columns] = constantOf(node.input(1))?.shape ?? [];
  if ((node.is('Gemm') && node.int('transB', 0) !== 0 ? rows : columns) !== k) return false;
  return node.is('MatMul') || node.input(2) === undefined || isVector(node.input(2), k);
}

/** Multiplies `value` by `factor`, in what makes it. */
function absorb(value: Value, factor: Float32Array): void {
  const node = value.producer as Node;
  const vectors = proportional(value, factor.length);
  if (vectors) {
    for (const index of vectors) scaleVector(node, index, factor);
    return;
  }
  const way = route(value, factor.length);
  if (way) {
    if (way.constant >= 0) scaleVector(node, way.constant, factor);
    if (way.through >= 0) absorb(node.input(way.through) as Value, factor);
    return;
  }
  const turned = node.is('Gemm') && node.int('transB', 0) !== 0;
  scaleWeights(node, 1, factor, turned ? 'first' : 'last');
  if (node.is('Gemm') && node.input(2)) scaleVector(node, 2, factor);
}

/** Replaces a constant input by itself times `factor` along the first or the last of two dimensions. */
function scaleWeights(node: Node, index: number, factor: Float32Array, along: 'first' | 'last'): void {
  const value = node.input(index) as Value;
  const tensor = constantOf(value) as Tensor;
  const [rows, columns] = tensor.shape as [number, number];
  const data = typedArray(tensor, 'float32').slice();
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const at = r * columns + c;
      data[at] = (data[at] as number) * (factor[along === 'first' ? r : c] as number);
    }
  replaceConstant(node, index, value, tensorFrom('float32', tensor.shape, data));
}

function scaleVector(node: Node, index: number, factor: Float32Array): void {
  const value = node.input(index) as Value;
  const tensor = constantOf(value) as Tensor;
  const data = typedArray(tensor, 'float32');
  const one = data.length === 1 && factor.length > 1;
  const scaled = factor.map((f, i) => f * (data[one ? 0 : i] as number));
  // As many leading ones as before: they give the result its rank.
  const shape = one ? [...tensor.shape.slice(0, -1), factor.length] : tensor.shape;
  replaceConstant(node, index, value, tensorFrom('float32', shape, scaled));
}

/** Other readers keep the constant as it is. */
function replaceConstant(node: Node, index: number, value: Value, tensor: Tensor): void {
  const { name } = value;
  const made = addConstant(node, `${name}_scaled`, tensor);
  node.setInput(index, made);
  releaseConstant(value);
}
