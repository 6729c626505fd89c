import { UserError } from '../../errors.ts';
import { numbersOf } from '../cast.ts';
import { type Metric, type MetricKind, meanMetric, missing, type Weights } from './metric.ts';
import { argmax, pairedRows, rowsOf } from './rows.ts';

const clip = (value: number): number => Math.min(1, Math.max(0, value));

/** Peak signal-to-noise ratio for values in 0…1: mean over samples of −10·log₁₀(mean (y − t)²), in dB. y is clipped to 0…1. */
export const psnr: MetricKind = {
  id: 'psnr',
  summary: 'peak signal-to-noise ratio in dB, for values from 0 to 1',
  make: () =>
    meanMetric(
      { id: 'psnr', summary: psnr.summary, higherIsBetter: true, needs: 'targets', blind: 'mean', graded: true },
      (batch) => {
        const { values, wanted, width } = pairedRows(batch, 'psnr');
        return Array.from({ length: batch.size }, (_, sample) => {
          let sum = 0;
          for (let at = sample * width; at < (sample + 1) * width; at++)
            sum += (clip(values[at] as number) - (wanted[at] as number)) ** 2;
          return -10 * Math.log10(sum / width);
        });
      },
    ),
};

const window = gaussian(11, 1.5);

/** Weights of a bell of `size` points, summing to 1. */
function gaussian(size: number, sigma: number): Float64Array {
  const weights = Float64Array.from({ length: size }, (_, at) =>
    Math.exp(-((at - (size - 1) / 2) ** 2) / (2 * sigma * sigma)),
  );
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * Structural similarity (Wang and others 2004), values 0…1: mean over places where an 11 × 11 Gaussian window (σ 1.5) fits, and channels, of
 * (2·μx·μt + c₁)(2·σxt + c₂) / ((μx² + μt² + c₁)(σx² + σt² + c₂)), c₁ = 0.01², c₂ = 0.03². y is clipped to 0…1.
 */
export const ssim: MetricKind = {
  id: 'ssim',
  summary: 'structural similarity, for pictures with values from 0 to 1',
  make: () =>
    meanMetric(
      { id: 'ssim', summary: ssim.summary, higherIsBetter: true, needs: 'targets', blind: 'mean', graded: true },
      (batch) => {
        const { values, wanted, width } = pairedRows(batch, 'ssim');
        const [height = 0, columns = 0] = batch.output.shape.slice(-2);
        if (height < window.length || columns < window.length)
          throw new UserError(
            'metric-output',
            `ssim needs pictures of at least 11 × 11; the output is [${batch.output.shape.join(', ')}].`,
          );
        const planes = width / (height * columns);
        return Array.from({ length: batch.size }, (_, sample) => {
          let sum = 0;
          for (let plane = 0; plane < planes; plane++) {
            const start = sample * width + plane * height * columns;
            const x = Float64Array.from({ length: height * columns }, (_, at) => clip(values[start + at] as number));
            const t = Float64Array.from({ length: height * columns }, (_, at) => wanted[start + at] as number);
            sum += similarity(x, t, height, columns);
          }
          return sum / planes;
        });
      },
    ),
};

function similarity(x: Float64Array, t: Float64Array, height: number, width: number): number {
  const smooth = (values: Float64Array): Float64Array => blur(values, height, width);
  const product = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, at) => value * (b[at] as number));
  const [mx, mt, xx, tt, xt] = [x, t, product(x, x), product(t, t), product(x, t)].map(smooth) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const [c1, c2] = [0.01 ** 2, 0.03 ** 2];
  let sum = 0;
  for (let at = 0; at < mx.length; at++) {
    const [ux, ut] = [mx[at] as number, mt[at] as number];
    const [vx, vt, vxt] = [(xx[at] as number) - ux * ux, (tt[at] as number) - ut * ut, (xt[at] as number) - ux * ut];
    sum += ((2 * ux * ut + c1) * (2 * vxt + c2)) / ((ux * ux + ut * ut + c1) * (vx + vt + c2));
  }
  return sum / mx.length;
}

/** Weighted means over the window, where it fits: [height − 10, width − 10]. */
function blur(values: Float64Array, height: number, width: number): Float64Array {
  const inner = width - window.length + 1;
  const across = new Float64Array(height * inner);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < inner; column++) {
      let sum = 0;
      for (let at = 0; at < window.length; at++)
        sum += (window[at] as number) * (values[row * width + column + at] as number);
      across[row * inner + column] = sum;
    }
  const outer = height - window.length + 1;
  const result = new Float64Array(outer * inner);
  for (let row = 0; row < outer; row++)
    for (let column = 0; column < inner; column++) {
      let sum = 0;
      for (let at = 0; at < window.length; at++)
        sum += (window[at] as number) * (across[(row + at) * inner + column] as number);
      result[row * inner + column] = sum;
    }
  return result;
}

