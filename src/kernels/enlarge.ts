/** Kernels by their reach in elements and their weight. */
const kernels = {
  bilinear: { reach: 1, weight: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { reach: 2, weight: (x: number) => cubic(Math.abs(x)) },
  lanczos: { reach: 3, weight: (x: number) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type Interpolation = keyof typeof kernels | 'nearest';

/** Weights are whole numbers of 2⁻²²: 255 times all of them, overshoot included, stays within 32 bits, and sums come out the same everywhere. */
const bits = 22;

/** Catmull-Rom, a = −0.5. */
function cubic(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** One axis: brought from `from` elements to `to`, of which `count` from `start` on are wanted. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly start: number;
  readonly count: number;
}

/** What an output is the sum of: elements from `first` on, by these weights. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

function tapsOf({ from, to, start, count }: Stretch, name: Interpolation): Taps[] {
  const step = from / to;
  if (name === 'nearest') {
    // Summed up, as Pillow does: it decides where a centre lies between two elements.
    let centre = step / 2;
    const firsts = Array.from({ length: start + count }, () => {
      const first = Math.min(from - 1, Math.floor(centre));
      centre += step;
      return first;
    });
    return firsts.slice(start).map((first) => ({ first, weights: Int32Array.of(1 << bits) }));
  }
  const { reach, weight } = kernels[name];
  return Array.from({ length: count }, (_, at) => {
    const centre = (start + at + 0.5) * step;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const last = Math.min(from, Math.floor(centre + reach + 0.5));
    const raw = Array.from({ length: last - first }, (__, n) => weight(first + n + 0.5 - centre));
    const sum = raw.reduce((all, one) => all + one, 0);
    return { first, weights: Int32Array.from(raw, (one) => Math.round((one / sum) * 2 ** bits)) };
  });
}

/**
 * Enlarges a picture, with the centres of pixels half a pixel from their edges, as Pillow has it. Axes go one after the
 * other, with bytes in between: what a kernel overshoots at an edge would come back in the second.
 * @param pixels `channels` interleaved bytes for each of across.from × down.from places
 * @param across, down neither axis becomes smaller, but by nearest
 * @returns the same for across.count × down.count places
 */
export function enlarge(
  pixels: Uint8Array,
  channels: number,
  across: Stretch,
  down: Stretch,
  name: Interpolation,
): Uint8Array {
  const row = across.count * channels;
  const rows = tapsOf(down, name);
  const top = Math.min(...rows.map(({ first }) => first));
  const bottom = Math.max(...rows.map(({ first, weights }) => first + weights.length));
  const columns = tapsOf(across, name);
  const wide = new Uint8ClampedArray((bottom - top) * row);
  for (let y = top, at = 0; y < bottom; y++) {
    for (const { first, weights } of columns) {
      const place = (y * across.from + first) * channels;
      for (let channel = 0; channel < channels; channel++, at++) {
        let sum = 1 << (bits - 1);
        for (let n = 0, from = place + channel; n < weights.length; n++, from += channels)
          sum += (weights[n] as number) * (pixels[from] as number);
        wide[at] = sum >> bits;
      }
    }
  }
  const result = new Uint8ClampedArray(down.count * row);
  let at = 0;
  for (const { first, weights } of rows) {
    const place = (first - top) * row;
    for (let x = 0; x < row; x++, at++) {
      let sum = 1 << (bits - 1);
      for (let n = 0, from = place + x; n < weights.length; n++, from += row)
        sum += (weights[n] as number) * (wide[from] as number);
      result[at] = sum >> bits;
    }
  }
  return new Uint8Array(result.buffer);
}
