/**
 * Kullback–Leibler divergence Σ p·ln(p/q) of rows of class scores, summed over the rows, in nats. Where all rows of the reference are distributions
 * (no number below 0, sum 1), both are taken as they are; otherwise all go through softmax, a row of scores that sums to 1 by chance too. Rows with
 * NaN or infinities in the reference count as 0; where only the other has them, the divergence is infinite.
 * @param classes length of a row
 */
export function sumOfDivergences(reference: ArrayLike<number>, other: ArrayLike<number>, classes: number): number {
  let sum = 0;
  const p = new Float64Array(classes);
  const q = new Float64Array(classes);
  const logarithms = areDistributions(reference, classes) ? logOfProbabilities : logOfSoftmax;
  for (let start = 0; start + classes <= reference.length; start += classes) {
    if (!isFiniteRow(reference, start, classes)) continue;
    if (!isFiniteRow(other, start, classes)) return Number.POSITIVE_INFINITY;
    logarithms(reference, start, p);
    logarithms(other, start, q);
    let row = 0;
    for (let at = 0; at < classes; at++) {
      const log = p[at] as number;
      row += Math.exp(log) * (log - (q[at] as number));
    }
    sum += Math.max(0, row);
  }
  return sum;
}

function isFiniteRow(scores: ArrayLike<number>, start: number, classes: number): boolean {
  for (let at = start; at < start + classes; at++) if (!Number.isFinite(scores[at])) return false;
  return true;
}

/** Whether all finite rows are. */
function areDistributions(scores: ArrayLike<number>, classes: number): boolean {
  for (let start = 0; start + classes <= scores.length; start += classes) {
    if (!isFiniteRow(scores, start, classes)) continue;
    let [least, total] = [Number.POSITIVE_INFINITY, 0];
    for (let at = start; at < start + classes; at++) {
      least = Math.min(least, scores[at] as number);
      total += scores[at] as number;
    }
    if (least < 0 || Math.abs(total - 1) >= 1e-3) return false;
  }
  return true;
}

/** A probability of 0 in a distribution that was rounded: not impossible, only small. */
const smallest = 1e-9;

function logOfProbabilities(scores: ArrayLike<number>, start: number, into: Float64Array): void {
  for (let at = 0; at < into.length; at++) into[at] = Math.log(Math.max(smallest, scores[start + at] as number));
}

function logOfSoftmax(scores: ArrayLike<number>, start: number, into: Float64Array): void {
  let most = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < into.length; at++) most = Math.max(most, scores[start + at] as number);
  let sum = 0;
  for (let at = 0; at < into.length; at++) sum += Math.exp((scores[start + at] as number) - most);
  const log = Math.log(sum) + most;
  for (let at = 0; at < into.length; at++) into[at] = (scores[start + at] as number) - log;
}
