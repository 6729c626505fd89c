import { capabilityOf } from '../../capability/providers.ts';
import { formatMetricValue } from '../../messages.ts';
import { smallestEffect } from '../../report/facts.ts';
import type { Recommendation, VariantResult } from '../../report/report.ts';
import { type Floors, floorReason } from './floor.ts';
import type { Measured } from './measured.ts';
import { leastLossOfBest, smallestGain } from './trade.ts';
import { whyUnmixed } from './unmixed.ts';

/** What a target asks of a variant. */
export interface TargetNeed {
  readonly id: string;
  /** Providers that this variant would run on in the bundle, the preferred one first. */
  readonly providers: (variant: Measured) => readonly string[];
  /** Why a variant cannot go into this bundle, or undefined. */
  readonly refuses: (variant: Measured) => string | undefined;
}

export interface Choice {
  readonly variants: readonly VariantResult[];
  readonly recommendations: readonly Recommendation[];
}

/** What a variant comes to on one target. */
interface Standing {
  readonly target: string;
  /** Why it is not for this target, whatever else there is; empty for a candidate. */
  readonly out: readonly string[];
  /** Its providers there, and the first of them that it was timed on: that one decides. */
  readonly providers: readonly string[];
  readonly timedOn: string | undefined;
  /** Whether base itself cannot go there: then nothing has to be better than base. */
  readonly withoutBase: boolean;
}

/**
 * Verdicts and one recommendation per target.
 *
 * A variant is a candidate for a target when it keeps the floor and is, on each of its providers there that was measured,
 * right and not slower than base. Candidates that were timed go before those that were not, and base always takes part, so
 * that nothing worse than base on what was measured can win. Among them the product of download size and latency, both
 * relative to base, decides; of those that are hardly apart the one that loses less. A variant that is a candidate nowhere is rejected.
 * Where base cannot go into the bundle (its outputs are maps, its opset is too new), slower than base is no objection.
 */
export function choose(measured: readonly Measured[], floors: Floors, targets: readonly TargetNeed[]): Choice {
  const base = measured.find((variant) => variant.name === 'base');
  const judged = measured.map((variant) => {
    const standings = targets.map((target) => standingOf(variant, target, base));
    return { variant, standings, rejected: rejections(variant, measured, floors, standings) };
  });
  const recommendations: Recommendation[] = [];
  for (const [at, { id }] of targets.entries()) {
    const candidates = judged.flatMap(({ variant, standings, rejected }) => {
      const standing = standings[at];
      return standing && rejected.length === 0 && standing.out.length === 0 ? [{ variant, standing }] : [];
    });
    const timed = candidates.filter(({ standing }) => standing.timedOn !== undefined);
    const ranked = (timed.length > 0 ? timed : candidates)
      .map((one) => ({ ...one, score: score(one.variant, base, one.standing.timedOn) }))
      .sort((a, b) => a.score - b.score);
    const first = leastLossOfBest(ranked);
    if (!first) continue;
    const best = first.score > 1 - smallestGain ? (ranked.find((one) => one.variant === base) ?? first) : first;
    const { variant, standing } = best;
    const ofBase = base && targets[at]?.providers(base);
    recommendations.push({
      target: id,
      provider: standing.timedOn ?? standing.providers[0] ?? 'cpu',
      variant: variant.name,
      because: praise(variant, base, standing, ofBase ?? []),
    });
  }
  const variants = judged.map(({ variant, standings, rejected }): VariantResult => {
    const { blockers: _, failures, ...rest } = variant;
    const result = Object.keys(failures).length === 0 ? rest : { ...rest, failures };
    const notes = zerosNote(variant);
    if (rejected.length > 0) return { ...result, verdict: 'rejected', reasons: [...rejected, ...notes] };
    const elsewhere = standings.filter(({ out }) => out.length > 0).map(notFor);
    const won = recommendations.filter((one) => one.variant === variant.name);
    if (won.length > 0) {
      const because = won.flatMap((one) => one.because);
      return { ...result, verdict: 'recommended', reasons: [...new Set([...because, ...elsewhere]), ...notes] };
    }
    const why = variant === base ? 'the model as it came' : beaten(variant, base, standings, recommendations);
    return { ...result, verdict: 'accepted', reasons: [why, ...elsewhere, ...notes] };
  });
  return { variants, recommendations };
}

