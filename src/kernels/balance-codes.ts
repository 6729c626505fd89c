/**
 * As `balanceWindows`, for codes of a palette: a weight goes over to the neighbouring value where that makes Σe² + (Σe)² of its window smaller, e the errors
 * of the window. The second term is what neighbouring inputs see that are alike, as in images.
 *
 * @param data [windows, window], exact zeros of which stay what they are
 * @param codes numbers of `centers`; changed in place
 * @param centers rising
 */
export function balanceCodes(data: Float32Array, codes: Uint8Array, centers: Float32Array, window: number): void {
  if (window < 2) return;
  for (let from = 0; from < data.length; from += window) {
    let sum = 0;
    for (let at = from; at < from + window; at++) sum += errorOf(data, codes, centers, at);
    // Each move makes a positive amount smaller; windows are small, and a few moves settle one.
    for (let moves = 0; moves < window; moves++) {
      let [best, step, gain] = [-1, 0, 0];
      const turn = sum > 0 ? -1 : 1;
      for (let at = from; at < from + window; at++) {
        const next = centers[(codes[at] as number) + turn];
        if (next === undefined || data[at] === 0) continue;
        const error = errorOf(data, codes, centers, at);
        const moved = next - (centers[codes[at] as number] as number);
        const saved = error * error - (error + moved) ** 2 + sum * sum - (sum + moved) ** 2;
        if (saved > gain) [best, step, gain] = [at, moved, saved];
      }
      if (best < 0) break;
      codes[best] = (codes[best] as number) + turn;
      sum += step;
    }
  }
}

const errorOf = (data: Float32Array, codes: Uint8Array, centers: Float32Array, at: number): number =>
  (centers[codes[at] as number] as number) - (data[at] as number);
