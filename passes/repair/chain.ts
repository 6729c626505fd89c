import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { typedArray } from '../../src/ir/tensor.ts';
import { type Shape, staticShape } from '../../src/ir/types.ts';
import { usedOnce } from '../../src/rewrite/conditions.ts';
import { boundsOf } from '../fuse/bounds.ts';
import { perChannel } from '../fuse/channels.ts';
import type { Layer } from './layer.ts';

/** Two layers and what stands between them, through which a positive factor per channel passes. */
export interface Chain {
  readonly first: Layer;
  readonly second: Layer;
  /** Inputs of `second` for each channel: more than one behind a Flatten. */
  readonly spread: number;
  /** What `first` hands out, before any activation. */
  readonly middle: Value;
  /** Adds with a constant per channel on the way. */
  readonly addends: {
    readonly node: Node;
    readonly index: number;
    readonly numbers: Float64Array;
    readonly tail: number;
  }[];
  /** A Clip from 0 to `high` on the way. */
  readonly clip: { readonly node: Node; readonly high: number } | undefined;
  /** The Relu or Clip is all there is on the way. */
  readonly activation: 'none' | 'relu' | 'other';
}

/** What `readChain` has to know of the model around. */
export interface ChainSite {
  readonly opset: number;
  shapeOf(value: Value): Shape | undefined;
}

/** Operators that commute with a positive factor per channel. */
const homogeneous = new Set([
  'Relu',
  'LeakyRelu',
  'PRelu',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Identity',
  'Dropout',
]);
/** Those of them that work along the axes behind the second: channels on the last axis are mixed by them. */
const pools = new Set(['MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool']);
const weighted = new Set(['Conv', 'Gemm', 'MatMul']);

/**
 * Follows what `node` hands out to the next layer.
 * @param read the layer at a node, the same object every time
 * @returns a sentence where something on the way does not let a factor through; undefined where the node is no layer.
 */
export function readChain(node: Node, at: ChainSite, read: (node: Node) => Layer | string): Chain | string | undefined {
  if (node.domain !== '' || !weighted.has(node.op)) return undefined;
  const first = read(node);
  if (typeof first === 'string') return first;
  const middle = node.output();
  const addends: Chain['addends'] = [];
  const steps: Node[] = [];
  let clip: Chain['clip'];
  let spread = 1;
  let axis = node.op === 'Conv' ? 1 : -1;
  for (let value = middle; ; ) {
    // The last layer of a model: nothing is to be said about it.
    if (value.isGraphOutput && value.useCount === 0) return undefined;
    const once = usedOnce(value);
    if (once !== true) return `${once}: a factor would have to go to each of its readers`;
    const next = value.consumers[0] as Node;
    if (next.domain !== '') return `${next} stands behind it`;
    if (weighted.has(next.op)) {
      if (next.input(0) !== value)
        return `${next} takes it as its ${next.input(1) === value ? 'right operand' : 'bias'}`;
      const second = read(next);
      if (typeof second === 'string') return `${next} behind it: ${second}`;
      if ((axis === 1) !== (next.op === 'Conv'))
        return `${next} takes its channels along another axis than ${node} has them`;
      if (second.inputs !== first.outputs * spread)
        return `${next} reads ${second.inputs} channels where ${node} gives ${first.outputs}`;
      const relu = steps.length === 1 && (steps[0]?.op === 'Relu' || steps[0]?.op === 'Clip');
      const activation = steps.length === 0 ? 'none' : relu && addends.length === 0 ? 'relu' : 'other';
      return { first, second, spread, middle, addends, clip, activation };
    }
    if (homogeneous.has(next.op)) {
      if (next.input(0) !== value) return `${next} takes it as its slope`;
      if (axis !== 1 && pools.has(next.op)) return `${next} goes along the axis of its channels`;
    } else if (next.op === 'Clip') {
      const bounds = boundsOf(next, at.opset);
      if (typeof bounds === 'string') return bounds;
      if (bounds.low !== 0) return `${next} limits at ${bounds.low}, which a factor per channel would move`;
      if (Number.isFinite(bounds.high) && bounds.high < 3e38) {
        if (clip) return `${next} limits it a second time`;
        clip = { node: next, high: bounds.high };
      }
    } else if (next.op === 'Add') {
      const index = next.input(0) === value ? 1 : 0;
      if (spread > 1) return `${next} adds to each of the ${spread} values of a channel by itself`;
      const addend = readAddend(next, index, value, first.outputs, axis, at);
      if (typeof addend === 'string') return addend;
      addends.push(addend);
    } else if (next.op === 'Flatten' || next.op === 'Reshape') {
      const wide = axis === 1 ? flattened(next, value, at) : `${next} joins its channels with axes in front of them`;
      if (typeof wide === 'string') return wide;
      spread = wide;
      axis = -1;
    } else if (next.op === 'BatchNormalization') return `${next} stands behind it: fold it first (fuse)`;
    else return `${next} behind it does not let a factor per channel through`;
    steps.push(next);
    if (next.outputs.slice(1).some((output) => output?.isUsed)) return `${next} gives more than one result`;
    value = next.output();
  }
}

function readAddend(
  node: Node,
  index: number,
  value: Value,
  channels: number,
  axis: number,
  at: ChainSite,
): Chain['addends'][number] | string {
  const constant = node.input(index);
  const tensor = constantOf(constant);
  if (!constant || !tensor)
    return `${node} adds "${constant?.name}" to it, which is no constant (a residual connection shares its channels)`;
  if (tensor.dtype !== 'float32') return `${node} adds "${constant.name}" of type ${tensor.dtype}`;
  const rank = at.shapeOf(value)?.length;
  if (axis === 1 && rank === undefined) return `the shape of "${value.name}" is not known`;
  // Behind a linear layer the last axis counts, whatever the rank.
  const all = Math.max(rank ?? tensor.shape.length, 1);
  const numbers = perChannel(tensor, constant.name, { rank: all, axis: axis === 1 ? 1 : all - 1, channels });
  if (typeof numbers === 'string') return numbers;
  if (!typedArray(tensor, 'float32').every(Number.isFinite)) return `"${constant.name}" holds NaN or infinite numbers`;
  return { node, index, numbers, tail: axis === 1 ? (rank ?? 4) - 2 : 0 };
}

/** Elements of each channel when [N, C, …] becomes [N, C · …]. */
function flattened(node: Node, value: Value, at: ChainSite): number | string {
  const [, , ...spatial] = staticShape(at.shapeOf(value)?.map((dim, i) => (i === 0 ? 1 : dim))) ?? [];
  const shape = at.shapeOf(value);
  if (!shape || shape.length < 3 || spatial.length !== shape.length - 2)
    return `the shape of "${value.name}", which ${node} flattens, is not known`;
  const elements = spatial.reduce((a, b) => a * b, 1);
  if (node.op === 'Flatten')
    return node.int('axis', 1) === 1 ? elements : `${node} flattens from another axis than that of the channels`;
  const to = at.shapeOf(node.output());
  const channels = shape[1];
  if (to?.length === 2 && typeof channels === 'number' && to[1] === channels * elements) return elements;
  return `${node} behind it does not keep its channels together`;
}
