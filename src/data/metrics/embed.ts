import { UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import { numbersOf } from '../cast.ts';
import {
  type Metric,
  type MetricBatch,
  type MetricKind,
  meanMetric,
  missing,
  type Weights,
  weightedMean,
} from './metric.ts';

export const poolings = ['auto', 'mean', 'first', 'none'] as const;
export type Pooling = (typeof poolings)[number];

/**
 * One vector a sample. Outputs of [rows, positions, width] are pooled: `mean` over the positions that the attention mask names, `first`
 * takes the first position; `auto` is `mean` for three axes, and takes the output as it is for two.
 */
export function embeddings(batch: MetricBatch, rows: number, pooling: Pooling): Float64Array[] {
  return embed(batch.output, batch, rows, pooling);
}

function embed(output: Tensor, { feeds }: MetricBatch, rows: number, pooling: Pooling): Float64Array[] {
  const [count = 0, positions = 1, width = 1] = output.shape;
  if (count < rows)
    throw new UserError(
      'metric-output',
      `The output [${output.shape.join(', ')}] does not have the ${rows} rows that this metric compares.`,
    );
  const values = numbersOf(output);
  if (output.shape.length !== 3 || pooling === 'none') {
    const size = values.length / count;
    return Array.from({ length: rows }, (_, row) => Float64Array.from(values.subarray(row * size, (row + 1) * size)));
  }
  const mask = feeds?.get('attention_mask');
  const kept = mask && numbersOf(mask);
  return Array.from({ length: rows }, (_, row) => {
    const sum = new Float64Array(width);
    let taken = 0;
    for (let position = 0; position < (pooling === 'first' ? 1 : positions); position++) {
      const weight = pooling === 'first' ? 1 : (kept?.[row * positions + position] ?? 1);
      if (weight === 0) continue;
      taken += weight;
      const start = (row * positions + position) * width;
      for (let at = 0; at < width; at++) sum[at] = (sum[at] as number) + weight * (values[start + at] as number);
    }
    return sum.map((value) => value / Math.max(taken, 1));
  });
}

/** a·b / (|a|·|b|); NaN for a vector of zeros. */
export function cosineOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [a[at] as number, b[at] as number];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Mean over samples of the cosine between the model's output and that of the base model. */
export const cosine: MetricKind = {
  id: 'cosine',
  summary: 'mean cosine similarity with the outputs of the base model',
  make(settings) {
    const pooling = settings.choice('pooling', poolings, 'auto');
    return meanMetric(
      { id: 'cosine', summary: cosine.summary, higherIsBetter: true, needs: 'reference', graded: true },
      (batch) => {
        if (!batch.reference) throw missing('cosine', 'the outputs of a base model');
        const a = embed(batch.output, batch, batch.size, pooling);
        const b = embed(batch.reference, batch, batch.size, pooling);
        return a.map((row, at) => cosineOf(row, b[at] as Float64Array));
      },
    );
  },
};

interface Query {
  readonly label: number;
  readonly vector: Float64Array;
  /** The other text of a pair. */
  readonly document: Float64Array | undefined;
}

/**
 * Share of queries with a match among the `k` (default 1) nearest by cosine. By default every sample looks for another one of its label
 * among all the others; with `pairs` the first of each pair looks for its second among the seconds of all pairs. What is
 * NaN is near to nothing. Intervals draw queries; what is searched stays.
 */
export const recallAtK: MetricKind = {
  id: 'recall-at-k',
  summary: 'share of queries with a match among the k nearest by cosine',
  make(settings): Metric<Query> {
    const k = settings.count('k') ?? 1;
    const isPaired = settings.flag('pairs');
    const pooling = settings.choice('pooling', poolings, 'auto');
    const hits = (records: readonly Query[]): number[] =>
      records.map((query, at) => Number(finds(query, at, records, k)));
    return {
      id: 'recall-at-k',
      summary: recallAtK.summary,
      higherIsBetter: true,
      needs: isPaired ? 'feeds' : 'labels',
      blind: 0,
      score(batch) {
        const rows = embeddings(batch, isPaired ? 2 * batch.size : batch.size, pooling);
        if (!isPaired && !batch.labels) throw missing('recall-at-k', 'labels');
        return Array.from({ length: batch.size }, (_, at) => ({
          label: batch.labels?.[at] ?? 0,
          vector: unit(rows[at] as Float64Array),
          document: isPaired ? unit(rows[batch.size + at] as Float64Array) : undefined,
        }));
      },
      sample: () => Number.NaN,
      samples: hits,
      fold(records) {
        const found = hits(records);
        return (weights?: Weights) => weightedMean(found, weights);
      },
      ofMean: (mean) => mean,
    };
  },
};

const unit = (vector: Float64Array): Float64Array => {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / length);
};

function finds({ label, vector, document }: Query, self: number, all: readonly Query[], k: number): boolean {
  const near = (other: Query): number => {
    const against = other.document ?? other.vector;
    let sum = 0;
    for (let at = 0; at < vector.length; at++) sum += (vector[at] as number) * (against[at] as number);
    return sum;
  };
  if (document) {
    const own = near(all[self] as Query);
    if (Number.isNaN(own)) return false;
    let above = 0;
    for (const [at, other] of all.entries()) {
      const value = near(other);
      if (at !== self && (value > own || (value === own && at < self))) above++;
    }
    return above < k;
  }
  const ranked = all
    .map((other, at) => ({ at, isMatch: other.label === label, value: near(other) }))
    .filter(({ at, value }) => at !== self && !Number.isNaN(value))
    .sort((a, b) => b.value - a.value || a.at - b.at);
  return ranked.slice(0, k).some(({ isMatch }) => isMatch);
}
