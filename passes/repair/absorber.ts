import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { elementCount, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { addConstant, provenanceKey } from '../../src/rewrite/edit.ts';
import { isKept } from '../../src/rewrite/keep.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';
import { readLayer, scaleLayer, storeLayer } from './layer.ts';

/** Norms whose gain (input 1) and shift (input 2) stand along the last axis. */
const norms: ReadonlyMap<string, readonly number[]> = new Map([
  ['LayerNormalization', [1, 2]],
  ['RMSNormalization', [1]],
  ['SimplifiedLayerNormalization', [1]],
  ['com.microsoft.SimplifiedLayerNormalization', [1]],
]);

/** Lets what makes `value` divide its last axis by the factors, when called. */
export type Absorber = (factors: Float64Array) => void;

/**
 * What could divide `value` channel by channel at no cost: the gain of a norm (fused, or the Mul and Add of a decomposed one), or the weights of
 * a layer, through Relu.
 * @param channels extent of the last axis
 * @param keep names of layers, or operators, that keep their weights
 * @returns a sentence where nothing can
 */
export function absorberOf(value: Value, channels: number, keep: readonly string[]): Absorber | string {
  const node = value.producer;
  if (!node) return `"${value.name}" is an input of the graph`;
  if (isKept(node, keep)) return `${node} makes it, which you asked to keep (--keep)`;
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const gains = norms.get(key);
  if (gains) return normAbsorber(node, gains, channels);
  if (node.domain !== '') return `${node} makes it`;
  if (node.op === 'Mul' || node.op === 'Add') {
    const index = [1, 0].find((at) => constantOf(node.input(at)));
    if (index === undefined) return `${node} makes it from two activations`;
    const vector = vectorOf(node.input(index), channels);
    if (typeof vector === 'string') return vector;
    const replace: Absorber = (factors) =>
      replaceConstant(
        node,
        index,
        vector.map((x, c) => x / (factors[c] as number)),
      );
    if (node.op === 'Mul')
      return (factors) => {
        replace(factors);
        markSmooth(node);
      };
    const other = node.input(1 - index);
    const before =
      other && soleReader(other) ? absorberOf(other, channels, keep) : `"${other?.name ?? ''}" is read elsewhere too`;
    if (typeof before === 'string') return before;
    return (factors) => {
      replace(factors);
      before(factors);
      // The shift of a decomposed norm; the bias of a layer becomes part of it.
      if (other?.producer?.op === 'Mul') markSmooth(node);
    };
  }
  if (node.op === 'Relu' || node.op === 'Identity') {
    const input = node.input(0);
    if (!input || !soleReader(input)) return `"${input?.name ?? ''}" is read elsewhere too`;
    return absorberOf(input, channels, keep);
  }
  if (node.op === 'MatMul' || node.op === 'Gemm') {
    const layer = readLayer(node);
    if (typeof layer === 'string') return `${node} makes it: ${layer}`;
    if (layer.outputs !== channels) return `${node} makes it`;
    return (factors) => {
      // Read anew: its input side may have been scaled meanwhile.
      const now = readLayer(node);
      if (typeof now === 'string') return;
      scaleLayer(now, (channel) => 1 / (factors[channel] as number));
      storeLayer(now);
    };
  }
  return `${node} makes it, which cannot take a factor per channel in`;
}

/** Says that a node carries factors: `quantize-static` leaves it in float, since rounding before it would undo them. */
export function markSmooth(node: Node): void {
  const from = node.meta?.get(provenanceKey) ?? node.outputs[0]?.name ?? node.op;
  node.meta = new Map(node.meta).set(provenanceKey, `smooth-quant(${from})`);
}

const soleReader = (value: Value): boolean => value.useCount === 1 && !value.isGraphOutput;

function normAbsorber(node: Node, gains: readonly number[], channels: number): Absorber | string {
  const axis = node.int('axis', -1);
  if (axis !== -1) return `${node} normalizes from axis ${axis} on`;
  if (node.outputs.slice(1).some((output) => output?.isUsed)) return `${node} gives its statistics too`;
  const vectors = gains.flatMap((index) =>
    node.input(index) ? [{ index, vector: vectorOf(node.input(index), channels) }] : [],
  );
  const bad = vectors.find(({ vector }) => typeof vector === 'string');
  if (bad) return bad.vector as string;
  return (factors) => {
    for (const { index, vector } of vectors)
      if (typeof vector !== 'string')
        replaceConstant(
          node,
          index,
          vector.map((x, c) => x / (factors[c] as number)),
        );
  };
}

/** A float32 constant as one number per channel of the last axis. */
function vectorOf(value: Value | undefined, channels: number): Float32Array | string {
  const tensor = constantOf(value);
  if (!value || tensor?.dtype !== 'float32') return `"${value?.name ?? ''}" is no float32 constant`;
  const data = typedArray(tensor, 'float32');
  const count = elementCount(tensor.shape);
  if (count !== 1 && (count !== channels || tensor.shape.at(-1) !== channels))
    return `"${value.name}" does not lie along the last axis`;
  if (!data.every(Number.isFinite)) return `"${value.name}" holds NaN or infinite numbers`;
  return Float32Array.from({ length: channels }, (_, c) => data[count === 1 ? 0 : c] as number);
}

function replaceConstant(node: Node, index: number, numbers: Float32Array): void {
  const old = node.input(index);
  // Ones in front may be what the result has its rank from.
  const shape = [...(constantOf(old)?.shape ?? []).slice(0, -1), numbers.length];
  node.setInput(index, addConstant(node, old?.name ?? 'gain', tensorFrom('float32', shape, numbers)));
  releaseConstant(old);
}
