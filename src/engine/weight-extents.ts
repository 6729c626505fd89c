import type { Node, Value } from '../ir/graph.ts';

/** Ops that keep the shape of their first input. */
const keepers = new Set(
  'Cast Identity Relu LeakyRelu PRelu Elu Selu Sigmoid HardSigmoid Tanh Clip Neg Abs Sqrt Exp Log Dropout LpNormalization Softmax LogSoftmax'.split(
    ' ',
  ),
);
const broadcasters = new Set(['Add', 'Sub', 'Mul', 'Div']);
const byChannel = new Set(['BatchNormalization', 'InstanceNormalization', 'GroupNormalization']);

/** A value whose axes are those of the input: entry i is the place of its axis i there. */
interface Carried {
  readonly value: Value;
  readonly axes: readonly number[];
}

/**
 * Extents that the weights ask of an input's axes, where its declaration leaves them open (exports with every axis dynamic): the channels of the
 * first convolution, the rows of the first matrix. Followed through normalization, activations and transposes.
 */
export function weightExtents(input: Value): readonly (number | undefined)[] {
  const rank = input.shape?.length ?? 0;
  const extents: (number | undefined)[] = Array.from({ length: rank });
  const pending: Carried[] = [{ value: input, axes: extents.map((_, axis) => axis) }];
  const seen = new Set<Value>([input]);
  for (let at = pending.pop(); at; at = pending.pop()) {
    const { axes } = at;
    for (const { node, index } of at.value.uses) {
      const asked = askedBy(node, index, axes.length);
      for (const [axis, extent] of asked) {
        const place = axes.at(axis);
        if (place !== undefined) extents[place] ??= extent;
      }
      const result = node.outputs[0];
      const kept = result && !seen.has(result) ? axesAfter(node, index, axes) : undefined;
      if (!result || !kept) continue;
      seen.add(result);
      pending.push({ value: result, axes: kept });
    }
  }
  return extents;
}

function axesAfter(node: Node, index: number, axes: readonly number[]): readonly number[] | undefined {
  if (node.domain !== '') return undefined;
  if (node.op === 'Transpose')
    return (node.ints('perm') ?? axes.map((_, axis) => axes.length - 1 - axis)).map((axis) => axes[axis] ?? 0);
  if (broadcasters.has(node.op)) return constantShape(node.input(1 - index)) ? axes : undefined;
  return index === 0 && (keepers.has(node.op) || byChannel.has(node.op)) ? axes : undefined;
}

/** Axes (negative: from the end) with the extents that a node's weights have. */
function askedBy(node: Node, index: number, rank: number): [axis: number, extent: number][] {
  if (node.domain !== '') return [];
  const weight = (at: number): readonly number[] => constantShape(node.input(at)) ?? [];
  const one = (axis: number, extent: number | undefined): [number, number][] =>
    extent === undefined ? [] : [[axis, extent]];
  if (broadcasters.has(node.op)) {
    // [1, 3, 1, 1]: a mean or deviation by channel.
    const shape = weight(1 - index);
    return shape.length > rank ? [] : shape.flatMap((extent, at) => (extent > 1 ? one(at - shape.length, extent) : []));
  }
  if (node.op === 'MatMul' && index === 1) return rank > 1 ? one(-2, weight(0).at(-1)) : [];
  if (index !== 0) return [];
  if (node.op === 'Conv') {
    const [, channels] = weight(1);
    return one(1, channels === undefined ? undefined : channels * node.int('group', 1));
  }
  if (node.op === 'ConvTranspose') return one(1, weight(1)[0]);
  if (byChannel.has(node.op)) return one(1, node.op === 'GroupNormalization' ? undefined : weight(1)[0]);
  if (node.op === 'MatMul') return one(-1, weight(1).length > 1 ? weight(1).at(-2) : weight(1)[0]);
  if (node.op === 'Gemm' && node.int('transA', 0) === 0) return one(1, weight(1)[node.int('transB', 0) === 0 ? 0 : 1]);
  if (['LSTM', 'GRU', 'RNN'].includes(node.op)) return one(2, weight(1)[2]);
  return [];
}

/** Of a weight: no input of the model, and of a shape known to the last number. */
function constantShape(value: Value | undefined): readonly number[] | undefined {
  const shape = value?.initializer?.shape ?? (isComputedFromInput(value) ? undefined : value?.shape);
  return shape?.every((extent) => typeof extent === 'number') ? shape : undefined;
}

/** Weights may stand behind a Constant, a DequantizeLinear or a Transpose. */
function isComputedFromInput(value: Value | undefined): boolean {
  let at = value;
  for (let hops = 0; at && hops < 4; hops++) {
    if (at.initializer || at.producer?.op === 'Constant') return false;
    at = at.producer?.input(0);
  }
  return true;
}
