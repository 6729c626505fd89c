import type { Factors } from '../../src/kernels/low-rank.ts';
import { heldBy, rankFor } from '../../src/kernels/low-rank.ts';
import type { FitLayer } from '../prune/fit-layer.ts';
import type { LayerClock, Timing } from './clock.ts';
import { type Decomposed, rankStep } from './decompose.ts';
import type { Extents, Form } from './rewrite.ts';

export interface LowRankOptions {
  readonly rank: 'energy' | 'latency';
  readonly energy: number;
  readonly maxLoss: number;
  readonly speedup: number;
  readonly tucker: boolean;
}

/** What is to take the place of a layer, or why nothing is. */
export type Found =
  | {
      readonly form: Form;
      readonly extents: Extents;
      /** The weights that it stands for, as rows. */
      readonly approximation: Float32Array;
      readonly detail: string;
    }
  | { readonly why: string };

/** Looks for the form of a layer that keeps the energy asked for and is faster; the fastest of several. */
export async function searchForm(
  layer: FitLayer,
  decompose: () => Promise<Decomposed | string>,
  clock: LayerClock,
  options: LowRankOptions,
): Promise<Found> {
  const { n, k, columns, target } = layer;
  const kernel = target.node.op === 'Conv' ? target.tensor.shape.slice(2) : [];
  const extents: Extents = { n, k, kernel };
  // Above this rank two products multiply as much as one.
  const even = Math.floor((n * k) / (n + k));
  if (even < rankStep)
    return { why: `with ${k} inputs and ${n} outputs no rank of ${rankStep} or more multiplies less` };
  const timed = async (form: Form) => await clock.ratio(layer, form, extents);
  // Whatever the numbers are, the time is the same: the lowest rank says whether it is worth decomposing at all.
  const lowest = await timed({ kind: 'pair', factors: blank(rankStep, n, k) });
  if (!lowest) return { why: `it cannot be timed alone on ${clock.provider}` };
  const mayTucker = options.tucker && columns.inner > 1;
  if (!lowest.isFaster && !mayTucker)
    return {
      why: `two layers are not faster than it on ${clock.provider}, even of rank ${rankStep} (${describe(lowest)})`,
    };
  const known = options.rank === 'latency' ? await largestRank(timed, n, k, even, options.speedup) : undefined;
  if (options.rank === 'latency' && known === undefined)
    return {
      why: `no rank makes it ${options.speedup} times as fast on ${clock.provider} (rank ${rankStep}: ${describe(lowest)})`,
    };
  const decomposed = await decompose();
  if (typeof decomposed === 'string') return { why: decomposed };
  const { energies } = decomposed.spectrum;
  const rank = known ?? rankFor(energies, options.energy, rankStep);
  const held = heldBy(energies, rank);
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  if (options.rank === 'latency' && held < options.energy)
    return {
      why: `rank ${rank}, the largest that makes it ${options.speedup} times as fast on ${clock.provider}, holds ${percent(held)} of its output, and ${percent(options.energy)} are asked for (--energy)`,
    };
  const candidates: { form: Form; approximation: Float32Array; name: string; energy: number }[] = [];
  if (rank <= even) {
    const factors = await decomposed.spectrum.factors(rank);
    candidates.push({
      form: { kind: 'pair', factors },
      approximation: decomposed.approximation(factors),
      name: `rank ${rank}`,
      energy: held,
    });
  }
  if (mayTucker) {
    // Each of two steps keeps half of what may go.
    const found = await decomposed.tucker(1 - (1 - options.energy) / 2);
    const { inRank, outRank } = found?.tucker ?? { inRank: 0, outRank: 0 };
    const cost = inRank * columns.length + inRank * outRank * columns.inner + outRank * n;
    if (found && cost < n * k)
      candidates.push({
        form: { kind: 'tucker', tucker: found.tucker },
        approximation: found.approximation,
        name: `${inRank} channels in and ${outRank} out (Tucker-2)`,
        energy: options.energy,
      });
  }
  if (candidates.length === 0)
    return {
      why: `${percent(options.energy)} of its output take rank ${rank} of ${Math.min(n, k)}, and from ${even} on two layers multiply more than one`,
    };
  let best: { ratio: number; candidate: (typeof candidates)[number] } | undefined;
  const slower: string[] = [];
  for (const candidate of candidates) {
    const time = await timed(candidate.form);
    if (!time?.isFaster) slower.push(`${candidate.name} takes ${describe(time)}`);
    else if (!best || time.ratio < best.ratio) best = { ratio: time.ratio, candidate };
  }
  if (!best) return { why: `it would not surely be faster on ${clock.provider}: ${slower.join(', ')}` };
  const { form, approximation, name, energy } = best.candidate;
  return {
    form,
    extents,
    approximation,
    detail: `${name}, ${percent(energy)} of its output${decomposed.weighed ? '' : ' (by its weights: no data)'}, ×${best.ratio.toFixed(2)} of its time on ${clock.provider}`,
  };
}

const describe = (time: Timing | undefined): string =>
  time ? `×${time.ratio.toFixed(2)} of its time, up to ×${time.worst.toFixed(2)}` : 'no time that could be measured';

type Timed = (form: Form) => Promise<Timing | undefined>;

/** The largest rank with which the layer is so many times as fast, by halving. */
async function largestRank(
  timed: Timed,
  n: number,
  k: number,
  even: number,
  speedup: number,
): Promise<number | undefined> {
  let [low, high] = [0, Math.floor(even / rankStep)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const time = await timed({ kind: 'pair', factors: blank(middle * rankStep, n, k) });
    if (time?.isFaster && time.ratio <= 1 / speedup) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? undefined : low * rankStep;
}

/** Factors that only their extents count of; not zero, nor so small that processors slow down. */
const blank = (rank: number, n: number, k: number): Factors => ({
  rank,
  outer: new Float32Array(n * rank).fill(0.5),
  inner: new Float32Array(rank * k).fill(0.5),
});