/** Why a variant that passes is recommended nowhere: base itself won where it could have been, or another variant did. */
function beaten(
  variant: Measured,
  base: Measured | undefined,
  standings: readonly Standing[],
  recommendations: readonly Recommendation[],
): string {
  const open = standings.filter(({ out }) => out.length === 0);
  const byBase = open.every(
    ({ target, timedOn }) =>
      recommendations.some((one) => one.target === target && one.variant === 'base') &&
      score(variant, base, timedOn) > 1 - smallestGain,
  );
  return byBase && open.length > 0
    ? `passes, and saves less than ${100 * smallestGain} % of base in download and latency`
    : 'passes, and another variant is smaller or faster';
}

function standingOf(variant: Measured, target: TargetNeed, base: Measured | undefined): Standing {
  const providers = target.providers(variant);
  const timedOn = providers.find((provider) => variant.latency[provider] !== undefined);
  const refusal = target.refuses(variant);
  const withoutBase = base !== undefined && target.refuses(base) !== undefined;
  const out =
    refusal === undefined
      ? providers.flatMap((provider) => objections(variant, provider, base, withoutBase))
      : [`not for ${target.id}: ${refusal}`];
  return { target: target.id, out, providers, timedOn, withoutBase };
}

/** What speaks against a variant on a provider, of what was measured there. */
function objections(variant: Measured, provider: string, base: Measured | undefined, withoutBase: boolean): string[] {
  const failure = variant.failures[provider];
  if (failure !== undefined) return [failure];
  if (variant === base || withoutBase) return [];
  if (base && Object.keys(base.latency).length === 0) return knownSlow(variant.name, provider);
  if (!isSlower(variant, provider)) return [];
  // The call knows the margin too: what two sessions of the same file differ by on this machine, at this time.
  const { call, ratioCi } = variant.latency[provider] ?? {};
  const sure = call === undefined ? (ratioCi?.[0] ?? 0) > 1 : call === 'slower';
  return [
    sure
      ? `slower than base on ${provider}: ${describeLatency(variant, provider)}`
      : `may be slower than base on ${provider}: ${describeLatency(variant, provider)}; more time (--seconds) or a quieter machine would tell`,
  ];
}

/** Where nothing is timed (--no-bench), the table of formats says what is slower than float32: size alone must not choose it. */
function knownSlow(variant: string, provider: string): string[] {
  const known = capabilityOf(provider, variant);
  if (known?.standing !== 'slow') return [];
  return [`not timed (--no-bench), and known to be slower than base on ${provider}: ${known.why}`];
}

function notFor({ target, out }: Standing): string {
  const prefix = `not for ${target}: `;
  return prefix + out.map((why) => (why.startsWith(prefix) ? why.slice(prefix.length) : why)).join('; ');
}

function rejections(
  variant: Measured,
  measured: readonly Measured[],
  floors: Floors,
  standings: readonly Standing[],
): string[] {
  const base = measured.find(({ name }) => name === 'base');
  if (variant.blockers.length > 0) return [...variant.blockers];
  if (variant === base) return [];
  const reasons: string[] = [];
  const floor = floorReason(variant, floors, base);
  if (floor) {
    const noMix = floors.noSkill === undefined ? whyUnmixed(variant, measured, floors) : undefined;
    reasons.push(floor, ...(noMix === undefined ? [] : [noMix]));
  }
  if (standings.length > 0 && standings.every(({ out }) => out.length > 0)) {
    reasons.push(...new Set(standings.flatMap(({ out }) => out)));
  }
  const faster = Object.keys(variant.latency).some((provider) => isFaster(variant, provider));
  const needed = standings.some(({ out, withoutBase }) => withoutBase && out.length === 0);
  if (base && reasons.length === 0 && !needed && !isSmaller(variant, base) && !faster) {
    reasons.push('neither smaller nor measurably faster than base');
  }
  return reasons;
}

/** By its median; an interval that reaches 1 is no excuse, for noise is no reason to recommend something. */
function isSlower(variant: Measured, provider: string): boolean {
  return (variant.latency[provider]?.ratioToBase ?? 1) > 1 + smallestEffect;
}

/** By its whole interval, and by more than two sessions of the same file differ: a gain has to be sure. */
function isFaster(variant: Measured, provider: string): boolean {
  const { ratioCi, call = 'faster' } = variant.latency[provider] ?? {};
  return (ratioCi?.[1] ?? 1) < 1 - smallestEffect && call === 'faster';
}

