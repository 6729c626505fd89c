import { numbersOf } from '../data/cast.ts';
import { int, ints } from '../ir/attr.ts';
import { cloneModel } from '../ir/clone.ts';
import type { Model, Value } from '../ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../ir/tensor.ts';
import { Histogram, smallestMask } from '../kernels/histogram.ts';
import { adaptFeeds, type FeedBatch } from './compare.ts';
import { Garbage } from './garbage.ts';
import { observable, type ReadBatches } from './observe.ts';
import { openModel } from './open-model.ts';

/** Samples of one inference. No inner value is handed out, so that memory does not limit it; larger ones gained nothing. */
const batch = 8;

export interface Extremes {
  readonly found: ReadonlyMap<string, Histogram>;
  /** Values that must be looked at element by element: of a kind this way does not take, not finite, or as large as masks are. */
  readonly left: readonly Value[];
  /** Whether `visitFeeds` got the batches. */
  readonly isFed: boolean;
}

/**
 * Extremes of inner values, taken inside the runtime: each value gets a ReduceMin, a ReduceMax and a ReduceSum, which is not finite where an
 * element is not, and only these leave it, all of them as one vector (four outputs for each of a model's hundreds of values are objects by the
 * thousand, which fill the heap). (All values of MobileNet on 50 samples: 0.9 s of processor time, 2.4 where
 * every element comes out and is counted.) The runtime optimizes what it can around the values; that changes their last digits at most.
 * @param visitFeeds gets each batch, too, where any value is taken this way
 */
export async function extremesOf(
  model: Model,
  values: readonly Value[],
  channelAxes: ReadonlyMap<string, number> | undefined,
  batches: ReadBatches,
  visitFeeds: (batch: FeedBatch) => void,
  signal: AbortSignal | undefined,
): Promise<Extremes> {
  const copy = cloneModel(model);
  const made = new Map([...copy.graph.nodes].flatMap(({ outputs }) => outputs).map((value) => [value?.name, value]));
  const wanted: Wanted[] = [];
  for (const value of observable(values)) {
    const own = value.graph === model.graph && value.producer ? made.get(value.name) : undefined;
    const rank = own?.dtype === 'float32' ? own.shape?.length : undefined;
    if (!own || rank === undefined) continue;
    const given = channelAxes?.get(value.name);
    const axis = given === undefined ? undefined : given < 0 ? given + rank : given;
    // No axes would mean all.
    if (axis === undefined || (axis >= 0 && axis < rank && rank >= 2)) wanted.push({ value: own, rank, axis });
  }
  const found = new Map<string, Histogram>();
  if (wanted.length === 0) return { found, left: values, isFed: false };
  // The runtime walks back from the last of what is joined: the other way round it holds every value before it reduces the first (supres 390 MB, now 357).
  const names = addProbes(copy, wanted.reverse());
  const session = await openModel(copy, { label: 'the model with extremes of inner values as outputs' });
  const ranks = wanted.reduce((sum, { rank }) => sum + rank, 0);
  const unusual = new Set<string>();
  const garbage = new Garbage();
  try {
    for await (const taken of batches(batch)) {
      signal?.throwIfAborted();
      const outputs = await session.run(adaptFeeds(taken.feeds, session.inputs), [names.numbers, names.counts]);
      const numbers = typedArray(outputs.get(names.numbers) as Tensor, 'float32');
      const counts = numbersOf(outputs.get(names.counts) as Tensor);
      // A file may declare another rank than its values have.
      if (counts.length !== ranks) return { found: new Map(), left: values, isFed: false };
      let at = 0;
      let counted = 0;
      for (const { value, rank, axis } of wanted) {
        const shape = counts.subarray(counted, counted + rank);
        counted += rank;
        const channels = axis === undefined ? 1 : (shape[axis] as number);
        if (!Number.isFinite(numbers[at++])) unusual.add(value.name);
        const histogram = found.get(value.name) ?? new Histogram();
        histogram.extremesOnly = true;
        const [low, high] = [numbers.subarray(at, at + channels), numbers.subarray(at + channels, at + 2 * channels)];
        at += 2 * channels;
        histogram.addExtremes(low, high, elementCount([...shape]), axis);
        found.set(value.name, histogram);
      }
      visitFeeds(taken);
      garbage.drop(taken.feeds.values());
    }
  } finally {
    garbage.end();
    await session.dispose();
  }
  for (const [name, histogram] of found) if (unusual.has(name) || histogram.absMax >= smallestMask) found.delete(name);
  return { found, left: values.filter(({ name }) => !found.has(name)), isFed: true };
}

/** A value of the copy whose extremes are taken; by channels along an axis, or as a whole. */
interface Wanted {
  readonly value: Value;
  readonly rank: number;
  readonly axis: number | undefined;
}

/**
 * Adds the reductions, and two outputs. `numbers`: for each value its sum, the least and the most (one number each, or one for each channel).
 * `counts`: the shape of each value. Of nothing the runtime makes 0, ∞ and −∞.
 */
function addProbes(model: Model, wanted: readonly Wanted[]): { readonly numbers: string; readonly counts: string } {
  const { graph } = model;
  const numbers: Value[] = [];
  const counts: Value[] = [];
  const made = { outputs: [''], types: [undefined] };
  const append = (op: string, inputs: readonly Value[], axis?: number): Value =>
    graph.append(op, { inputs, ...made, ...(axis !== undefined && { attrs: { axis: int(axis) } }) }).output();
  for (const { value, rank, axis } of wanted) {
    const others = axis === undefined ? [] : Array.from({ length: rank }, (_, at) => at).filter((at) => at !== axis);
    const sum = reduce(model, 'ReduceSum', value, []);
    const low = reduce(model, 'ReduceMin', value, others);
    const high = reduce(model, 'ReduceMax', value, others);
    // Results become rows; not the values themselves, whose memory would be held for longer.
    for (const result of [sum, low, high]) numbers.push(append('Flatten', [result], 0));
    counts.push(append('Shape', [value]));
  }
  const handOut = (joined: Value): string => {
    graph.addOutput(joined);
    return joined.name;
  };
  return { numbers: handOut(append('Concat', numbers, 1)), counts: handOut(append('Concat', counts, 0)) };
}

/** Axes, none for all, are an input of ReduceSum from opset 13 on, of ReduceMin and ReduceMax from opset 18 on. */
function reduce(
  model: Model,
  op: 'ReduceSum' | 'ReduceMin' | 'ReduceMax',
  value: Value,
  axes: readonly number[],
): Value {
  const { graph } = model;
  const asInput = axes.length > 0 && model.opset >= (op === 'ReduceSum' ? 13 : 18);
  const inputs = [value];
  if (asInput) {
    const tensor = tensorFrom('int64', [axes.length], BigInt64Array.from(axes, BigInt));
    inputs.push(graph.addInitializer(graph.freshName('extremes_axes'), tensor));
  }
  const attrs = { keepdims: int(0), ...(axes.length > 0 && !asInput && { axes: ints(axes) }) };
  return graph.append(op, { inputs, outputs: [''], attrs, types: [undefined] }).output();
}
