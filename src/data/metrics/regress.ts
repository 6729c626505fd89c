import { UserError } from '../../errors.ts';
import { numbersOf } from '../cast.ts';
import { cosineOf, embeddings, poolings } from './embed.ts';
import { type Metric, type MetricBatch, type MetricKind, meanMetric, missing, type Weights } from './metric.ts';
import { pairedRows } from './rows.ts';

/** Mean absolute error: mean over samples of mean |y − t|. */
export const mae: MetricKind = {
  id: 'mae',
  summary: 'mean absolute error',
  make: () =>
    meanMetric({ id: 'mae', summary: mae.summary, higherIsBetter: false, needs: 'targets', blind: 'median' }, (batch) =>
      perSample(batch, 'mae', Math.abs),
    ),
};

/** Root mean square error: √ of the mean over samples of mean (y − t)². */
export const rmse: MetricKind = {
  id: 'rmse',
  summary: 'root mean square error',
  make: () =>
    meanMetric(
      { id: 'rmse', summary: rmse.summary, higherIsBetter: false, needs: 'targets', blind: 'mean' },
      (batch) => perSample(batch, 'rmse', (difference) => difference * difference),
      Math.sqrt,
    ),
};

/** The mean loss over the numbers of each sample. */
function perSample(batch: MetricBatch, id: string, loss: (difference: number) => number): number[] {
  const { values, wanted, width } = pairedRows(batch, id);
  const scores: number[] = [];
  for (let sample = 0; sample < batch.size; sample++) {
    let sum = 0;
    for (let at = sample * width; at < (sample + 1) * width; at++)
      sum += loss((values[at] as number) - (wanted[at] as number));
    scores.push(sum / width);
  }
  return scores;
}

/** Prediction and truth of a sample. */
type Point = readonly [predicted: number, wanted: number];

/**
 * One prediction and one target a sample. With `pairs`, the model embeds both texts of a pair (rows i and n + i) and their cosine is
 * the prediction, as in semantic textual similarity.
 */
function pointsKind(
  id: string,
  summary: string,
  correlation: (points: readonly Point[]) => (weights: Weights) => number,
): MetricKind {
  return {
    id,
    summary,
    make(settings): Metric<Point> {
      const isPaired = settings.flag('pairs');
      const pooling = settings.choice('pooling', poolings, 'auto');
      return {
        id,
        summary,
        higherIsBetter: true,
        needs: 'targets',
        blind: 0,
        score(batch) {
          if (!isPaired) {
            const { values, wanted, width } = pairedRows(batch, id);
            if (width !== 1)
              throw new UserError(
                'metric-output',
                `${id} needs one number a sample; the output has ${width}. For embeddings of text pairs set "pairs": true.`,
              );
            return Array.from({ length: batch.size }, (_, at) => [values[at] as number, wanted[at] as number]);
          }
          if (!batch.targets) throw missing(id, 'targets');
          const wanted = numbersOf(batch.targets);
          const rows = embeddings(batch, 2 * batch.size, pooling);
          return Array.from({ length: batch.size }, (_, at) => [
            cosineOf(rows[at] as Float64Array, rows[batch.size + at] as Float64Array),
            wanted[at] as number,
          ]);
        },
        sample: ([predicted, wanted]) => Math.abs(predicted - wanted),
        fold: correlation,
      };
    },
  };
}

/** Pearson's correlation: Σ(x − x̄)(t − t̄) / √(Σ(x − x̄)²·Σ(t − t̄)²). NaN where one of the two never varies. */
export const pearson = pointsKind('pearson', 'linear correlation of predictions and targets', (points) => {
  const x = Float64Array.from(points, ([predicted]) => predicted);
  const t = Float64Array.from(points, ([, wanted]) => wanted);
  return (weights) => correlate(x, t, weights);
});

/** Spearman's correlation: Pearson's, of ranks; equal numbers share the mean of their ranks, and what is NaN has none: then so is the figure. */
export const spearman = pointsKind('spearman', 'rank correlation of predictions and targets', (points) => {
  const x = ranker(Float64Array.from(points, ([predicted]) => predicted));
  const t = ranker(Float64Array.from(points, ([, wanted]) => wanted));
  return (weights) => correlate(x(weights), t(weights), weights);
});

function correlate(x: ArrayLike<number>, t: ArrayLike<number>, weights: Weights): number {
  let [n, sumX, sumT] = [0, 0, 0];
  for (let at = 0; at < x.length; at++) {
    const weight = weights?.[at] ?? 1;
    n += weight;
    sumX += weight * (x[at] as number);
    sumT += weight * (t[at] as number);
  }
  let [xx, tt, xt] = [0, 0, 0];
  for (let at = 0; at < x.length; at++) {
    const weight = weights?.[at] ?? 1;
    const dx = (x[at] as number) - sumX / n;
    const dt = (t[at] as number) - sumT / n;
    xx += weight * dx * dx;
    tt += weight * dt * dt;
    xt += weight * dx * dt;
  }
  return xt / Math.sqrt(xx * tt);
}

/** Mid-ranks of numbers, each counted as often as it was drawn; the order is found once. */
function ranker(values: Float64Array): (weights: Weights) => Float64Array {
  const numbers = Uint32Array.from(values.keys()).filter((at) => !Number.isNaN(values[at]));
  const order = numbers.sort((a, b) => (values[a] as number) - (values[b] as number));
  return (weights) => {
    const ranks = new Float64Array(values.length).fill(Number.NaN);
    let before = 0;
    for (let at = 0; at < order.length; ) {
      const value = values[order[at] as number];
      const first = at;
      let count = 0;
      for (; at < order.length && values[order[at] as number] === value; at++)
        count += weights?.[order[at] as number] ?? 1;
      for (let tied = first; tied < at; tied++) ranks[order[tied] as number] = before + (count + 1) / 2;
      before += count;
    }
    return ranks;
  };
}
