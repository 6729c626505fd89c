/** Kernels by their reach and weight, stretched when a picture shrinks, so that nothing folds back (as Pillow and libvips do). */
const kernels = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { reach: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos: { reach: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Catmull-Rom, a = −0.5. */
function cubic(x) {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** For each output: the first source element, and weights that add up to 1. */
function taps(from, to, name) {
  const scale = from / to;
  if (name === 'nearest') {
    // Summed up, as Pillow does: it decides where a centre lies between two elements.
    let centre = scale * 0.5;
    return Array.from({ length: to }, () => {
      const first = Math.min(from - 1, Math.floor(centre));
      centre += scale;
      return { first, weights: [1] };
    });
  }
  const { reach, weight } = kernels[name];
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach * stretch + 0.5));
    const last = Math.min(from, Math.floor(centre + reach * stretch + 0.5));
    const raw = Array.from({ length: Math.max(1, last - first) }, (_, n) => weight((first + n + 0.5 - centre) / stretch));
    const sum = raw.reduce((all, one) => all + one, 0);
    return { first: Math.min(first, from - 1), weights: raw.map((one) => one / sum) };
  });
}

/**
 * Brings interleaved pixels to another size, one axis after the other.
 * @param pixels `count` values for each of width × height places
 * @returns bytes, rounded
 */
export function resample(pixels, { width, height, count }, to, kernel) {
  if (width === to.width && height === to.height) return pixels;
  const across = taps(width, to.width, kernel);
  // Bytes between the passes, too: what kernels overshoot at edges would come back in the second.
  const wide = new Uint8ClampedArray(height * to.width * count);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < to.width; x++) {
      const { first, weights } = across[x];
      const at = (y * to.width + x) * count;
      for (let c = 0; c < count; c++) {
        let sum = 0;
        for (let n = 0, from = (y * width + first) * count + c; n < weights.length; n++, from += count) sum += weights[n] * pixels[from];
        wide[at + c] = sum;
      }
    }
  }
  const row = to.width * count;
  const result = new Uint8ClampedArray(to.height * row);
  for (const [y, { first, weights }] of taps(height, to.height, kernel).entries()) {
    for (let x = 0; x < row; x++) {
      let sum = 0;
      for (let n = 0; n < weights.length; n++) sum += weights[n] * wide[(first + n) * row + x];
      result[y * row + x] = sum;
    }
  }
  return result;
}
