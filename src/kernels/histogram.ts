/** Bins on each side of zero. The range is at most twice the largest magnitude, so at least half of them are in use. */
export const binsPerSide = 4096;

/** Non-empty bins in ascending order: centre and mass of each. Zeros stand apart (`Histogram.zeros`): every grid holds them exactly. */
export interface Bins {
  readonly centers: Float64Array;
  readonly masses: Float64Array;
}

/**
 * Streaming histogram of one tensor, signed, in constant memory: 2 · 4096 equal bins over [−R, R], R a power of two. A
 * magnitude beyond R doubles R until it fits, and pairs of neighbouring bins merge, so that what was counted before lands in the
 * very bins it would have been counted in. Counts are float64 (exact to 2^53), edges are computed in float64.
 */
export class Histogram {
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  /** Elements that are exactly 0; they are in no bin. */
  zeros = 0;
  nan = 0;
  inf = 0;
  /** Finite elements, zeros included. */
  count = 0;
  /** R; 0 until a finite value other than zero is seen. */
  limit = 0;
  #counts: Float64Array = new Float64Array(0);

  add(values: ArrayLike<number>): void {
    this.#fit(values);
    const counts = this.#counts;
    const scale = this.limit > 0 ? binsPerSide / this.limit : 0;
    const last = counts.length - 1;
    let zeros = 0;
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number;
      if (x === 0) zeros++;
      else if (x - x === 0) {
        const bin = Math.floor(x * scale) + binsPerSide;
        (counts[bin < last ? bin : last] as number)++;
      }
    }
    this.zeros += zeros;
  }

  /** Takes note of the extremes, and widens the range for them. */
  #fit(values: ArrayLike<number>): void {
    let { min, max } = this;
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number;
      if (x - x !== 0) {
        if (Number.isNaN(x)) this.nan++;
        else this.inf++;
        continue;
      }
      this.count++;
      if (x < min) min = x;
      if (x > max) max = x;
    }
    this.min = min;
    this.max = max;
    const largest = Math.max(-min, max);
    if (!(largest > this.limit)) return;
    if (this.limit === 0) {
      this.#counts = new Float64Array(2 * binsPerSide);
      // Two to the power of −1022 is the smallest normal double; float32 values are never that small.
      this.limit = 2 ** Math.max(-1000, Math.ceil(Math.log2(largest)));
    }
    while (this.limit < largest) {
      this.#counts = merged(this.#counts);
      this.limit *= 2;
    }
  }

  get absMax(): number {
    return this.count === 0 ? 0 : Math.max(-this.min, this.max, 0);
  }

  /** Bins that hold something. Their centres are pulled inside [min, max]. */
  bins(): Bins {
    const width = this.limit / binsPerSide;
    const used = this.#counts.reduce((total, count) => total + (count > 0 ? 1 : 0), 0);
    const centers = new Float64Array(used);
    const masses = new Float64Array(used);
    let at = 0;
    for (const [bin, count] of this.#counts.entries()) {
      if (count === 0) continue;
      const center = (bin - binsPerSide + 0.5) * width;
      centers[at] = Math.min(this.max, Math.max(this.min, center));
      masses[at++] = count;
    }
    return { centers, masses };
  }

  /** Counts of magnitudes in `binsPerSide` equal bins over [0, R]: both sides folded together. */
  magnitudes(): Float64Array {
    const folded = new Float64Array(binsPerSide);
    if (this.limit === 0) return folded;
    for (let bin = 0; bin < binsPerSide; bin++) {
      folded[bin] = (this.#counts[binsPerSide + bin] as number) + (this.#counts[binsPerSide - 1 - bin] as number);
    }
    return folded;
  }
}

/** The same counts over twice the range: bins of each side merge in pairs, counted from zero. */
function merged(counts: Float64Array): Float64Array {
  const result = new Float64Array(counts.length);
  const quarter = binsPerSide / 2;
  for (let bin = 0; bin < binsPerSide; bin++) {
    result[quarter + bin] = (counts[2 * bin] as number) + (counts[2 * bin + 1] as number);
  }
  return result;
}
