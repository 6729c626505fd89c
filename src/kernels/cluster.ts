/** k-means in one dimension, for weights that are stored as numbers of a palette. */

/** Values that centres are fitted to, at most: more of them, evenly spread, move a centre by less than its rounding to a float16. */
const mostFitted = 1 << 18;
const mostRounds = 100;

export interface Palette {
  /** Rising. */
  readonly centers: Float32Array;
  /** Σ importance · (x − centre)² over the values that it was fitted to. */
  readonly error: number;
}

/**
 * Centres with the least squared error (Lloyd), from two beginnings: spread over the range, and over the values.
 * @param importance of each value, default all alike
 * @param zero keep a centre at exactly 0: zeros stay zero then
 */
export function fitPalette(
  values: Float32Array,
  count: number,
  { importance, zero = false }: { readonly importance?: Float32Array | undefined; readonly zero?: boolean } = {},
): Palette {
  const { x, sums, moments, squares } = prepare(values, importance);
  const n = x.length;
  if (n === 0) return { centers: new Float32Array(count), error: 0 };
  const [low, high] = [x[0] as number, x[n - 1] as number];
  const beginnings = [
    Float64Array.from({ length: count }, (_, c) => low + ((c + 0.5) * (high - low)) / count),
    Float64Array.from({ length: count }, (_, c) => x[Math.floor(((c + 0.5) * n) / count)] as number),
  ];
  let best: Palette | undefined;
  for (const centers of beginnings) {
    const error = lloyd(centers, x, sums, moments, squares, zero);
    if (!best || error < best.error) best = { centers: Float32Array.from(centers), error };
  }
  return best as Palette;
}

interface Prepared {
  /** Rising. */
  readonly x: Float32Array;
  /** Of the first i values: Σ w, Σ w·x, Σ w·x². */
  readonly sums: Float64Array;
  readonly moments: Float64Array;
  readonly squares: Float64Array;
}

function prepare(values: Float32Array, importance: Float32Array | undefined): Prepared {
  const step = Math.max(1, Math.ceil(values.length / mostFitted));
  const n = Math.ceil(values.length / step);
  let x: Float32Array;
  let w: Float32Array | undefined;
  if (importance) {
    const order = Uint32Array.from({ length: n }, (_, i) => i * step).sort(
      (a, b) => (values[a] as number) - (values[b] as number),
    );
    x = Float32Array.from(order, (at) => values[at] as number);
    w = Float32Array.from(order, (at) => importance[at] as number);
  } else {
    x = Float32Array.from({ length: n }, (_, i) => values[i * step] as number).sort();
  }
  const [sums, moments, squares] = [new Float64Array(n + 1), new Float64Array(n + 1), new Float64Array(n + 1)];
  for (let i = 0; i < n; i++) {
    const [value, weight] = [x[i] as number, w?.[i] ?? 1];
    sums[i + 1] = (sums[i] as number) + weight;
    moments[i + 1] = (moments[i] as number) + weight * value;
    squares[i + 1] = (squares[i] as number) + weight * value * value;
  }
  return { x, sums, moments, squares };
}

/** Moves the centres until they stay. @returns the error that is left */
function lloyd(
  centers: Float64Array,
  x: Float32Array,
  sums: Float64Array,
  moments: Float64Array,
  squares: Float64Array,
  zero: boolean,
): number {
  const count = centers.length;
  let error = Number.POSITIVE_INFINITY;
  for (let round = 0; round < mostRounds; round++) {
    if (zero) pinZero(centers);
    let from = 0;
    let now = 0;
    const next = centers.slice();
    for (let c = 0; c < count; c++) {
      const bound =
        c + 1 < count ? ((centers[c] as number) + (centers[c + 1] as number)) / 2 : Number.POSITIVE_INFINITY;
      const to = firstAbove(x, bound, from);
      const mass = (sums[to] as number) - (sums[from] as number);
      const moment = (moments[to] as number) - (moments[from] as number);
      const center = centers[c] as number;
      now += (squares[to] as number) - (squares[from] as number) - 2 * center * moment + center * center * mass;
      if (mass > 0) next[c] = moment / mass;
      from = to;
    }
    if (!(now < error * (1 - 1e-6))) break;
    error = now;
    if (round + 1 < mostRounds) centers.set(next);
  }
  if (zero) pinZero(centers);
  return Math.max(0, error);
}

/** The centre nearest to zero becomes zero. */
function pinZero(centers: Float64Array): void {
  let nearest = 0;
  for (let c = 1; c < centers.length; c++)
    if (Math.abs(centers[c] as number) < Math.abs(centers[nearest] as number)) nearest = c;
  centers[nearest] = 0;
}

/** Index of the first value above `bound`, at or behind `from`. */
function firstAbove(x: Float32Array, bound: number, from: number): number {
  let [low, high] = [from, x.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((x[middle] as number) <= bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** For each value the number of its nearest centre. @param centers rising, at most 256 */
export function nearestCodes(values: Float32Array, centers: Float32Array): Uint8Array {
  const bounds = new Float64Array(Math.max(0, centers.length - 1));
  for (let c = 0; c < bounds.length; c++) bounds[c] = ((centers[c] as number) + (centers[c + 1] as number)) / 2;
  const codes = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    let [low, high] = [0, bounds.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bounds[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    codes[at] = low;
  }
  return codes;
}
