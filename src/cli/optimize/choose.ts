import type { Recommendation, VariantResult } from '../../report/report.ts';

/** A variant with everything measured, before its verdict. */
export type Measured = Omit<VariantResult, 'verdict' | 'reasons'> & {
  /** Why it is out already: could not be built, does not load, changed nothing. */
  readonly blockers: readonly string[];
};

export interface Floors {
  /** Largest allowed drop of the task metric, or of the agreement with the base model where there are no labels. */
  readonly maxDrop: number;
  /** Without any data, a variant must reproduce the base model at least this well, in decibels. */
  readonly minSqnrDb: number;
}

/** What a target asks of a variant. */
export interface TargetNeed {
  readonly id: string;
  /** Providers the bundle runs on; the first that was measured decides. */
  readonly providers: readonly string[];
  /** Why a variant cannot go into this bundle, or undefined. */
  readonly refuses: (variant: Measured) => string | undefined;
}

export interface Choice {
  readonly variants: readonly VariantResult[];
  readonly recommendations: readonly Recommendation[];
}

/** Slower than base by more than this, even where the interval spans 1, is slower: noise is no excuse for a recommendation. */
const latencySlack = 1.02;

/**
 * Verdicts and one recommendation per target. A variant is rejected when it is below the floor, slower than base on
 * every measured provider that counts, or neither smaller nor faster; among the rest the product of download size and
 * latency, both relative to base, decides. Base itself always stands, so nothing worse than base can win.
 */
export function choose(measured: readonly Measured[], floors: Floors, targets: readonly TargetNeed[]): Choice {
  const base = measured.find((variant) => variant.name === 'base');
  const judged = measured.map((variant) => ({
    variant,
    rejected: variant === base ? [] : rejections(variant, base, floors),
  }));
  const recommendations: Recommendation[] = [];
  for (const target of targets) {
    const best = judged
      .filter(({ variant, rejected }) => rejected.length === 0 && target.refuses(variant) === undefined)
      .filter(({ variant }) => variant === base || !isSlower(variant, decidingProvider(variant, target.providers)))
      .map(({ variant }) => ({ variant, score: score(variant, base, target.providers) }))
      .sort((a, b) => a.score - b.score)[0];
    if (!best) continue;
    const provider = decidingProvider(best.variant, target.providers) ?? target.providers[0] ?? 'cpu';
    recommendations.push({
      target: target.id,
      provider,
      variant: best.variant.name,
      because: praise(best.variant, base, provider),
    });
  }
  const recommended = new Set(recommendations.map((one) => one.variant));
  const variants = judged.map(({ variant, rejected }): VariantResult => {
    const { blockers: _, ...result } = variant;
    if (rejected.length > 0) return { ...result, verdict: 'rejected', reasons: rejected };
    const because = recommendations.filter((one) => one.variant === variant.name).flatMap((one) => one.because);
    if (recommended.has(variant.name)) return { ...result, verdict: 'recommended', reasons: [...new Set(because)] };
    return { ...result, verdict: 'accepted', reasons: acceptedReasons(variant, targets) };
  });
  return { variants, recommendations };
}

function rejections(variant: Measured, base: Measured | undefined, floors: Floors): string[] {
  if (variant.blockers.length > 0) return [...variant.blockers];
  const reasons: string[] = [];
  const floor = floorReason(variant, floors);
  if (floor) reasons.push(floor);
  const measuredOn = Object.keys(variant.latency);
  const slow = measuredOn.filter((provider) => isSlower(variant, provider));
  if (measuredOn.length > 0 && slow.length === measuredOn.length) {
    reasons.push(...slow.map((provider) => `slower than base on ${provider}: ${describeLatency(variant, provider)}`));
  }
  if (
    base &&
    reasons.length === 0 &&
    !isSmaller(variant, base) &&
    !measuredOn.some((provider) => isFaster(variant, provider))
  ) {
    reasons.push('neither smaller nor measurably faster than base');
  }
  return reasons;
}

