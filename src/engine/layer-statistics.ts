import { numbersOf } from '../data/cast.ts';
import { dtypeKind } from '../ir/dtype.ts';
import type { Model, Value } from '../ir/graph.ts';
import { elementCount, type Tensor, tensorFrom } from '../ir/tensor.ts';
import { samplePatches, windowGrid } from '../kernels/patches.ts';
import { axisView } from '../kernels/quantize.ts';
import { randomNumbers } from '../kernels/random.ts';
import type { ChannelRequest, ChannelStats, Gram, GramRequest, LayerStatistics, PatchRequest } from '../pass/pass.ts';
import { compare, type FeedBatch, type FeedBatches } from './compare.ts';
import { chunkRows, type Observer, observeInOrder, RowSums, rowSumsBytes, squaresModel } from './grams.ts';
import { observable, observe } from './observe.ts';
import { openModel } from './open-model.ts';
import { pairsOf } from './pairs.ts';
import type { Session } from './session.ts';

/** Patches drawn for one convolution: so many at least, and so many for each input of a dot product. */
const leastPatches = 4096;
const patchesPerInput = 8;
/** Sums of squares are held together up to this size; more convolutions take more runs over the data. */
const memoryBudget = 512e6;

export interface LayerStatisticsOptions {
  readonly samples: number;
  /** For pairs, default as many. */
  readonly pairSamples?: number;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** @param batches so many samples, as the model takes them; called once for each pass over them */
export function createLayerStatistics(
  batches: (model: Model, samples: number) => FeedBatches | Promise<FeedBatches>,
  options: LayerStatisticsOptions,
): LayerStatistics {
  const { signal } = options;
  // Made-up batches are made once for a model; those of a data set are read anew each time.
  const source = async (model: Model, samples = options.samples): Promise<() => FeedBatches> => {
    const first = await batches(model, samples);
    return Array.isArray(first) ? () => first : () => batches(model, samples) as FeedBatches;
  };
  return {
    async channels(model, requests) {
      return await channelsOf(model, requests, await source(model), signal);
    },
    async patches(model, requests, visit) {
      for (const group of bySize(requests)) await patchesOf(model, group, await source(model), visit, options);
    },
    async inOrder(model, requests, visit) {
      await inOrder(model, requests, await source(model), visit, options);
    },
    async pairs(reference, model, requests, visit, sampling = {}) {
      const most = options.pairSamples ?? options.samples;
      const samples = Math.min(sampling.samples ?? most, most);
      const [before, after] = [await source(reference, samples), await source(model, samples)];
      const batchesOf = (one: Model) => () => firstOf((one === reference ? before : after)(), samples);
      const { rows } = sampling;
      await pairsOf(reference, model, requests, batchesOf, visit, { ...options, samples, ...(rows && { rows }) });
    },
    async sqnr(base, candidate, samples) {
      const from = await source(base);
      const left = await openModel(base, { graphOptimizationLevel: 'disabled' });
      try {
        const right = await openModel(candidate, { graphOptimizationLevel: 'disabled' });
        try {
          const { outputs } = await compare(left, right, firstOf(from(), samples), signal);
          return new Map(outputs.map(({ name, sqnrDb }) => [name, sqnrDb]));
        } finally {
          await right.dispose();
        }
      } finally {
        await left.dispose();
      }
    },
  };
}

async function* firstOf(batches: FeedBatches, samples: number): AsyncGenerator<FeedBatch> {
  let seen = 0;
  for await (const batch of batches) {
    if (seen >= samples) return;
    seen += batch.size;
    yield batch;
  }
}

/** Hands every float tensor of these values to `visit`, batch by batch. */
async function visitFloats(
  model: Model,
  values: readonly Value[],
  batches: () => FeedBatches,
  visit: (name: string, tensor: Tensor) => void | Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const take = async (name: string, tensor: Tensor): Promise<void> => {
    if (dtypeKind(tensor.dtype) === 'float') await visit(name, tensor);
  };
  const main = [...new Set(values)].filter((value) => value.graph === model.graph);
  const inner = observable(main).map(({ name }) => name);
  if (inner.length > 0) await observe(model, inner, batches, take, { signal });
  const fed = main.filter((value) => value.isGraphInput && !value.initializer);
  if (fed.length > 0) {
    for await (const { feeds } of batches()) {
      signal?.throwIfAborted();
      for (const { name } of fed) {
        const tensor = feeds.get(name);
        if (tensor) await take(name, tensor);
      }
    }
  }
}

async function channelsOf(
  model: Model,
  requests: readonly ChannelRequest[],
  batches: () => FeedBatches,
  signal: AbortSignal | undefined,
): Promise<Map<string, ChannelStats>> {
  const totals = new Map(requests.map(({ value, axis }) => [value.name, new ChannelTotals(axis)]));
  const values = requests.map(({ value }) => value);
  await visitFloats(model, values, batches, (name, tensor) => totals.get(name)?.add(tensor), signal);
  const stats = new Map<string, ChannelStats>();
  for (const [name, total] of totals) {
    const result = total.finish();
    if (result) stats.set(name, result);
  }
  return stats;
}

/** Sums over all axes but one, in float64. */
class ChannelTotals {
  readonly #axis: number;
  #failed = false;
  #stats: ChannelStats | undefined;
  #nonFinite = 0;

