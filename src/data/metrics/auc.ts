import { UserError } from '../../errors.ts';
import { type Metric, type MetricKind, missing, type Weights } from './metric.ts';
import { checkLabels, rowsOf } from './rows.ts';

/** Label and scores of a sample: one score for two classes, else a probability for each. */
interface Scored {
  readonly label: number;
  readonly scores: Float64Array;
}

/**
 * Area under the receiver operating characteristic: the chance that a sample of the class scores above one that is not of it, ties
 * counting half (Mann and Whitney's U / (n₊·n₋)). Two classes: by the second score less the first, or by the single number. More: one
 * class against the rest, averaged over the classes that occur (`ovr`, macro); by probabilities, so outputs that are none (rows that
 * do not all sum to 1) go through softmax first.
 */
export const rocAuc: MetricKind = {
  id: 'roc-auc',
  summary: 'area under the ROC curve; with more than two classes one against the rest, averaged',
  make(): Metric<Scored> {
    return {
      id: 'roc-auc',
      summary: rocAuc.summary,
      higherIsBetter: true,
      needs: 'labels',
      blind: 0.5,
      score({ output, size, labels }) {
        if (!labels) throw missing('roc-auc', 'labels');
        const { values, width } = rowsOf(output, size);
        checkLabels(labels, Math.max(width, 2));
        return labels.map((label, sample) => ({ label, scores: rowOf(values, sample * width, width) }));
      },
      sample: (record) => ofLabel(comparable([record])[0] as Scored),
      samples: (records) => comparable(records).map(ofLabel),
      fold(records) {
        const areas = classAreas(comparable(records));
        return (weights) => {
          let sum = 0;
          let count = 0;
          for (const area of areas) {
            const value = area(weights);
            if (Number.isNaN(value)) continue;
            sum += value;
            count++;
          }
          return count === 0 ? Number.NaN : sum / count;
        };
      },
    };
  },
};

const ofLabel = ({ label, scores }: Scored): number =>
  scores.length > 1 ? (scores[label] as number) : (scores[0] as number);

function rowOf(values: ArrayLike<number>, start: number, width: number): Float64Array {
  if (width === 2) return Float64Array.of((values[start + 1] as number) - (values[start] as number));
  return Float64Array.from({ length: width }, (_, at) => values[start + at] as number);
}

/** Scores that samples can be ranked by. All of them tell whether these are probabilities: a row of logits may sum to 1 by chance. */
function comparable(records: readonly Scored[]): readonly Scored[] {
  if ((records[0]?.scores.length ?? 0) <= 1 || records.every(({ scores }) => isDistribution(scores))) return records;
  return records.map(({ label, scores }) => ({ label, scores: softmax(scores) }));
}

/** Rounded to 8 bits, probabilities no longer sum to 1 exactly. */
function isDistribution(row: Float64Array): boolean {
  const sum = row.reduce((total, value) => total + value, 0);
  return Math.abs(sum - 1) < 0.05 && row.every((value) => value >= 0);
}

function softmax(row: Float64Array): Float64Array {
  const high = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const powers = row.map((value) => Math.exp(value - high));
  // In order of size: in the order of the classes, rows that are permutations of each other would differ in the last bit, and no longer tie.
  const whole = powers.toSorted().reduce((total, value) => total + value, 0);
  return powers.map((value) => value / whole);
}

function classAreas(records: readonly Scored[]): ((weights: Weights) => number)[] {
  const width = records[0]?.scores.length ?? 0;
  if (records.some(({ scores }) => scores.some(Number.isNaN)))
    throw new UserError('metric-output', 'roc-auc cannot rank outputs that hold NaN.');
  if (width <= 1) return [area(records, 0, 1)];
  const present = new Set(records.map(({ label }) => label));
  return [...present].sort((a, b) => a - b).map((id) => area(records, id, id));
}

/** Sorted once; each drawing of samples is then one walk along the order. */
function area(records: readonly Scored[], column: number, positive: number): (weights: Weights) => number {
  const scores = Float64Array.from(records, (record) => record.scores[column] as number);
  const isPositive = Uint8Array.from(records, (record) => Number(record.label === positive));
  const order = Uint32Array.from(records.keys()).sort((a, b) => (scores[a] as number) - (scores[b] as number));
  return (weights) => {
    let [below, positives, won] = [0, 0, 0];
    for (let at = 0; at < order.length; ) {
      const score = scores[order[at] as number] as number;
      let [up, down] = [0, 0];
      for (; at < order.length && scores[order[at] as number] === score; at++) {
        const sample = order[at] as number;
        const weight = weights?.[sample] ?? 1;
        if (isPositive[sample]) up += weight;
        else down += weight;
      }
      won += up * (below + down / 2);
      below += down;
      positives += up;
    }
    return positives === 0 || below === 0 ? Number.NaN : won / (positives * below);
  };
}
