import type { Batch, BatchOptions, Dataset } from './dataset.ts';

/** Some evaluation samples, in an order drawn by the seed: parts of one seed that do not overlap share no sample. */
export interface PartOptions {
  readonly seed: number;
  readonly skip: number;
  readonly samples: number;
}

/** Prepared batches of a part are kept up to this size, for whoever runs it over and over; larger ones are read each time. */
const keptBytes = 256e6;

/** Some of a data set's evaluation samples as a data set of its own. Closing it is left to the whole. */
export function datasetPart(whole: Dataset, { seed, skip, samples }: PartOptions): Dataset {
  const kept = new Map<string, readonly Batch[]>();
  async function* batches(options: BatchOptions = {}): AsyncGenerator<Batch> {
    const wanted = {
      ...options,
      split: 'eval' as const,
      seed,
      skip,
      samples: Math.min(options.samples ?? samples, samples),
    };
    const key = JSON.stringify([wanted.samples, wanted.batch ?? null, wanted.inputs ?? null]);
    const known = kept.get(key);
    if (known) {
      yield* known;
      return;
    }
    let all: Batch[] | undefined = [];
    let bytes = 0;
    for await (const batch of whole.batches(wanted)) {
      for (const tensor of batch.feeds.values()) bytes += tensor.byteLength;
      if (bytes > keptBytes) all = undefined;
      all?.push(batch);
      yield batch;
    }
    if (all) kept.set(key, all);
  }
  return overlaid(whole, { samples, batches, close: () => Promise.resolve() });
}

/** A data set with nothing but these batches to evaluate on. */
export function withBatches(whole: Dataset, chosen: readonly Batch[]): Dataset {
  const samples = chosen.reduce((sum, { size }) => sum + size, 0);
  async function* batches(): AsyncGenerator<Batch> {
    yield* chosen;
  }
  return overlaid(whole, { samples, batches, close: () => Promise.resolve() });
}

function overlaid(whole: Dataset, own: Pick<Dataset, 'samples' | 'batches' | 'close'>): Dataset {
  return new Proxy(whole, {
    get(target, key) {
      if (Object.hasOwn(own, key)) return own[key as keyof typeof own];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
