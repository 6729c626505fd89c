/** Log-mel frames of a sound, as the feature extractor of Whisper makes them. */

/** Fourier transform of any length that has small prime factors (400 = 2⁴ · 5²): decimation in time, out of place. */
function fourier(length) {
  const cos = Float64Array.from({ length }, (_, i) => Math.cos((2 * Math.PI * i) / length));
  const sin = Float64Array.from({ length }, (_, i) => -Math.sin((2 * Math.PI * i) / length));
  const re = new Float64Array(length);
  const im = new Float64Array(length);
  const terms = [new Float64Array(length), new Float64Array(length)];
  const smallestFactor = (n) => {
    for (let p = 2; p * p <= n; p++) if (n % p === 0) return p;
    return n;
  };
  const step = (input, n, from, stride, to) => {
    if (n === 1) {
      re[to] = input[from];
      im[to] = 0;
      return;
    }
    const p = smallestFactor(n);
    const m = n / p;
    for (let q = 0; q < p; q++) step(input, m, from + q * stride, stride * p, to + q * m);
    const [a, b] = terms;
    for (let k = 0; k < m; k++) {
      for (let q = 0; q < p; q++) {
        const at = to + q * m + k;
        const w = (q * k * (length / n)) % length;
        a[q] = re[at] * cos[w] - im[at] * sin[w];
        b[q] = re[at] * sin[w] + im[at] * cos[w];
      }
      for (let r = 0; r < p; r++) {
        let [x, y] = [0, 0];
        for (let q = 0; q < p; q++) {
          const w = (q * r * (length / p)) % length;
          x += a[q] * cos[w] - b[q] * sin[w];
          y += a[q] * sin[w] + b[q] * cos[w];
        }
        re[to + r * m + k] = x;
        im[to + r * m + k] = y;
      }
    }
  };
  return (input) => {
    step(input, length, 0, 1, 0);
    return [re, im];
  };
}

/** Slaney's scale: linear up to 1 kHz, logarithmic above. */
const logStep = Math.log(6.4) / 27;
const toMel = (hertz) => (hertz >= 1000 ? 15 + Math.log(hertz / 1000) / logStep : (3 * hertz) / 200);
const toHertz = (mel) => (mel >= 15 ? 1000 * Math.exp(logStep * (mel - 15)) : (200 * mel) / 3);
const highest = 8000;

/** Triangles of equal energy over the bins of the spectrum: { from, weights } of each. */
function filters(count, bins, sampleRate) {
  const edges = Array.from({ length: count + 2 }, (_, i) => toHertz((toMel(highest) * i) / (count + 1)));
  const hertz = (bin) => (bin * Math.floor(sampleRate / 2)) / (bins - 1);
  return Array.from({ length: count }, (_, n) => {
    const [low, mid, high] = edges.slice(n, n + 3);
    const weights = [];
    let from = 0;
    for (let bin = 0; bin < bins; bin++) {
      const height = Math.min((hertz(bin) - low) / (mid - low), (high - hertz(bin)) / (high - mid));
      if (height <= 0) continue;
      if (weights.length === 0) from = bin;
      weights.push((height * 2) / (high - low));
    }
    return { from, weights };
  });
}

/**
 * @param sound samples at the rate of the model; cut or filled up with silence
 * @param how { mels, window, hop, samples, frames, sampleRate }
 * @returns Float32Array [mels, frames]
 */
export function logMel(sound, { mels, window, hop, samples, frames, sampleRate }) {
  const half = window >> 1;
  const bins = half + 1;
  const shape = Float64Array.from({ length: window }, (_, i) => (1 - Math.cos((2 * Math.PI * i) / window)) / 2);
  const transform = fourier(window);
  const bank = filters(mels, bins, sampleRate);
  /** The sound goes on backwards beyond its ends. */
  const at = (index) => {
    const inside = index < 0 ? -index : index >= samples ? 2 * (samples - 1) - index : index;
    return sound[inside] ?? 0;
  };
  const result = new Float32Array(mels * frames);
  const frame = new Float64Array(window);
  const power = new Float64Array(bins);
  let most = Number.NEGATIVE_INFINITY;
  for (let n = 0; n < frames; n++) {
    for (let i = 0; i < window; i++) frame[i] = at(n * hop + i - half) * shape[i];
    const [re, im] = transform(frame);
    for (let bin = 0; bin < bins; bin++) power[bin] = re[bin] ** 2 + im[bin] ** 2;
    for (const [row, { from, weights }] of bank.entries()) {
      let sum = 0;
      for (const [i, weight] of weights.entries()) sum += weight * power[from + i];
      const level = Math.log10(Math.max(1e-10, sum));
      most = Math.max(most, level);
      result[row * frames + n] = level;
    }
  }
  for (const [i, level] of result.entries()) result[i] = (Math.max(level, most - 8) + 4) / 4;
  return result;
}
