import { UserError } from '../../errors.ts';
import { dtypeKind } from '../../ir/dtype.ts';
import type { Numbers } from '../cast.ts';
import { type Metric, type MetricBatch, type MetricKind, meanMetric, missing, type Weights } from './metric.ts';
import { argmaxRows, checkLabels, hasRowPerSample, predictedClasses, rowsOf } from './rows.ts';

/** Share of samples whose label is among the k highest outputs. Ties go to the lower class; NaN never wins. */
function topKind(id: string, k: number, summary: string): MetricKind {
  return {
    id,
    summary,
    make: () => meanMetric({ id, summary, higherIsBetter: true, needs: 'labels' }, (batch) => topK(batch, k)),
  };
}

export const top1 = topKind('top1', 1, 'share of samples whose class has the highest score');
export const top5 = topKind('top5', 5, 'share of samples whose class is among the five highest scores');

/** Share of samples on which the highest output is that of the base model (at every position, where there are several). */
export const agreement: MetricKind = {
  id: 'agreement',
  summary: 'share of samples with the same highest class as the base model',
  make: () =>
    meanMetric(
      { id: 'agreement', summary: agreement.summary, higherIsBetter: true, needs: 'reference' },
      ({ output, size, reference, feeds }) => {
        if (!reference) throw missing('agreement', 'the outputs of a base model');
        if (feeds && !hasRowPerSample(output, feeds)) {
          const why = `The output [${output.shape.join(', ')}] has no row for each sample whose highest class could agree.`;
          throw new UserError('metric-output', why);
        }
        const a = argmaxRows(output, size);
        const b = argmaxRows(reference, size);
        return a.map((row, sample) =>
          row.length === b[sample]?.length && row.every((best, at) => best === b[sample]?.[at]) ? 1 : 0,
        );
      },
    ),
};

function topK({ output, size, labels }: MetricBatch, k: number): number[] {
  if (!labels) throw missing(`top${k}`, 'labels');
  const { values, width } = rowsOf(output, size);
  if (width === 1) {
    // An output of class numbers (a classifier with its own ArgMax) is compared as it is.
    if (dtypeKind(output.dtype) !== 'float') return labels.map((label, sample) => (values[sample] === label ? 1 : 0));
    throw new UserError(
      'metric-output',
      `top${k} needs one score for each class; the output has a single number a sample. For a single probability choose accuracy, f1 or roc-auc.`,
    );
  }
  checkLabels(labels, width);
  return labels.map((label, sample) => (rankBelow(values, sample * width, width, label, k) ? 1 : 0));
}

/** True when fewer than `k` entries of the row beat entry `label`. */
function rankBelow(values: Numbers, start: number, width: number, label: number, k: number): boolean {
  const own = values[start + label] as number;
  if (Number.isNaN(own)) return false;
  let above = 0;
  for (let at = 0; at < width; at++) {
    const other = values[start + at] as number;
    if (other > own || (other === own && at < label)) above++;
    if (above >= k) return false;
  }
  return true;
}

/** Label and predicted class of a sample. */
type Pair = readonly [label: number, predicted: number];

const isRight = ([label, predicted]: Pair): number => (label === predicted ? 1 : 0);

function pairs(batch: MetricBatch, id: string, threshold: number): Pair[] {
  const { labels, output, size } = batch;
  if (!labels) throw missing(id, 'labels');
  const { width } = rowsOf(output, size);
  if (width > 1) checkLabels(labels, width);
  else if (dtypeKind(output.dtype) === 'float') checkLabels(labels, 2);
  const predicted = predictedClasses(output, size, threshold);
  return labels.map((label, sample) => [label, predicted[sample] ?? -1]);
}

/** Share of samples put into their class. Like top1, and for one probability (or logit, with `threshold` 0) a sample too. */
export const accuracy: MetricKind = {
  id: 'accuracy',
  summary: 'share of samples put into their class; one probability a sample will do',
  make(settings) {
    const threshold = settings.number('threshold') ?? 0.5;
    return meanMetric({ id: 'accuracy', summary: accuracy.summary, higherIsBetter: true, needs: 'labels' }, (batch) =>
      pairs(batch, 'accuracy', threshold).map(isRight),
    );
  },
};

