import { type Numbers, numbersOf } from '../data/cast.ts';
import type { Dataset } from '../data/dataset.ts';
import { dtypeKind } from '../ir/dtype.ts';
import type { Model, Value } from '../ir/graph.ts';
import { FloatCounter } from '../kernels/float-counter.ts';
import { Histogram } from '../kernels/histogram.ts';
import type { ActivationRange, Activations, HistogramOptions } from '../pass/pass.ts';
import type { IoInfo } from '../report/report.ts';
import type { FeedBatch, FeedBatches } from './compare.ts';
import { extremesOf } from './extremes.ts';
import { requiredInputs } from './feed-shapes.ts';
import { syntheticFeeds } from './feeds.ts';
import { gramsOf } from './grams.ts';
import { createLayerStatistics } from './layer-statistics.ts';
import { observable, observe, type ReadBatches } from './observe.ts';
import { openModel } from './open-model.ts';
import { writeOwnText } from './own-text.ts';
import { withStates } from './states.ts';
import { syntheticSamples } from './synthetic-samples.ts';

export interface ActivationOptions {
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** At most so many samples, default 128. */
  readonly samples?: number;
}

/**
 * Calibration samples that layers are fitted to, by default: fits gain from more of them than ranges do, and the rows drawn are as many. (Of ResNet-20,
 * without two blocks and 16 of 32 channels, 160 in place of 128 samples left 4 % less divergence.)
 */
const pairSamples = 256;

/**
 * Activation statistics from a data set: its calibration samples, or, when it has none, evaluation samples. (Ranges from
 * evaluation samples flatter the accuracy measured on them; the data set's notes say so.)
 */
export function createActivations(dataset: Dataset, options: ActivationOptions): Activations {
  const split = dataset.calibrationSamples > 0 ? 'calibration' : 'eval';
  const available = split === 'calibration' ? dataset.calibrationSamples : dataset.samples;
  const samples = Math.min(available, options.samples ?? 128);
  const batches = (model: Model, batch?: number, count = samples): FeedBatches =>
    withStates(
      dataset.batches({
        split,
        samples: count,
        seed: options.seed,
        inputs: signatureOf(model),
        ...(batch !== undefined && { batch }),
      }),
      () => openModel(model, { graphOptimizationLevel: 'disabled' }),
    );
  return {
    source: 'data',
    samples,
    ranges: (model, values) => rangesOf(model, values, (batch) => batches(model, batch), options.signal),
    histograms: (model, values, wanted) =>
      histogramsOf(model, values, wanted, (batch) => batches(model, batch), options.signal),
    grams: (model, requests, visit, how) => gramsOf(model, requests, () => batches(model), visit, options.signal, how),
    layers: createLayerStatistics((model, count) => batches(model, undefined, count), {
      ...options,
      samples,
      pairSamples: split === 'calibration' ? Math.min(available, options.samples ?? pairSamples) : samples,
    }),
  };
}

/** Activation statistics from made-up inputs: good for finding overflows, poor for choosing ranges. */
export function createSyntheticActivations(options: ActivationOptions): Activations {
  const samples = Math.min(options.samples ?? syntheticSamples, syntheticSamples);
  const madeUp = async (model: Model): Promise<FeedBatches> => {
    const session = await openModel(model, { graphOptimizationLevel: 'disabled' });
    try {
      return await syntheticFeeds(model, session, { seed: options.seed, count: samples });
    } finally {
      await session.dispose();
    }
  };
  return activationsOver(madeUp, samples, options);
}

/**
 * The same from text that the model writes itself (own-text.ts), which serves as well as real text does.
 * @returns a sentence when it is no model that writes
 */
export async function createOwnTextActivations(
  model: Model,
  options: ActivationOptions,
): Promise<Activations | string> {
  const text = await writeOwnText(model, options);
  return typeof text === 'string' ? text : activationsOver(() => text.batches, text.texts, options);
}

function activationsOver(
  madeUp: (model: Model) => FeedBatches | Promise<FeedBatches>,
  samples: number,
  options: ActivationOptions,
): Activations {
  return {
    source: 'synthetic',
    samples,
    ranges: async (model, values) => {
      const batches = await madeUp(model);
      return await rangesOf(model, values, () => batches, options.signal);
    },
    histograms: async (model, values, wanted) => {
      const batches = await madeUp(model);
      return await histogramsOf(model, values, wanted, () => batches, options.signal);
    },
    grams: async (model, requests, visit, how) => {
      const batches = await madeUp(model);
      await gramsOf(model, requests, () => batches, visit, options.signal, how);
    },
    layers: createLayerStatistics(madeUp, { ...options, samples }),
  };
}

