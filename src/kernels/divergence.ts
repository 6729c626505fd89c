/**
 * Kullback–Leibler divergence Σ p·ln(p/q) of rows of class scores, summed over the rows, in nats. Rows that are distributions already
 * (no number below 0, sum 1) are taken as they are, others go through softmax. Rows with NaN or infinities in the reference count as 0; where
 * only the other has them, the divergence is infinite.
 * @param classes length of a row
 */
export function sumOfDivergences(reference: ArrayLike<number>, other: ArrayLike<number>, classes: number): number {
  let sum = 0;
  const p = new Float64Array(classes);
  const q = new Float64Array(classes);
  for (let start = 0; start + classes <= reference.length; start += classes) {
    if (!logProbabilities(reference, start, p)) continue;
    if (!logProbabilities(other, start, q)) return Number.POSITIVE_INFINITY;
    let row = 0;
    for (let at = 0; at < classes; at++) {
      const log = p[at] as number;
      if (log > Number.NEGATIVE_INFINITY) row += Math.exp(log) * (log - (q[at] as number));
    }
    sum += Math.max(0, row);
  }
  return sum;
}

/** A probability of 0 in a distribution that was rounded: not impossible, only small. */
const smallest = Math.log(1e-9);

/** Writes ln p of one row into `into`; false where the row has no finite numbers. */
function logProbabilities(scores: ArrayLike<number>, start: number, into: Float64Array): boolean {
  const classes = into.length;
  let most = Number.NEGATIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  let total = 0;
  for (let at = 0; at < classes; at++) {
    const score = scores[start + at] as number;
    if (score - score !== 0) return false;
    most = Math.max(most, score);
    least = Math.min(least, score);
    total += score;
  }
  if (least >= 0 && Math.abs(total - 1) < 1e-3) {
    for (let at = 0; at < classes; at++) into[at] = Math.max(smallest, Math.log(scores[start + at] as number));
    return true;
  }
  let sum = 0;
  for (let at = 0; at < classes; at++) sum += Math.exp((scores[start + at] as number) - most);
  const log = Math.log(sum) + most;
  for (let at = 0; at < classes; at++) into[at] = (scores[start + at] as number) - log;
  return true;
}