/** For each class: [class, pixels in both, pixels in either, pixels labelled], three numbers a class behind its id. */
type Overlaps = readonly (readonly [id: number, both: number, either: number, labelled: number])[];

/**
 * Mean intersection over union: over the classes that occur as label or prediction, the pixels in both / the pixels in either, summed over all
 * pictures. The output is class numbers, scores [N, classes, height, width] of which the highest counts, or one float a pixel, which is
 * class 1 from `threshold` on (floats that are all whole numbers are class numbers, unless a threshold is given); targets are class numbers
 * of the same height and width; 255 (`ignore`) does not count.
 */
export const meanIou: MetricKind = {
  id: 'miou',
  summary: 'mean intersection over union of segmented classes',
  make(settings): Metric<Overlaps> {
    const ignore = settings.number('ignore') ?? 255;
    const threshold = settings.number('threshold');
    const pool = (records: readonly Overlaps[]) => {
      const ids = [...new Set(records.flatMap((overlaps) => overlaps.map(([id]) => id)))].sort((a, b) => a - b);
      const places = new Map(ids.map((id, at) => [id, at]));
      const shares = (weights: Weights): Float64Array => {
        const both = new Float64Array(ids.length);
        const either = new Float64Array(ids.length);
        for (const [at, overlaps] of records.entries()) {
          const weight = weights?.[at] ?? 1;
          if (weight === 0) continue;
          for (const [id, inBoth, inEither] of overlaps) {
            const place = places.get(id) as number;
            both[place] = (both[place] as number) + weight * inBoth;
            either[place] = (either[place] as number) + weight * inEither;
          }
        }
        return both.map((value, at) => value / (either[at] as number));
      };
      return { ids, shares };
    };
    const meanOf = (shares: Float64Array): number => {
      const known = shares.filter((value) => !Number.isNaN(value));
      return known.reduce((sum, value) => sum + value, 0) / known.length;
    };
    return {
      id: 'miou',
      summary: meanIou.summary,
      higherIsBetter: true,
      needs: 'targets',
      blind: 'mode',
      score: ({ output, targets, size }) => {
        if (!targets) throw missing('miou', 'targets');
        const wanted = numbersOf(targets);
        const { values, width } = rowsOf(output, size);
        const pixels = wanted.length / size;
        const classes = width / pixels;
        if (!Number.isInteger(classes) || classes < 1)
          throw new UserError(
            'metric-output',
            `miou: the output [${output.shape.join(', ')}] does not have the ${pixels} pixels of a target.`,
          );
        const isClass = classes > 1 || (threshold === undefined && values.every(Number.isInteger));
        const map = isClass ? values : aboveThreshold(values, threshold ?? 0.5);
        return Array.from({ length: size }, (_, sample) =>
          overlapsOf(classMap(map, sample * width, classes, pixels), wanted, sample * pixels, ignore),
        );
      },
      sample: (overlaps) => meanOf(Float64Array.from(overlaps, ([, both, either]) => both / either)),
      fold(records) {
        const { shares } = pool(records);
        return (weights) => meanOf(shares(weights));
      },
      classes(records) {
        const { ids, shares } = pool(records);
        const counts = ids.map((id) =>
          records.reduce((sum, overlaps) => sum + (overlaps.find(([one]) => one === id)?.[3] ?? 0), 0),
        );
        return { ids, counts, values: shares };
      },
    };
  },
};

/** −1 for NaN, which is no class. */
function aboveThreshold(values: ArrayLike<number>, threshold: number): Int32Array {
  return Int32Array.from(values, (value) => (Number.isNaN(value) ? -1 : Number(value >= threshold)));
}

function classMap(values: ArrayLike<number>, start: number, classes: number, pixels: number): Int32Array {
  if (classes === 1) return Int32Array.from({ length: pixels }, (_, at) => values[start + at] as number);
  const column = new Float64Array(classes);
  return Int32Array.from({ length: pixels }, (_, at) => {
    for (let one = 0; one < classes; one++) column[one] = values[start + one * pixels + at] as number;
    return argmax(column, 0, classes);
  });
}

function overlapsOf(predicted: Int32Array, wanted: ArrayLike<number>, start: number, ignore: number): Overlaps {
  const sums = new Map<number, [both: number, predicted: number, labelled: number]>();
  const of = (id: number): [number, number, number] => {
    const known = sums.get(id);
    if (known) return known;
    const fresh: [number, number, number] = [0, 0, 0];
    sums.set(id, fresh);
    return fresh;
  };
  for (let at = 0; at < predicted.length; at++) {
    const label = wanted[start + at] as number;
    if (label === ignore) continue;
    const guess = predicted[at] as number;
    if (label === guess) of(label)[0]++;
    of(guess)[1]++;
    of(label)[2]++;
  }
  return [...sums].map(([id, [both, guessed, labelled]]) => [id, both, guessed + labelled - both, labelled]);
}
