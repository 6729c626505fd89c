/** Zero crossings of the sinc on each side: 16 keep the pass band flat to within 0.1 dB up to 90 % of the lower Nyquist frequency. */
const crossings = 16;

/**
 * Sound at another rate: a sinc under a Hann window, cut off at 0.95 of the lower of the two Nyquist frequencies so that nothing folds
 * back (Smith, Digital Audio Resampling). Length: ⌈n · to / from⌉.
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples;
  const step = from / to;
  const cutoff = 0.95 * Math.min(1, to / from);
  const reach = crossings / cutoff;
  const phases = to / gcd(from, to);
  const result = new Float32Array(Math.ceil((samples.length * to) / from));
  // The weights repeat after so many outputs; rates without a common measure would need too large a table.
  const table = phases <= 4096 ? new Map<number, Float64Array>() : undefined;
  for (let at = 0; at < result.length; at++) {
    const centre = at * step;
    const first = Math.ceil(centre - reach);
    const phase = at % phases;
    let weights = table?.get(phase);
    if (!weights) {
      weights = Float64Array.from({ length: Math.floor(2 * reach) + 1 }, (_, tap) =>
        bell(first + tap - centre, cutoff, reach),
      );
      table?.set(phase, weights);
    }
    let sum = 0;
    for (let tap = Math.max(0, -first); tap < weights.length && first + tap < samples.length; tap++)
      sum += (weights[tap] as number) * (samples[first + tap] as number);
    result[at] = sum;
  }
  return result;
}

function bell(distance: number, cutoff: number, reach: number): number {
  if (Math.abs(distance) >= reach) return 0;
  const x = Math.PI * distance * cutoff;
  const sinc = x === 0 ? 1 : Math.sin(x) / x;
  return cutoff * sinc * (0.5 + 0.5 * Math.cos((Math.PI * distance) / reach));
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
