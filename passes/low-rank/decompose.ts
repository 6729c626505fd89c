import { dampedHessian } from '../../src/kernels/gptq.ts';
import { multiply } from '../../src/kernels/linear-algebra.ts';
import {
  channelSpectrum,
  type Factors,
  rankFor,
  type Spectrum,
  spectrumOf,
  type Tucker,
} from '../../src/kernels/low-rank.ts';
import type { Product64 } from '../../src/kernels/matrix-blocks.ts';
import type { Gram } from '../../src/pass/pass.ts';
import type { FitLayer } from '../prune/fit-layer.ts';

/** With fewer rows of data than these nothing is weighed by them. */
const leastRows = 32;
/** Share of the mean diagonal added to it, so that inputs that no sample reached count for something. */
const damping = 1e-4;
/** Extents from which eigenvalues would take minutes (n = 768: 3 s). */
const largest = 1536;
/** Ranks are multiples of it, as kernels like them. */
export const rankStep = 8;

/** A layer with its spectrum. */
export interface Decomposed {
  readonly spectrum: Spectrum;
  /** Whether activations were looked at. */
  readonly weighed: boolean;
  /** Between factors of this share of the energy on either side; undefined where there is no kernel, or nothing to gain. */
  tucker(energy: number): Promise<{ tucker: Tucker; approximation: Float32Array } | undefined>;
  approximation(factors: Factors): Float32Array;
}

/** @returns a sentence where it cannot be done */
export async function decompose(
  layer: FitLayer,
  gram: Gram | undefined,
  product: Product64,
): Promise<Decomposed | string> {
  const { n, k, columns } = layer;
  if (Math.min(n, k) > largest)
    return `its ${k} inputs and ${n} outputs are both more than ${largest}: decomposing it would take minutes`;
  const weighed = gram !== undefined && gram.rows >= leastRows;
  const rows = layer.rows();
  const hessian = weighed ? dampedHessian(gram.sum, k, damping) : identity(k);
  const spectrum = await spectrumOf(rows, n, k, hessian, product);
  if (!spectrum) return 'its weights or its inputs hold numbers that are not finite, or are all zero';
  const taps = columns.inner;
  const c = columns.length;
  return {
    spectrum,
    weighed,
    approximation: ({ outer, inner, rank }) => multiply(outer, inner, n, rank, k, Float32Array),
    async tucker(energy) {
      if (taps === 1) return undefined;
      const outRank = rankFor(spectrum.energies, energy, rankStep);
      const { outer, inner } = await spectrum.factors(outRank);
      const channels = await channelSpectrum(inner, outRank, c, taps, hessian, product);
      if (!channels) return undefined;
      const inRank = rankFor(channels.energies, energy, rankStep);
      const split = await channels.split(inRank);
      const tucker = { outer, core: split.core, channels: split.channels, inRank, outRank };
      return { tucker, approximation: expand(tucker, n, c, taps) };
    },
  };
}

function identity(k: number): Float32Array {
  const result = new Float32Array(k * k);
  for (let i = 0; i < k; i++) result[i * k + i] = 1;
  return result;
}

/** outer · core · channels as weights [n, c · taps] */
function expand({ outer, core, channels, inRank, outRank }: Tucker, n: number, c: number, taps: number): Float32Array {
  const inner = new Float32Array(outRank * c * taps);
  for (let r = 0; r < outRank; r++)
    for (let i = 0; i < inRank; i++)
      for (let t = 0; t < taps; t++) {
        const factor = core[(r * inRank + i) * taps + t] as number;
        for (let j = 0; j < c; j++) {
          const at = (r * c + j) * taps + t;
          inner[at] = (inner[at] as number) + factor * (channels[i * c + j] as number);
        }
      }
  return multiply(outer, inner, n, outRank, c * taps, Float32Array);
}
