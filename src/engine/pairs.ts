import { numbersOf } from '../data/cast.ts';
import { bug } from '../errors.ts';
import { cloneModel } from '../ir/clone.ts';
import { valuesByName } from '../ir/cut.ts';
import type { Model, Value } from '../ir/graph.ts';
import { sortTopologically } from '../ir/sort.ts';
import { elementCount, type Tensor, tensorFrom } from '../ir/tensor.ts';
import { samplePatches, windowGrid } from '../kernels/patches.ts';
import { randomNumbers } from '../kernels/random.ts';
import { rowsAt } from '../kernels/rows-at.ts';
import type { Gram, LayerStatistics, PairRequest, PairSampling } from '../pass/pass.ts';
import type { FeedBatches } from './compare.ts';
import { RowSums, StagedRun, squaresModel } from './grams.ts';
import { openModel } from './open-model.ts';
import { Segments } from './segments.ts';
import type { Session } from './session.ts';

/** Rows drawn for one layer. */
const usualRows = { least: 16384, perInput: 32 };

/** Rows kept as they are, for one layer: so many at most, and no more bytes than these. */
const mostKept = 16384;
const keptBytes = 64e6;

interface PairsOptions {
  readonly samples: number;
  readonly rows?: PairSampling['rows'];
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** A request with its values in the copies that are run. */
interface Placed {
  readonly request: PairRequest;
  readonly seed: number;
  readonly input: Value;
  readonly target: Value;
  /** What stands beside the layer's own output in the target, to be taken off. */
  readonly minus: Value | undefined;
  /** The target is what its reader clips. */
  readonly clipped: boolean;
  readonly place: number;
  /** Rows to draw from all samples together, over their number. */
  readonly perSample: number;
}

/**
 * Second moments of what layers read in `model` together with what `reference` has in their place, over rows drawn at the same places of
 * both: layer by layer in the order of the model, each with the weights that stand in by then. Both models are run stretch by stretch.
 */
export async function pairsOf(
  reference: Model,
  model: Model,
  requests: readonly PairRequest[],
  batchesOf: (model: Model) => () => FeedBatches,
  visit: Parameters<LayerStatistics['pairs']>[3],
  { samples, seed, signal, rows = usualRows }: PairsOptions,
): Promise<void> {
  const [before, after] = [copyOf(reference), copyOf(model)];
  const runBefore = new StagedRun(before.segments, batchesOf(reference), signal);
  const runAfter = new StagedRun(after.segments, batchesOf(model), signal);
  const placed = requests.flatMap((request, index) => {
    const perSample = Math.max(rows.least, rows.perInput * kOf(request)) / Math.max(1, samples);
    return place(request, seed + 1000 * index, perSample, before, after) ?? [];
  });
  placed.sort((a, b) => a.place - b.place);
  const squares = await openModel(squaresModel(), { label: 'the sums of squares' });
  try {
    for (const wave of sameInput(placed)) {
      const targets = await targetRows(runBefore, wave);
      const sums = await pairRows(runAfter, wave, targets, squares);
      for (const [index, { request }] of wave.entries()) {
        const grams: Gram[] = [];
        for (const sum of sums[index] ?? []) grams.push(await sum.finish());
        const standIns = await visit(request, grams);
        for (const [weight, tensor] of standIns ?? []) {
          const copy = after.values.get(weight.name);
          if (copy) runAfter.standIns.set(copy, tensor);
        }
      }
    }
  } finally {
    await squares.dispose();
  }
}

interface Copy {
  readonly values: ReadonlyMap<string, Value>;
  readonly segments: Segments;
}

function copyOf(model: Model): Copy {
  const copy = cloneModel(model);
  sortTopologically(copy.graph);
  return { values: valuesByName(copy.graph), segments: new Segments(copy) };
}

function place(request: PairRequest, seed: number, perSample: number, before: Copy, after: Copy): Placed | undefined {
  const { input, target, joined } = request;
  const own = after.values.get(input.value.name);
  if (!own) return undefined;
  const { segments } = after;
  // What stands beside must be there before the layer is run, whose weights are still to change.
  const beside = joined && after.values.get(joined.minus.name);
  const isThere = beside !== undefined && segments.placeOf(beside) <= segments.firstReader(own);
  const wanted = before.values.get(joined && isThere ? joined.name : target);
  if (!wanted) return undefined;
  const at = Math.max(segments.placeOf(own), isThere ? segments.placeOf(beside) : 0);
  const minus = isThere ? beside : undefined;
  const clipped = request.clip !== undefined && (joined === undefined || minus !== undefined);
  return { request, seed, input: own, target: wanted, minus, clipped, place: at, perSample };
}

/** Layers that read the same value are fitted together: none of them changes what the others read. */
function* sameInput(placed: readonly Placed[]): Generator<Placed[]> {
  const left = [...placed];
  for (let first = left.shift(); first; first = left.shift()) {
    const { input, place: at } = first;
    const wave = [first];
    for (const other of [...left]) {
      if (other.input !== input || other.place !== at) continue;
      wave.push(other);
      left.splice(left.indexOf(other), 1);
    }
    yield wave;
  }
}

const kOf = ({ input }: PairRequest): number => input.k;
const groupsOf = ({ input }: PairRequest): number => ('groups' in input ? input.groups : 1);

/** Rows to draw from a tensor of so many samples and rows. */
function countFor({ perSample }: Placed, inBatch: number, rows: number): number {
  return Math.min(rows, Math.ceil(perSample * inBatch));
}

/**
 * One number in each of `count` equal parts of [0, 1), in order: places drawn by it come sample by sample, so that the stretch of rows that is
 * held out is of samples of its own, and none is drawn twice where there are enough.
 */
function spread(count: number, seed: number): () => number {
  const next = randomNumbers(seed);
  let drawn = 0;
  return () => Math.min((drawn++ + next()) / count, 1 - Number.EPSILON);
}

/** Places among the rows of a tensor: of its samples and positions for convolutions, of all dimensions but the last else. */
function placesIn(tensor: Tensor, one: Placed, batch: number): Int32Array {
  const { shape } = tensor;
  const { request, seed } = one;
  const isConv = 'groups' in request.input;
  const rows = isConv ? (shape[0] ?? 1) * elementCount(shape.slice(2)) : elementCount(shape.slice(0, -1));
  const count = countFor(one, shape[0] ?? 1, rows);
  const next = spread(count, seed + batch);
  // A convolution draws like `samplePatches` does.
  return Int32Array.from({ length: count }, () => Math.floor(next() * rows));
}

/** What the reference has at the places drawn, layer by layer and batch by batch. */
async function targetRows(run: StagedRun, wave: readonly Placed[]): Promise<Float32Array[][]> {
  const rows: Float32Array[][] = wave.map(() => []);
  await run.observe([...new Set(wave.map(({ target }) => target))], async (name, tensor) => {
    for (const [index, one] of wave.entries()) {
      if (one.target.name !== name) continue;
      const own = rows[index] ?? bug('a layer without rows');
      const places = placesIn(tensor, one, own.length);
      own.push(rowsAt(numbersOf(tensor), tensor.shape, axisOf(one.request), places, one.request.channels));
    }
  });
  return rows;
}

const axisOf = ({ input }: PairRequest): number => ('groups' in input ? 1 : -1);

/** Sums over [x, t] for each layer and group. */
async function pairRows(
  run: StagedRun,
  wave: readonly Placed[],
  targets: readonly Float32Array[][],
  squares: Session,
): Promise<RowSums[][]> {
  const sums = wave.map((one) => {
    const groups = groupsOf(one.request);
    const own = one.request.outputs / groups;
    const k = kOf(one.request) + own;
    const carried = one.clipped && one.minus ? own : 0;
    const kept = one.clipped ? Math.min(mostKept, Math.floor(keptBytes / (4 * (k + carried) * groups))) : 0;
    return Array.from({ length: groups }, () => new RowSums(k, squares, { carried, kept }));
  });
  const values = new Set(wave.flatMap(({ input, minus }) => (minus ? [input, minus] : [input])));
  const seen = new Map<string, Tensor>();
  let batch = 0;
  await run.observe([...values], async (name, tensor) => {
    seen.set(name, tensor);
    if (seen.size < values.size) return;
    for (const [index, one] of wave.entries()) {
      const input = seen.get(one.input.name);
      const rows = targets[index]?.[batch];
      const beside = one.minus && seen.get(one.minus.name);
      if (!input || !rows) continue;
      const aside = beside && besideRows(beside, one, batch);
      const target = aside ? without(rows, aside) : rows;
      const carried = one.clipped ? aside : undefined;
      await addPairs(sums[index] ?? [], inputRows(input, one, batch), target, carried, one.request);
    }
    seen.clear();
    batch++;
  });
  return sums;
}

/** What stands beside the layer at the same places. */
function besideRows(beside: Tensor, one: Placed, batch: number): Float32Array {
  const places = placesIn(beside, one, batch);
  return rowsAt(numbersOf(beside), beside.shape, axisOf(one.request), places, undefined);
}

function without(rows: Float32Array, beside: Float32Array): Float32Array {
  return beside.length === rows.length ? rows.map((t, i) => t - (beside[i] as number)) : new Float32Array();
}

/** Rows of what the layer reads, one list for each group. */
function inputRows(tensor: Tensor, one: Placed, batch: number): Float32Array[] {
  const { input } = one.request;
  if (!('groups' in input))
    return [rowsAt(numbersOf(tensor), tensor.shape, -1, placesIn(tensor, one, batch), undefined)];
  const { shape } = tensor;
  const taps = elementCount(input.window.kernel);
  if (shape.length !== input.window.kernel.length + 2 || ((shape[1] ?? 0) / input.groups) * taps !== input.k) return [];
  const { counts } = windowGrid(input.window, shape.slice(2));
  const rows = (shape[0] ?? 1) * counts.reduce((a, b) => a * b, 1);
  const count = countFor(one, shape[0] ?? 1, rows);
  return samplePatches(numbersOf(tensor), shape, input.window, input.groups, count, spread(count, one.seed + batch));
}

async function addPairs(
  sums: readonly RowSums[],
  inputs: readonly Float32Array[],
  target: Float32Array,
  carried: Float32Array | undefined,
  request: PairRequest,
): Promise<void> {
  const k = kOf(request);
  const n = request.outputs;
  const own = n / groupsOf(request);
  for (const [group, x] of inputs.entries()) {
    const count = x.length / k;
    // Another number of positions than the layer gives out: its window is read wrongly, or not at all.
    if (target.length !== count * n) continue;
    const width = k + (carried ? 2 : 1) * own;
    const rows = new Float32Array(count * width);
    for (let r = 0; r < count; r++) {
      const [from, to] = [r * n + group * own, r * n + (group + 1) * own];
      rows.set(x.subarray(r * k, (r + 1) * k), r * width);
      rows.set(target.subarray(from, to), r * width + k);
      if (carried) rows.set(carried.subarray(from, to), r * width + k + own);
    }
    await sums[group]?.add(tensorFrom('float32', [count, width], rows));
  }
}
