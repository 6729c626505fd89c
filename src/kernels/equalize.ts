/**
 * Largest |w| of every pair of an output and an input channel, in the order the weights lie in: [A, B] with a run of elements (the
 * taps of a kernel) behind each.
 */
export interface ChannelGrid {
  readonly a: number;
  readonly b: number;
  readonly max: Float64Array;
  readonly output: (a: number, b: number) => number;
  readonly input: (a: number, b: number) => number;
}

/** Two layers that share channels: outputs of `first` are inputs of `second`, `spread` of them for each channel. */
export interface ChannelPair {
  readonly first: ChannelGrid;
  readonly second: ChannelGrid;
  readonly channels: number;
  readonly spread: number;
  /** Lower bounds of the factors; 0 where anything goes. */
  readonly least: Float64Array;
  /** Channels that must stay as they are. */
  readonly fixed: Uint8Array;
}

/** What counts as settled, as a share. */
const settled = 1e-4;

/**
 * Factors s of cross-layer equalization (Nagel et al. 2019, eq. 11) for all pairs of a model: W₁ ← W₁ / s, b₁ ← b₁ / s, W₂ ← W₂ · s, with
 * s = √(r₁·r₂) / r₂, r₁ and r₂ the largest magnitudes of a channel in either layer. A layer between two pairs (a depthwise one in a
 * triple) moves with both, so pairs take turns until nothing moves by more than 1e-4.
 * @returns the factors of each pair, and the turns it took
 */
export function equalizeFactors(
  pairs: readonly ChannelPair[],
  mostTurns = 500,
): { factors: Float64Array[]; turns: number } {
  const factors = pairs.map(({ channels }) => new Float64Array(channels).fill(1));
  const before = new Map<ChannelGrid, number>();
  const behind = new Map<ChannelGrid, number>();
  for (const [index, { first, second }] of pairs.entries()) {
    behind.set(first, index);
    before.set(second, index);
  }
  const factorOf = (index: number | undefined, channel: number): number =>
    index === undefined
      ? 1
      : ((factors[index] as Float64Array)[Math.floor(channel / (pairs[index]?.spread ?? 1))] as number);
  const ranges = (grid: ChannelGrid, channels: number, channelOf: (a: number, b: number) => number): Float64Array => {
    const [left, right] = [before.get(grid), behind.get(grid)];
    const range = new Float64Array(channels);
    for (let a = 0, at = 0; a < grid.a; a++) {
      for (let b = 0; b < grid.b; b++, at++) {
        // Outputs are never spread; inputs are looked up by the channel they came from.
        const out = right === undefined ? 1 : ((factors[right] as Float64Array)[grid.output(a, b)] as number);
        const value = ((grid.max[at] as number) * factorOf(left, grid.input(a, b))) / out;
        const channel = channelOf(a, b);
        if (value > (range[channel] as number)) range[channel] = value;
      }
    }
    return range;
  };
  let turns = 0;
  for (let moved = Number.POSITIVE_INFINITY; moved > settled && turns < mostTurns; turns++) {
    moved = 0;
    for (const [index, { first, second, channels, spread, least, fixed }] of pairs.entries()) {
      const own = factors[index] as Float64Array;
      const r1 = ranges(first, channels, (a, b) => first.output(a, b));
      const r2 = ranges(second, channels, (a, b) => Math.floor(second.input(a, b) / spread));
      for (let c = 0; c < channels; c++) {
        // A channel without weights on either side has no range to balance.
        if (fixed[c] || !((r1[c] as number) > 0) || !((r2[c] as number) > 0)) continue;
        const old = own[c] as number;
        const wanted = Math.max(least[c] as number, old * Math.sqrt((r1[c] as number) / (r2[c] as number)));
        if (!Number.isFinite(wanted)) continue;
        moved = Math.max(moved, Math.abs(wanted / old - 1));
        own[c] = wanted;
      }
    }
  }
  return { factors, turns };
}