/**
 * On disk; or as a download, for variants made for that: their zeros show only once a file is compressed. A larger file of other variants may compress
 * a little better, too (a few casts beside weights that were small), which nobody would change a model for.
 */
const isSmaller = (variant: Measured, base: Measured): boolean =>
  (variant.bytes ?? Infinity) < (base.bytes ?? 0) ||
  (gainsByCompressing(variant).length > 0 &&
    (variant.compressedBytes ?? Infinity) < (1 - smallestGain) * (base.compressedBytes ?? 0));

/** Passes that make weights compress and leave it to the runtime what to do with that. */
const compressing: Readonly<Record<string, string>> = {
  'prune-weights': 'ONNX Runtime has no sparse kernels',
  'cluster-weights': 'weights are expanded to floats at load',
};

const gainsByCompressing = ({ steps }: Measured): string[] =>
  steps.flatMap(({ pass, changed }) => (changed ? (compressing[pass] ?? []) : []));

/** What zeros and shared weights did to the speed, where users expect something of them: measured, by provider. */
function zerosNote(variant: Measured): string[] {
  const why = gainsByCompressing(variant);
  if (why.length === 0) return [];
  return Object.keys(variant.latency).flatMap((provider) =>
    isFaster(variant, provider)
      ? []
      : [
          `no speed-up on ${provider}: ${describeLatency(variant, provider)}; ${why.join(', ')}, the gain is the download`,
        ],
  );
}

/** Size ratio × latency ratio; a latency that is not surely lower counts as equal. Base scores 1. */
function score(variant: Measured, base: Measured | undefined, provider: string | undefined): number {
  if (!base || variant === base) return 1;
  const size = (variant.compressedBytes ?? variant.bytes ?? Infinity) / (base.compressedBytes ?? base.bytes ?? 1);
  const latency = provider !== undefined && isFaster(variant, provider) ? variant.latency[provider] : undefined;
  return size * (latency?.ratioToBase ?? 1);
}

function describeLatency(variant: Measured, provider: string): string {
  const latency = variant.latency[provider];
  if (!latency) return 'not measured';
  // Near the limit two digits would hide on which side of it the figure lies.
  const digits = Math.abs(latency.ratioToBase - 1) < 0.1 ? 3 : 2;
  const [ratio, low, high] = [latency.ratioToBase, ...latency.ratioCi].map((value) => value.toFixed(digits));
  return `×${ratio} of its latency (95 % interval ${low}–${high})`;
}

function praise(
  variant: Measured,
  base: Measured | undefined,
  { providers, timedOn }: Standing,
  providersOfBase: readonly string[],
): string[] {
  if (!base || variant === base) return ['nothing smaller or faster passed'];
  const because: string[] = [];
  const percent = (100 * (variant.bytes ?? 0)) / (base.bytes ?? 1);
  because.push(`${percent.toFixed(0)} % of the size`);
  // Of zeros the size says nothing.
  if (gainsByCompressing(variant).length > 0 && variant.compressedBytes !== null && base.compressedBytes)
    because.push(`${((100 * variant.compressedBytes) / base.compressedBytes).toFixed(0)} % of the download`);
  const latency = timedOn === undefined ? undefined : variant.latency[timedOn];
  if (latency && timedOn !== undefined) {
    because.push(
      isFaster(variant, timedOn)
        ? `${(1 / latency.ratioToBase).toFixed(2)} times as fast on ${timedOn}`
        : `${latency.ratioCi[0] > 1 + smallestEffect ? 'slower' : 'same speed'} on ${timedOn} (×${latency.ratioToBase.toFixed(2)})`,
    );
  }
  const before = providers.slice(0, timedOn === undefined ? providers.length : providers.indexOf(timedOn));
  because.push(...before.map((provider) => `latency on ${provider} was not measured here`));
  const givenUp = providersOfBase.filter(
    (provider) => !providers.includes(provider) && base.latency[provider] === undefined,
  );
  because.push(...givenUp.map((provider) => `gives up ${provider}, which base could use and was not measured on here`));
  const { accuracy, fidelity } = variant;
  if (accuracy)
    because.push(
      `${accuracy.metric} ${formatMetricValue(accuracy.value)} (base ${formatMetricValue(accuracy.base)}, ${accuracy.samples} samples)`,
    );
  else if (fidelity)
    because.push(
      fidelity.sqnrDb === null ? 'outputs identical' : `outputs at ${fidelity.sqnrDb.toFixed(1)} dB of base`,
    );
  return because;
}