function signatureOf(model: Model): IoInfo[] {
  return requiredInputs(model).map((input) => ({
    name: input.name,
    dtype: input.dtype ?? 'unknown',
    shape: input.shape?.map((dim) => dim ?? null) ?? null,
  }));
}

async function rangesOf(
  model: Model,
  values: readonly Value[],
  batches: ReadBatches,
  signal: AbortSignal | undefined,
): Promise<Map<string, ActivationRange>> {
  const ranges = new Map<string, ActivationRange>();
  const visit = (name: string, numbers: ArrayLike<number>): void => {
    ranges.set(name, widen(ranges.get(name), numbers));
  };
  await visitFloats(model, values, floatInputs(model, values), batches, visit, signal);
  return settled(ranges);
}

async function histogramsOf(
  model: Model,
  values: readonly Value[],
  { channelAxes, extremesOnly = false, averages = false }: HistogramOptions = {},
  batches: ReadBatches,
  signal: AbortSignal | undefined,
): Promise<Map<string, Histogram>> {
  const histograms = new Map<string, Histogram>();
  const counter = FloatCounter.create();
  const visit: Visit = (name, numbers, shape, size) => {
    let histogram = histograms.get(name);
    if (!histogram) {
      histogram = new Histogram();
      histogram.extremesOnly = extremesOnly;
      histogram.averaged = averages;
      const axis = channelAxes?.get(name);
      if (axis !== undefined) histogram.channels = { axis, low: new Float32Array(0), high: new Float32Array(0) };
      histograms.set(name, histogram);
    }
    histogram.addSamples(numbers, shape, size, counter);
  };
  const inputs = floatInputs(model, values);
  if (!extremesOnly || averages) {
    await visitFloats(model, values, inputs, batches, visit, signal);
    return histograms;
  }
  const inner = values.filter((value) => !inputs.includes(value));
  const { found, left, isFed } = await extremesOf(
    model,
    inner,
    channelAxes,
    batches,
    visitInputs(inputs, visit),
    signal,
  );
  for (const [name, histogram] of found) histograms.set(name, histogram);
  await visitFloats(model, left, isFed ? [] : inputs, batches, visit, signal);
  return histograms;
}

type Visit = (name: string, numbers: Numbers, shape: readonly number[], size: number) => void;

/** Those of the values that the data set feeds and that are floats. */
function floatInputs(model: Model, values: readonly Value[]): Value[] {
  return values.filter(
    (value) =>
      value.isGraphInput &&
      value.graph === model.graph &&
      value.dtype !== undefined &&
      dtypeKind(value.dtype) === 'float',
  );
}

function visitInputs(inputs: readonly Value[], visit: Visit): (batch: FeedBatch) => void {
  return ({ feeds, size }) => {
    for (const { name } of inputs) {
      const tensor = feeds.get(name);
      if (tensor) visit(name, numbersOf(tensor), tensor.shape, size);
    }
  };
}

/** Hands these inputs and every float among the other values to `visit`, batch by batch; each batch's tensors are dropped before the next. */
async function visitFloats(
  model: Model,
  values: readonly Value[],
  inputs: readonly Value[],
  batches: ReadBatches,
  visit: Visit,
  signal: AbortSignal | undefined,
): Promise<void> {
  const inner = observable(values).map((value) => value.name);
  await observe(
    model,
    inner,
    batches,
    (name, tensor, size) => {
      if (dtypeKind(tensor.dtype) === 'float') visit(name, numbersOf(tensor), tensor.shape, size);
    },
    { signal, passing: true, ...(inputs.length > 0 && { visitFeeds: visitInputs(inputs, visit) }) },
  );
}

/** Leaves out values that had no elements; those that were never finite get an empty range at 0. */
function settled(ranges: ReadonlyMap<string, ActivationRange>): Map<string, ActivationRange> {
  const result = new Map<string, ActivationRange>();
  for (const [name, range] of ranges) {
    if (range.min <= range.max) result.set(name, range);
    else if (range.nan + range.inf > 0) result.set(name, { ...range, min: 0, max: 0, absMax: 0 });
  }
  return result;
}

function widen(range: ActivationRange | undefined, values: ArrayLike<number>): ActivationRange {
  let { min, max, nan, inf } = range ?? {
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    nan: 0,
    inf: 0,
  };
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (value - value !== 0) {
      if (Number.isNaN(value)) nan++;
      else inf++;
      continue;
    }
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max, absMax: Math.max(Math.abs(min), Math.abs(max)), nan, inf };
}