/** Samples by label and prediction: the cells that occur, and which one each sample is in. */
interface Cells {
  /** Classes that occur as label or prediction; −1 is no class, the prediction of a sample whose scores are all NaN. */
  readonly ids: readonly number[];
  /** Place in `ids` of the label and of the prediction (−1: none) of each cell. */
  readonly labels: Int32Array;
  readonly predicted: Int32Array;
  /** How many samples are in each cell, each counted as often as it was drawn. */
  readonly count: (weights: Weights) => Float64Array;
}

function cellsOf(records: readonly Pair[]): Cells {
  const ids = [...new Set(records.flat())].filter((id) => id >= 0).sort((a, b) => a - b);
  const places = new Map(ids.map((id, at) => [id, at]));
  const width = ids.length + 1;
  const cells = new Map<number, number>();
  const cellOf = Int32Array.from(records, ([label, guess]) => {
    const key = (places.get(label) ?? -1) * width + (places.get(guess) ?? -1) + 1;
    const known = cells.get(key);
    if (known !== undefined) return known;
    cells.set(key, cells.size);
    return cells.size - 1;
  });
  return {
    ids,
    labels: Int32Array.from(cells.keys(), (key) => Math.floor(key / width)),
    predicted: Int32Array.from(cells.keys(), (key) => (key % width) - 1),
    count(weights) {
      const counts = new Float64Array(cells.size);
      for (let at = 0; at < cellOf.length; at++) {
        const cell = cellOf[at] as number;
        counts[cell] = (counts[cell] as number) + (weights ? (weights[at] as number) : 1);
      }
      return counts;
    },
  };
}

/** Right, wrongly claimed and missed samples of each class. */
interface Counts {
  readonly tp: Float64Array;
  readonly fp: Float64Array;
  readonly fn: Float64Array;
}

function countsOf({ ids, labels, predicted, count }: Cells, weights: Weights): Counts {
  const n = ids.length;
  const counts = { tp: new Float64Array(n), fp: new Float64Array(n), fn: new Float64Array(n) };
  for (const [cell, samples] of count(weights).entries()) {
    const [own, other] = [labels[cell] as number, predicted[cell] as number];
    if (own === other) counts.tp[own] = (counts.tp[own] as number) + samples;
    else {
      counts.fn[own] = (counts.fn[own] as number) + samples;
      if (other >= 0) counts.fp[other] = (counts.fp[other] as number) + samples;
    }
  }
  return counts;
}

const occurs = ({ tp, fp, fn }: Counts, at: number): boolean =>
  (tp[at] as number) + (fp[at] as number) + (fn[at] as number) > 0;

type OfCounts = (tp: number, fp: number, fn: number) => number;

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** precision tp/(tp+fp), recall tp/(tp+fn), f1 2·tp/(2·tp+fp+fn); 0 where the divisor is 0, as scikit-learn has it. */
const formulas = {
  precision: (tp, fp) => share(tp, tp + fp),
  recall: (tp, _fp, fn) => share(tp, tp + fn),
  f1: (tp, fp, fn) => share(2 * tp, 2 * tp + fp + fn),
} satisfies Record<string, OfCounts>;

/**
 * One of the formulas. `average`: `macro` (default) is the mean over the classes that occur as label or prediction, `weighted` weighs
 * it by the samples of each class, `micro` puts the counts of all classes together, `binary` judges the class `positive`
 * (default 1) alone.
 */
