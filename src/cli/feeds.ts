import type { Dataset } from '../data/dataset.ts';
import type { FeedBatch } from '../engine/compare.ts';
import { syntheticFeeds } from '../engine/feeds.ts';
import type { Session as RuntimeSession } from '../engine/session.ts';
import { withStates } from '../engine/states.ts';
import { bug } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import { parseShapes } from './shapes.ts';

/** Where inputs for measurements come from. */
export interface FeedOptions {
  readonly dataset: Dataset | undefined;
  readonly model: Model;
  /** The model on the runtime: made-up inputs are tried on it. */
  readonly runtime: RuntimeSession;
  readonly seed: number;
  /** `--input-shape`, for made-up inputs. */
  readonly shapes: readonly string[];
  readonly samples: number;
  /** Samples in one inference, where the model leaves it open. */
  readonly batch?: number;
}

/** Samples of the dataset, else seeded inputs made from the model's signature. */
export async function* feedBatches(options: FeedOptions): AsyncGenerator<FeedBatch> {
  const { dataset, samples, batch, model, runtime, seed } = options;
  if (dataset) {
    const count = Math.min(samples, dataset.samples);
    const batches = dataset.batches({ inputs: runtime.inputs, samples: count, ...(batch !== undefined && { batch }) });
    yield* withStates(batches, runtime);
  } else {
    yield* await syntheticFeeds(model, runtime, { ...parseShapes(options.shapes), seed, count: samples });
  }
}

/** The first sample alone: what benchmarks time and probes run. */
export async function firstFeeds(options: FeedOptions): Promise<FeedBatch['feeds']> {
  for await (const { feeds } of feedBatches({ ...options, samples: 1, batch: 1 })) return feeds;
  return bug('there is neither a sample nor a made-up input');
}
