/** A layer with what it does to the outputs, as far as some samples tell. */
export interface Ranked {
  readonly id: string;
  readonly noise: number;
  /** Standard error of that; undefined where one batch was all. */
  readonly error: number | undefined;
}

/** Both ends of the interval that holds 95 % of what other samples would have said. */
const width = 1.96;
/** Layers whose noise is less than this share of all, summed from the quietest on, decide nothing. */
const negligible = 0.01;

/**
 * Layers whose place in the ranking may be chance: their interval overlaps that of a neighbour, and together with all quieter layers they make
 * more than a hundredth of the noise. The loudest first, `most` of them at most.
 */
export function closeCalls(layers: readonly Ranked[], most: number): string[] {
  const order = layers.toSorted((a, b) => b.noise - a.noise);
  const total = order.reduce((sum, { noise }) => sum + noise, 0);
  const close = new Set<string>();
  let left = total;
  for (const [at, layer] of order.entries()) {
    if (!(left > negligible * total)) break;
    const next = order[at + 1];
    if (next && overlap(layer, next)) close.add(layer.id).add(next.id);
    left -= layer.noise;
  }
  return [...close].slice(0, most);
}

/** @param b the quieter one */
function overlap(a: Ranked, b: Ranked): boolean {
  if (a.error === undefined || b.error === undefined) return true;
  return a.noise - width * a.error <= b.noise + width * b.error;
}

/** Standard error of the mean; undefined for fewer than two numbers. */
export function standardError(numbers: readonly number[]): number | undefined {
  const count = numbers.length;
  if (count < 2) return undefined;
  const mean = numbers.reduce((sum, one) => sum + one, 0) / count;
  const squares = numbers.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  return Math.sqrt(squares / (count - 1) / count);
}