  constructor(axis: number) {
    this.#axis = axis;
  }

  add(tensor: Tensor): void {
    const { shape } = tensor;
    const axis = this.#axis < 0 ? this.#axis + shape.length : this.#axis;
    const channels = shape[axis];
    if (channels === undefined || (this.#stats && this.#stats.mean.length !== channels)) this.#failed = true;
    if (this.#failed || channels === undefined) return;
    const fresh = (value: number): Float64Array => new Float64Array(channels).fill(value);
    this.#stats ??= {
      count: fresh(0),
      mean: fresh(0),
      meanSquare: fresh(0),
      min: fresh(Number.POSITIVE_INFINITY),
      max: fresh(Number.NEGATIVE_INFINITY),
      nonFinite: 0,
    };
    this.#sum(numbersOf(tensor), axisView(shape, axis), this.#stats);
  }

  /** While summing, `mean` and `meanSquare` hold the sums. */
  #sum(x: ArrayLike<number>, { outer, channels, inner }: ReturnType<typeof axisView>, stats: ChannelStats): void {
    let at = 0;
    for (let o = 0; o < outer; o++) {
      for (let c = 0; c < channels; c++) {
        let [count, sum, squares] = [0, 0, 0];
        let min = stats.min[c] as number;
        let max = stats.max[c] as number;
        for (const end = at + inner; at < end; at++) {
          const value = x[at] as number;
          if (value - value !== 0) continue;
          count++;
          sum += value;
          squares += value * value;
          if (value < min) min = value;
          if (value > max) max = value;
        }
        this.#nonFinite += inner - count;
        stats.count[c] = (stats.count[c] as number) + count;
        stats.mean[c] = (stats.mean[c] as number) + sum;
        stats.meanSquare[c] = (stats.meanSquare[c] as number) + squares;
        stats.min[c] = min;
        stats.max[c] = max;
      }
    }
  }

  finish(): ChannelStats | undefined {
    const stats = this.#stats;
    if (this.#failed || !stats) return undefined;
    const share = (sum: number, c: number): number => sum / Math.max(1, stats.count[c] as number);
    const bound = (value: number): number => (Number.isFinite(value) ? value : 0);
    return {
      count: stats.count,
      mean: stats.mean.map(share),
      meanSquare: stats.meanSquare.map(share),
      min: stats.min.map(bound),
      max: stats.max.map(bound),
      nonFinite: this.#nonFinite,
    };
  }
}

const requestBytes = ({ k, groups }: PatchRequest): number => 4 * groups * k * (k + 1024 + chunkRows(k));

function* bySize(requests: readonly PatchRequest[]): Generator<PatchRequest[]> {
  let group: PatchRequest[] = [];
  let bytes = 0;
  for (const request of requests) {
    const size = requestBytes(request);
    if (group.length > 0 && bytes + size > memoryBudget) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(request);
    bytes += size;
  }
  if (group.length > 0) yield group;
}

async function patchesOf(
  model: Model,
  requests: readonly PatchRequest[],
  batches: () => FeedBatches,
  visit: Parameters<LayerStatistics['patches']>[2],
  { samples, seed, signal }: LayerStatisticsOptions,
): Promise<void> {
  const squares = await openModel(squaresModel(), { label: 'the sums of squares' });
  try {
    const layers = requests.map((request, index) => ({
      request,
      sums: new PatchSums(request, squares, { samples, seed: seed + index }),
    }));
    const add = async (name: string, tensor: Tensor): Promise<void> => {
      for (const { request, sums } of layers) if (request.value.name === name) await sums.add(tensor);
    };
    const values = requests.map(({ value }) => value);
    await visitFloats(model, values, batches, add, signal);
    for (const { request, sums } of layers) await visit(request, await sums.finish());
  } finally {
    await squares.dispose();
  }
}

/** Sums over patches at random places of what a convolution reads, one for each group. */
class PatchSums {
  readonly #request: PatchRequest;
  readonly #sums: readonly RowSums[];
  readonly #samples: number;
  readonly #next: () => number;
  readonly #once: boolean;

  /** @param once where more patches are wanted than a batch has, each is taken once: as much is known of them by less work */
  constructor(
    request: PatchRequest,
    squares: Session,
    { samples, seed, once = false }: { samples: number; seed: number; once?: boolean },
  ) {
    this.#request = request;
    this.#once = once;
    this.#sums = Array.from({ length: request.groups }, () => new RowSums(request.k, squares));
    this.#samples = samples;
    this.#next = randomNumbers(seed);
  }

  async add(tensor: Tensor): Promise<void> {
    const { window, groups, k } = this.#request;
    const { shape } = tensor;
    if (dtypeKind(tensor.dtype) !== 'float') return;
    const taps = elementCount(window.kernel);
    if (shape.length !== window.kernel.length + 2 || ((shape[1] ?? 0) / groups) * taps !== k) return;
    const wanted = Math.max(leastPatches, patchesPerInput * k) / Math.max(1, this.#samples);
    const count = Math.ceil(wanted * (shape[0] ?? 1));
    const places = windowGrid(window, shape.slice(2)).counts.reduce((all, extent) => all * extent, shape[0] ?? 1);
    const [drawn, next] = this.#once && places < count ? [places, oneEach(places)] : [count, this.#next];
    const patches = samplePatches(numbersOf(tensor), shape, window, groups, drawn, next);
    for (const [group, rows] of patches.entries())
      await this.#sums[group]?.add(tensorFrom('float32', [rows.length / k, k], rows));
  }

  async finish(): Promise<Gram[]> {
    const grams = [];
    for (const sum of this.#sums) grams.push(await sum.finish());
    return grams;
  }
}

/** Numbers in [0, 1) that draw each of so many places once, in order. */
function oneEach(places: number): () => number {
  let drawn = 0;
  return () => (drawn++ + 0.5) / places;
}

/** Linear layers and convolutions one after the other, each with the weights that stand in by then. */
async function inOrder(
  model: Model,
  requests: readonly (GramRequest | PatchRequest)[],
  batches: () => FeedBatches,
  visit: Parameters<LayerStatistics['inOrder']>[2],
  { samples, seed, signal }: LayerStatisticsOptions,
): Promise<void> {
  const observers = requests.map(
    (request, index): Observer<PatchSums | RowSums> => ({
      value: request.value,
      bytes: 'groups' in request ? requestBytes(request) : rowSumsBytes(request.k),
      open: (squares) =>
        'groups' in request
          ? new PatchSums(request, squares, { samples, seed: seed + index, once: true })
          : new RowSums(request.k, squares),
      visit: async (sums) => visit(request, [await sums.finish()].flat()),
    }),
  );
  await observeInOrder(model, observers, batches, { signal, sequential: true });
}