function countsKind(id: keyof typeof formulas, summary: string): MetricKind {
  const formula: OfCounts = formulas[id];
  return {
    id,
    summary,
    make(settings): Metric<Pair> {
      const average = settings.choice('average', ['macro', 'micro', 'binary', 'weighted'], 'macro');
      const positive = settings.count('positive', 0) ?? 1;
      const threshold = settings.number('threshold') ?? 0.5;
      const ofEach = ({ tp, fp, fn }: Counts): number[] =>
        Array.from(tp, (_, at) => formula(tp[at] as number, fp[at] as number, fn[at] as number));
      return {
        id,
        summary,
        higherIsBetter: true,
        needs: 'labels',
        // Naming everything the class that is looked for finds all of it: alone that says nothing.
        ...(!(id === 'recall' && average === 'binary') && { blind: 'class' as const }),
        score: (batch) => pairs(batch, id, threshold),
        sample: isRight,
        fold(records) {
          const cells = cellsOf(records);
          return (weights) => {
            const counts = countsOf(cells, weights);
            if (average === 'micro') return formula(total(counts.tp), total(counts.fp), total(counts.fn));
            const each = ofEach(counts);
            if (average === 'binary') return each[cells.ids.indexOf(positive)] ?? 0;
            if (average === 'macro') {
              // A drawing without a class says nothing of it.
              const drawn = each.filter((_, at) => occurs(counts, at));
              return total(drawn) / drawn.length;
            }
            const support = each.map((_, at) => (counts.tp[at] as number) + (counts.fn[at] as number));
            return total(each.map((value, at) => value * (support[at] as number))) / total(support);
          };
        },
        classes(records) {
          const cells = cellsOf(records);
          const { tp, fn } = countsOf(cells, undefined);
          return {
            ids: cells.ids,
            counts: cells.ids.map((_, at) => (tp[at] as number) + (fn[at] as number)),
            // A class that was not drawn has no figure.
            values(weights) {
              const counts = countsOf(cells, weights);
              return ofEach(counts).map((value, at) => (occurs(counts, at) ? value : Number.NaN));
            },
          };
        },
      };
    },
  };
}

const total = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};

export const precision = countsKind('precision', 'share of what was put into a class that belongs there');
export const recall = countsKind('recall', 'share of a class that was put into it');
export const f1 = countsKind('f1', 'harmonic mean of precision and recall');

/**
 * Matthews' correlation of labels and predictions, for any number of classes (Gorodkin 2004):
 * (c·s − Σ pₖ·tₖ) / √((s² − Σ pₖ²)·(s² − Σ tₖ²)) with s samples, c of them right, tₖ labelled and pₖ predicted k; 0 where the divisor is 0.
 */
export const mcc: MetricKind = {
  id: 'mcc',
  summary: 'Matthews correlation of labels and predicted classes',
  make(settings): Metric<Pair> {
    const threshold = settings.number('threshold') ?? 0.5;
    return {
      id: 'mcc',
      summary: mcc.summary,
      higherIsBetter: true,
      needs: 'labels',
      blind: 0,
      score: (batch) => pairs(batch, 'mcc', threshold),
      sample: isRight,
      fold(records) {
        const cells = cellsOf(records);
        // The last place is that of predictions which are no class.
        const n = cells.ids.length + 1;
        return (weights) => {
          const labelled = new Float64Array(n);
          const predicted = new Float64Array(n);
          let samples = 0;
          let right = 0;
          for (const [cell, count] of cells.count(weights).entries()) {
            const t = cells.labels[cell] as number;
            const p = ((cells.predicted[cell] as number) + n) % n;
            labelled[t] = (labelled[t] as number) + count;
            predicted[p] = (predicted[p] as number) + count;
            samples += count;
            if (t === p) right += count;
          }
          let [both, squareT, squareP] = [0, 0, 0];
          for (let at = 0; at < n; at++) {
            const [t, p] = [labelled[at] as number, predicted[at] as number];
            both += t * p;
            squareT += t * t;
            squareP += p * p;
          }
          const divisor = Math.sqrt((samples * samples - squareP) * (samples * samples - squareT));
          return divisor === 0 ? 0 : (right * samples - both) / divisor;
        };
      },
    };
  },
};