function floorReason(variant: Measured, floors: Floors): string | undefined {
  const { accuracy, fidelity } = variant;
  if (accuracy) {
    const { drop } = accuracy;
    if (drop !== null && Number.isFinite(drop) && drop <= floors.maxDrop + 1e-12) return undefined;
    return (
      `${accuracy.metric} falls from ${figure(accuracy.base)} to ${figure(accuracy.value)} on ${accuracy.samples} samples, ` +
      `a drop of ${figure(drop)} where ${floors.maxDrop} is allowed`
    );
  }
  if (!fidelity) return 'its outputs could not be compared with the base model';
  if (fidelity.sqnrDb === null || fidelity.sqnrDb >= floors.minSqnrDb) return undefined;
  return (
    `without labelled data it has to reproduce the base model at ${floors.minSqnrDb} dB, and reaches ${fidelity.sqnrDb.toFixed(1)} dB; ` +
    'give --data to judge it by the task'
  );
}

/** Metrics of outputs with NaN have no number. */
const figure = (value: number | null): string =>
  value !== null && Number.isFinite(value) ? value.toFixed(4) : 'no number';

function isSlower(variant: Measured, provider: string | undefined): boolean {
  const latency = provider === undefined ? undefined : variant.latency[provider];
  if (!latency) return false;
  return latency.ratioCi[0] > 1 || latency.ratioToBase > latencySlack;
}

function isFaster(variant: Measured, provider: string): boolean {
  return (variant.latency[provider]?.ratioCi[1] ?? 1) < 1;
}

const isSmaller = (variant: Measured, base: Measured): boolean => (variant.bytes ?? Infinity) < (base.bytes ?? 0);

function decidingProvider(variant: Measured, providers: readonly string[]): string | undefined {
  return providers.find((provider) => variant.latency[provider] !== undefined);
}

/** Size ratio × latency ratio; a latency within noise counts as equal. Base scores 1. */
function score(variant: Measured, base: Measured | undefined, providers: readonly string[]): number {
  if (!base || variant === base) return 1;
  const size = (variant.compressedBytes ?? variant.bytes ?? Infinity) / (base.compressedBytes ?? base.bytes ?? 1);
  const provider = decidingProvider(variant, providers);
  const latency = provider === undefined ? undefined : variant.latency[provider];
  if (!latency) return size;
  const equal = latency.ratioCi[0] <= 1 && latency.ratioCi[1] >= 1;
  return size * (equal ? 1 : latency.ratioToBase);
}

function describeLatency(variant: Measured, provider: string): string {
  const latency = variant.latency[provider];
  if (!latency) return 'not measured';
  const [low, high] = latency.ratioCi;
  return `×${latency.ratioToBase.toFixed(2)} of its latency (95 % interval ${low.toFixed(2)}–${high.toFixed(2)})`;
}

function praise(variant: Measured, base: Measured | undefined, provider: string): string[] {
  if (!base || variant === base) return ['nothing smaller or faster passed'];
  const because: string[] = [];
  const percent = (100 * (variant.bytes ?? 0)) / (base.bytes ?? 1);
  because.push(`${percent.toFixed(0)} % of the size`);
  const latency = variant.latency[provider];
  if (!latency) because.push(`latency on ${provider} was not measured here`);
  else if (latency.ratioCi[1] < 1) because.push(`${(1 / latency.ratioToBase).toFixed(2)} times as fast on ${provider}`);
  else because.push(`same speed on ${provider} within noise`);
  const { accuracy, fidelity } = variant;
  if (accuracy)
    because.push(
      `${accuracy.metric} ${figure(accuracy.value)} (base ${figure(accuracy.base)}, ${accuracy.samples} samples)`,
    );
  else if (fidelity)
    because.push(
      fidelity.sqnrDb === null ? 'outputs identical' : `outputs at ${fidelity.sqnrDb.toFixed(1)} dB of base`,
    );
  return because;
}

function acceptedReasons(variant: Measured, targets: readonly TargetNeed[]): string[] {
  if (variant.name === 'base') return ['the model as it came'];
  const reasons = ['passes, and another variant is smaller or faster'];
  for (const target of targets) {
    const refusal = target.refuses(variant);
    if (refusal) reasons.push(`not for ${target.id}: ${refusal}`);
    const provider = decidingProvider(variant, target.providers);
    if (provider && isSlower(variant, provider))
      reasons.push(`slower than base on ${provider}: ${describeLatency(variant, provider)}`);
  }
  return reasons;
}
