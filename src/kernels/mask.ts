/**
 * Which weights to drop. Magnitudes are compared as the bits of float32 without the sign, whose order is the order of
 * the magnitudes, so a threshold among any number of weights takes two counting passes and no sorting. NaN counts as
 * largest and is never dropped.
 */

const LOW_BITS = 15;

/** Everything below `bits` goes, and the first `ties` of the weights whose magnitude equals it. */
export interface MagnitudeCut {
  /** Bits of the float32 magnitude. */
  readonly bits: number;
  readonly ties: number;
}

/** Data in row-major order, seen as [outer, length, inner]: groups run along the middle axis. */
export interface GroupView {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

const bitsOf = (data: Float32Array): Uint32Array => new Uint32Array(data.buffer, data.byteOffset, data.length);

/**
 * The cut that drops exactly `count` of the smallest weights.
 * @param sources read twice each, one after the other: they may load or compute
 * @throws RangeError when there are fewer than `count` weights
 */
export function magnitudeCut(sources: readonly (() => Float32Array)[], count: number): MagnitudeCut {
  const high = countBins(sources, 1 << (31 - LOW_BITS), (abs) => abs >>> LOW_BITS);
  const { bin, below } = findBin(high, count);
  const low = countBins(sources, 1 << LOW_BITS, (abs) => (abs >>> LOW_BITS === bin ? abs & ((1 << LOW_BITS) - 1) : -1));
  const last = findBin(low, count - below);
  return { bits: bin * 2 ** LOW_BITS + last.bin, ties: count - below - last.below };
}

function countBins(
  sources: readonly (() => Float32Array)[],
  size: number,
  binOf: (abs: number) => number,
): Float64Array {
  const bins = new Float64Array(size);
  for (const source of sources) {
    const bits = bitsOf(source());
    for (let i = 0; i < bits.length; i++) {
      const bin = binOf((bits[i] as number) & 0x7fffffff);
      if (bin >= 0) bins[bin] = (bins[bin] as number) + 1;
    }
  }
  return bins;
}

/** The bin that holds the `count`-th entry, and how many lie below it. */
function findBin(bins: Float64Array, count: number): { bin: number; below: number } {
  let below = 0;
  for (let bin = 0; bin < bins.length; bin++) {
    const next = below + (bins[bin] as number);
    if (next >= count) return { bin, below };
    below = next;
  }
  throw new RangeError(`cannot drop ${count} of ${below} weights`);
}

/** A copy with the weights of the cut set to zero. `ties` of the result are those the cut has left for the next tensor. */
export function dropBelow(data: Float32Array, cut: MagnitudeCut): { data: Float32Array; ties: number } {
  const bits = bitsOf(data).slice();
  let { ties } = cut;
  for (let i = 0; i < bits.length; i++) {
    const abs = (bits[i] as number) & 0x7fffffff;
    if (abs < cut.bits) bits[i] = 0;
    else if (abs === cut.bits && ties > 0) {
      bits[i] = 0;
      ties--;
    }
  }
  return { data: new Float32Array(bits.buffer), ties };
}

/** Marks of the `count` smallest magnitudes, of equal ones the first. */
export function smallest(scores: Float32Array, count: number): Uint8Array {
  const mask = new Uint8Array(scores.length);
  if (count <= 0) return mask;
  const bits = bitsOf(scores);
  const cut = magnitudeCut([() => scores], count);
  let { ties } = cut;
  for (let i = 0; i < bits.length; i++) {
    const abs = (bits[i] as number) & 0x7fffffff;
    if (abs < cut.bits) mask[i] = 1;
    else if (abs === cut.bits && ties > 0) {
      mask[i] = 1;
      ties--;
    }
  }
  return mask;
}

/**
 * A copy in which each group of `m` neighbours along the middle axis of the view keeps its `n` largest scores; of equal
 * ones the first stay. An incomplete group at the end stays whole.
 * @param scores what weights are compared by; default their magnitudes
 */
export function keepNofM(data: Float32Array, view: GroupView, n: number, m: number, scores = data): Float32Array {
  const { outer, length, inner } = view;
  const bits = bitsOf(scores);
  const result = data.slice();
  const groups = Math.floor(length / m);
  const kept = new Uint8Array(m);
  for (let o = 0; o < outer; o++) {
    for (let g = 0; g < groups; g++) {
      for (let i = 0; i < inner; i++) {
        const base = (o * length + g * m) * inner + i;
        kept.fill(0);
        for (let k = 0; k < n; k++) {
          let best = -1;
          let largest = -1;
          for (let j = 0; j < m; j++) {
            const abs = (bits[base + j * inner] as number) & 0x7fffffff;
            if (kept[j] === 0 && abs > largest) {
              largest = abs;
              best = j;
            }
          }
          kept[best] = 1;
        }
        for (let j = 0; j < m; j++) if (kept[j] === 0) result[base + j * inner] = 0;
      }
    }
  }
  return result;
}

/** Groups of `size` neighbours along the middle axis, incomplete ones at the end included. */
export const groupCount = ({ outer, length, inner }: GroupView, size: number): number =>
  outer * inner * Math.ceil(length / size);

/**
 * A copy without the `count` groups of `size` neighbours along the middle axis whose mean squared score is smallest.
 * @param scores what groups are compared by; default their magnitudes
 */
export function dropGroups(
  data: Float32Array,
  view: GroupView,
  size: number,
  count: number,
  scores = data,
): Float32Array {
  const { outer, length, inner } = view;
  const perLine = Math.ceil(length / size);
  const sums = new Float32Array(groupCount(view, size));
  const result = data.slice();
  const each = (visit: (group: number, at: number, members: number) => void): void => {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < length; j++) {
        const g = Math.floor(j / size);
        const members = Math.min(size, length - g * size);
        for (let i = 0; i < inner; i++) visit((o * perLine + g) * inner + i, (o * length + j) * inner + i, members);
      }
    }
  };
  each((group, at, members) => {
    sums[group] = (sums[group] as number) + (scores[at] as number) ** 2 / members;
  });
  const gone = smallest(sums, count);
  each((group, at) => {
    if (gone[group] === 1) result[at] = 0;
  });
  return result;
}

/** Whether each whole group of `m` neighbours along the middle axis has at most `n` weights that are not zero. */
export function isNofM(data: Float32Array, { outer, length, inner }: GroupView, n: number, m: number): boolean {
  for (let o = 0; o < outer; o++) {
    for (let g = 0; g + m <= length; g += m) {
      for (let i = 0; i < inner; i++) {
        let used = 0;
        for (let j = g; j < g + m; j++) if (data[(o * length + j) * inner + i] !== 0) used++;
        if (used > n) return false;
      }
    }
  }
  return true;
}

/**
 * With so many exact zeros weights were pruned, and their zeros are to stay. Weights trained in float have none to speak of; of those of the
 * shared MobileNet, which come from an int8 grid, two layers of 28 have more (31 and 62 %), the others 16 % and less.
 */
const prunedShare = 0.25;

/** Whether these weights were pruned. */
export const isPruned = (weights: Float32Array): boolean => countZeros(weights) >= prunedShare * weights.length;

/** How many elements are zero (of either sign). */
export function countZeros(data: Float32Array): number {
  const bits = bitsOf(data);
  let zeros = 0;
  for (let i = 0; i < bits.length; i++) if (((bits[i] as number) & 0x7fffffff) === 0) zeros++;
  return zeros;
}
