import { FloatCounter } from './float-counter.ts';

/** Bins on each side of zero. The range is at most twice the largest magnitude, so at least half of them are in use. */
export const binsPerSide = 4096;

/** Non-empty bins in ascending order: centre and mass of each. Zeros stand apart (`Histogram.zeros`): every grid holds them exactly. */
export interface Bins {
  readonly centers: Float64Array;
  readonly masses: Float64Array;
}

/** Smallest and largest finite value of each channel. */
export interface ChannelExtremes {
  /** Axis of the tensor; negative counts from the end. */
  readonly axis: number;
  low: Float32Array;
  high: Float32Array;
}

/** Masks of attention are at least this large (`hasMaskGap`); data that merely has few values is not mistaken for one. */
export const smallestMask = 1000;

/** Numbers that `pack` writes before counts and channels. */
const headLength = 14;

/** Shorter rows are counted as fast one by one: emptying the banks takes as long. */
const manyFloats = 4096;

/** The same for the numbers of one channel that stand in a row, of which extremes alone are wanted. */
const manyInChannel = 256;

/** Weight of a new sample in the moving average of extremes, once so many samples were seen that it is less than 1 / n. */
const averagingWeight = 0.01;

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
  /** Moving averages of the smallest and the largest value of each sample (`addSamples`); 0 unless `averaged`. */
  averageLow = 0;
  averageHigh = 0;
  /** Set when extremes of single channels are wanted too. */
  channels: ChannelExtremes | undefined;
  /**
   * Nothing but extremes and numbers of elements is kept, and no bins, except from the batch on in which something as large as a mask
   * is seen: `zeros` and `bins` then say nothing.
   */
  extremesOnly = false;
  /** Moving averages are kept: another pass over the numbers. */
  averaged = false;
  #counts: Float64Array = new Float64Array(0);
  #samples = 0;

  /**
   * Counts a tensor that holds `size` samples along its first axis (or one sample, where that does not divide).
   * @param shape for the extremes of channels
   * @param counter counts long rows of floats faster, to the same result
   */
  addSamples(values: ArrayLike<number>, shape: readonly number[], size: number, counter?: FloatCounter): void {
    if (counter && values instanceof Float32Array && values.length >= manyFloats) this.#addInPieces(values, counter);
    else this.add(values);
    if (this.channels) addExtremes(this.channels, values, shape, counter);
    if (!this.averaged) return;
    const parts = size > 1 && (shape[0] ?? 1) % size === 0 ? size : 1;
    const each = values.length / parts;
    for (let part = 0; part < parts; part++) this.#average(values, part * each, (part + 1) * each);
  }

  /**
   * Takes note of a tensor of finite numbers by what it reaches alone (`extremesOnly`).
   * @param low, high one number, or one for each channel along `axis`
   * @param count elements
   */
  addExtremes(low: Float32Array, high: Float32Array, count: number, axis: number | undefined): void {
    this.count += count;
    for (const x of low) if (x < this.min) this.min = x;
    for (const x of high) if (x > this.max) this.max = x;
    this.#widen();
    if (axis === undefined) return;
    this.channels ??= { axis, low: new Float32Array(0), high: new Float32Array(0) };
    const { channels } = this;
    if (!startChannels(channels, low.length)) return;
    for (let c = 0; c < low.length; c++) {
      channels.low[c] = Math.min(channels.low[c] as number, low[c] as number);
      channels.high[c] = Math.max(channels.high[c] as number, high[c] as number);
    }
  }

  #average(values: ArrayLike<number>, from: number, to: number): void {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let at = from; at < to; at++) {
      const x = values[at] as number;
      if (x - x !== 0) continue;
      if (x < low) low = x;
      if (x > high) high = x;
    }
    if (low > high) return;
    // A plain mean of the first samples, so that the first one does not rule for long.
    const weight = Math.max(averagingWeight, 1 / ++this.#samples);
    this.averageLow += weight * (low - this.averageLow);
    this.averageHigh += weight * (high - this.averageHigh);
  }

  add(values: ArrayLike<number>): void {
    this.#fit(values);
    if (this.extremesOnly && this.absMax < smallestMask) return;
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

  /** The same as `add`, in the counter's pieces. */
  #addInPieces(values: Float32Array, counter: FloatCounter): void {
    let at = 0;
    // Zeros since the banks were last emptied; undefined while these are empty.
    let zeros: number | undefined;
    const settle = (): void => {
      if (zeros === undefined) return;
      counter.settle(this.#counts, zeros);
      this.zeros += zeros;
      zeros = undefined;
    };
    for (
      let size = FloatCounter.pieceOf(values.length - at);
      size > 0;
      size = FloatCounter.pieceOf(values.length - at)
    ) {
      const { min, max, finite } = counter.take(values, at, size);
      const scale = binsPerSide / this.limit;
      const wide = Math.max(-min, max) > this.limit;
      // Bins become wider, or it takes a closer look: what was counted so far belongs into the bins as they are.
      if (wide || !finite || !FloatCounter.canCount(scale)) {
        settle();
        this.add(values.subarray(at, at + size));
      } else {
        this.count += size;
        this.min = Math.min(this.min, min);
        this.max = Math.max(this.max, max);
        if (!this.extremesOnly || this.absMax >= smallestMask) zeros = (zeros ?? 0) + counter.count(size, scale);
      }
      at += size;
    }
    settle();
    this.add(values.subarray(at));
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
    this.#widen();
  }

  /** Doubles the range of the bins until it holds the extremes. */
  #widen(): void {
    const largest = Math.max(-this.min, this.max);
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

  /** Everything it holds, as one row of numbers. */
  pack(): Float64Array {
    const { channels } = this;
    const head = [
      ...[this.min, this.max, this.zeros, this.nan, this.inf, this.count, this.limit],
      ...[this.averageLow, this.averageHigh, this.#samples, (this.extremesOnly ? 1 : 0) + (this.averaged ? 2 : 0)],
      ...[this.#counts.length, channels ? channels.low.length : -1, channels?.axis ?? 0],
    ];
    return Float64Array.from([...head, ...this.#counts, ...(channels ? [...channels.low, ...channels.high] : [])]);
  }

  /** The histogram that `pack` gave at `at`, and where the next one starts. @throws RangeError when the numbers end before it does. */
  static unpack(row: Float64Array, at: number): { histogram: Histogram; next: number } {
    const histogram = new Histogram();
    const head = row.subarray(at, at + headLength) as ArrayLike<number> as number[];
    const [min = 0, max = 0, zeros = 0, nan = 0, inf = 0, count = 0, limit = 0, low = 0, high = 0, samples = 0] = head;
    const kept = head[10] ?? 0;
    histogram.extremesOnly = kept % 2 === 1;
    histogram.averaged = kept >= 2;
    Object.assign(histogram, { min, max, zeros, nan, inf, count, limit, averageLow: low, averageHigh: high });
    histogram.#samples = samples;
    const [bins = 0, channels = -1, axis = 0] = [head[11], head[12], head[13]];
    const end = at + headLength + bins + 2 * Math.max(0, channels);
    if (!(end <= row.length) || (bins !== 0 && bins !== 2 * binsPerSide))
      throw new RangeError('a histogram is cut off');
    histogram.#counts = row.slice(at + headLength, at + headLength + bins);
    if (channels >= 0) {
      const from = at + headLength + bins;
      histogram.channels = {
        axis,
        low: Float32Array.from(row.subarray(from, from + channels)),
        high: Float32Array.from(row.subarray(from + channels, end)),
      };
    }
    return { histogram, next: end };
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

function addExtremes(
  extremes: ChannelExtremes,
  values: ArrayLike<number>,
  shape: readonly number[],
  counter: FloatCounter | undefined,
): void {
  const axis = extremes.axis < 0 ? extremes.axis + shape.length : extremes.axis;
  const count = shape[axis];
  if (count === undefined || count === 0) return;
  if (!startChannels(extremes, count)) return;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const { low, high } = extremes;
  const fast = counter && inner >= manyInChannel && values instanceof Float32Array ? { counter, values } : undefined;
  for (let at = 0; at < values.length; ) {
    for (let c = 0; c < count; c++) {
      let min = low[c] as number;
      let max = high[c] as number;
      const end = at + inner;
      if (fast) {
        for (let size = FloatCounter.pieceOf(inner); size > 0; size = FloatCounter.pieceOf(end - at)) {
          const reach = fast.counter.take(fast.values, at, size);
          min = Math.min(min, reach.min);
          max = Math.max(max, reach.max);
          at += size;
        }
      }
      for (; at < end; at++) {
        const x = values[at] as number;
        if (x < min) min = x;
        if (x > max) max = x;
      }
      low[c] = min;
      high[c] = max;
    }
  }
}

/** Makes room for the first. @returns whether there are so many channels as before */
function startChannels(extremes: ChannelExtremes, count: number): boolean {
  if (extremes.low.length === count) return true;
  // Another extent than before (a dynamic dimension): positions are no channels then.
  if (extremes.low.length > 0) {
    spoil(extremes);
    return false;
  }
  extremes.low = new Float32Array(count).fill(Number.POSITIVE_INFINITY);
  extremes.high = new Float32Array(count).fill(Number.NEGATIVE_INFINITY);
  return true;
}

/** One pair of extremes that says nothing. */
function spoil(extremes: ChannelExtremes): void {
  extremes.low = Float32Array.of(Number.NEGATIVE_INFINITY);
  extremes.high = Float32Array.of(Number.POSITIVE_INFINITY);
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
