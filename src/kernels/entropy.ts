import type { Histogram } from './histogram.ts';

const levels = 128;
const smoothing = 1e-4;
/** Candidates are this many bins apart: half a per mille of the range. */
const stride = 8;
/** A cut must be better by more than sums of floats are off, or the wider range stays. */
const leastGain = 1e-9;

/**
 * The magnitude at which the histogram, cut there (outliers folded into the last bin) and merged to 128 levels, differs least from
 * the uncut one in Kullback–Leibler divergence. Each level's mass is spread evenly over its non-empty bins, in floats;
 * empty bins get ε = 1e-4. (Migacz, 8-bit inference with TensorRT, GTC 2017.)
 */
export function entropyThreshold(histogram: Histogram): number {
  const counts = histogram.magnitudes();
  const width = histogram.limit / counts.length;
  const used = Math.min(counts.length, Math.ceil(histogram.absMax / width));
  const sums = runningSums(counts);
  let best = used;
  let least = Number.POSITIVE_INFINITY;
  for (let cut = used; cut >= levels; cut -= stride) {
    const divergence = klDivergence(counts, sums, cut, least);
    if (divergence < least - leastGain) {
      least = divergence;
      best = cut;
    }
  }
  return best >= used ? histogram.absMax : best * width;
}

/** Over the bins before each one: their masses, how many hold something, and Σ c·ln c. */
interface RunningSums {
  readonly mass: Float64Array;
  readonly filled: Float64Array;
  readonly entropy: Float64Array;
}

function runningSums(counts: Float64Array): RunningSums {
  const mass = new Float64Array(counts.length + 1);
  const filled = new Float64Array(counts.length + 1);
  const entropy = new Float64Array(counts.length + 1);
  for (let bin = 0; bin < counts.length; bin++) {
    const own = counts[bin] as number;
    mass[bin + 1] = (mass[bin] as number) + own;
    filled[bin + 1] = (filled[bin] as number) + (own > 0 ? 1 : 0);
    entropy[bin + 1] = (entropy[bin] as number) + (own > 0 ? own * Math.log(own) : 0);
  }
  return { mass, filled, entropy };
}

/**
 * KL(P‖Q) for the first `cut` bins, see `entropyThreshold`; or something at or above `enough`, once it is clear that it is not less. P and Q
 * differ from level to level in one factor only, so that running sums give Σ p·ln(p / q) of a level at once: Σ c·ln c − m·ln(m / n), all
 * over the total, m being its mass and n the bins that hold it; none is negative. The last bin, which holds the outliers too, stands apart.
 */
function klDivergence(
  counts: Float64Array,
  { mass, filled, entropy }: RunningSums,
  cut: number,
  enough: number,
): number {
  const total = mass[counts.length] as number;
  const kept = mass[cut] as number;
  if (kept === 0) return Number.POSITIVE_INFINITY;
  // The last level, in which the last bin has the outliers.
  const start = Math.floor(((levels - 1) * cut) / levels);
  const inLast = kept - (mass[start] as number);
  const binsOfLast = (filled[cut] as number) - (filled[start] as number);
  const spread = inLast / Math.max(1, binsOfLast);
  const own = counts[cut - 1] as number;
  const folded = own + total - kept;
  let sum = total * Math.log(kept / total);
  if (folded > 0) sum += folded * Math.log(folded / (own > 0 ? spread : smoothing));
  const others = inLast - own;
  if (others > 0) sum += (entropy[cut - 1] as number) - (entropy[start] as number) - others * Math.log(spread);
  const most = enough * total;
  for (let level = 0, from = 0; level < levels - 1 && sum < most; level++) {
    const to = Math.floor(((level + 1) * cut) / levels);
    const own = (mass[to] as number) - (mass[from] as number);
    if (own > 0)
      sum +=
        (entropy[to] as number) -
        (entropy[from] as number) -
        own * Math.log(own / ((filled[to] as number) - (filled[from] as number)));
    from = to;
  }
  return sum / total;
}
