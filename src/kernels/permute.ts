/**
 * An order of columns in which groups of `m` neighbours keep more of their weights when only `n` of each group stay in every row
 * (Pool and Yu 2021): pairs of columns of different groups, drawn at random, change places where that gains.
 * @param weights magnitudes [rows, columns]
 * @param work entries looked at, at most: bounds the time
 * @param next random numbers in [0, 1)
 * @returns the column at each place, and what is kept before and after
 */
export function searchOrder(
  weights: Float32Array,
  columns: number,
  n: number,
  m: number,
  work: number,
  next: () => number,
): { readonly order: Int32Array; readonly before: number; readonly after: number } {
  const rows = weights.length / columns;
  const groups = Math.floor(columns / m);
  const byColumn = new Float32Array(weights.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) byColumn[c * rows + r] = weights[r * columns + c] as number;
  const order = Int32Array.from({ length: columns }, (_, c) => c);
  const values = new Float64Array(m);
  const keptOf = (group: number): number => {
    let sum = 0;
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < m; j++) values[j] = byColumn[(order[group * m + j] as number) * rows + r] as number;
      sum += largestOf(values, n);
    }
    return sum;
  };
  const kept = Float64Array.from({ length: groups }, (_, g) => keptOf(g));
  const before = kept.reduce((a, b) => a + b, 0);
  const turns = groups < 2 ? 0 : Math.floor(work / (2 * m * rows));
  // As often as all pairs are met a few times over without a gain.
  const patience = 4 * columns * columns;
  for (let turn = 0, idle = 0; turn < turns && idle < patience; turn++, idle++) {
    const a = Math.floor(next() * groups * m);
    const b = Math.floor(next() * groups * m);
    const [g, h] = [Math.floor(a / m), Math.floor(b / m)];
    if (g === h) continue;
    swap(order, a, b);
    const [first, second] = [keptOf(g), keptOf(h)];
    // What rounding alone could bring about is no gain.
    if (first + second > ((kept[g] as number) + (kept[h] as number)) * (1 + 1e-9)) {
      kept[g] = first;
      kept[h] = second;
      idle = 0;
    } else swap(order, a, b);
  }
  return { order, before, after: kept.reduce((a, b) => a + b, 0) };
}

function swap(order: Int32Array, a: number, b: number): void {
  const kept = order[a] as number;
  order[a] = order[b] as number;
  order[b] = kept;
}

/** Sum of the n largest; few numbers, changed in place. */
function largestOf(values: Float64Array, n: number): number {
  let sum = 0;
  for (let k = 0; k < n; k++) {
    let best = 0;
    for (let j = 1; j < values.length; j++) if ((values[j] as number) > (values[best] as number)) best = j;
    sum += values[best] as number;
    values[best] = -1;
  }
  return sum;
}
