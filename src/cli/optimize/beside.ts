import { smallestEffect } from '../../report/facts.ts';
import type { Evidence } from '../../target/evidence.ts';
import type { Artifact } from '../../target/target.ts';
import type { ChosenTarget } from './candidates.ts';
import { type Floors, floorReason } from './floor.ts';
import type { Measured } from './measured.ts';

export interface BesideContext {
  readonly measured: readonly Measured[];
  readonly artifacts: ReadonlyMap<string, Artifact>;
  readonly floors: Floors;
  /** With the times of this run, to choose by. */
  readonly timed: (variant: Measured) => Evidence;
}

/**
 * Variants that go into a bundle beside the one that is recommended, for targets that choose where they run. Each is as accurate as
 * asked and, on the providers of the target it was timed on, not slower than base on all of them: one that is slow on WebAssembly
 * may be what a GPU wants.
 */
export function besideOf(
  { target, options }: ChosenTarget,
  recommended: Artifact,
  { measured, artifacts, floors, timed }: BesideContext,
): readonly Artifact[] {
  if (!target.beside) return [];
  const withTimes = measured.flatMap((variant) => {
    const artifact = artifacts.get(variant.name);
    return artifact ? [{ variant, artifact: { ...artifact, evidence: timed(variant) } }] : [];
  });
  const base = measured.find(({ name }) => name === 'base');
  const candidates = withTimes.filter(
    ({ variant, artifact }) =>
      variant.name !== recommended.variant &&
      typesOf(artifact) === typesOf(recommended) &&
      variant.blockers.length === 0 &&
      (variant === base || floorReason(variant, floors) === undefined) &&
      worksSomewhere(variant, target.providers),
  );
  const own = withTimes.find(({ variant }) => variant.name === recommended.variant)?.artifact ?? recommended;
  const taken = target.beside(
    own,
    candidates.map(({ artifact }) => artifact),
    options,
  );
  return taken.flatMap(({ variant }) => artifacts.get(variant) ?? []);
}

/** One loader feeds all variants: inputs and outputs must not differ. */
function typesOf({ inputs, outputs }: Artifact): string {
  return [...inputs, ...outputs].map(({ name, dtype }) => `${name} ${dtype}`).join();
}

/** No failure, and not slower than base, on at least one provider; what was not tried may work. */
function worksSomewhere({ failures, latency }: Measured, providers: readonly string[]): boolean {
  return providers.some(
    (provider) => failures[provider] === undefined && (latency[provider]?.ratioToBase ?? 1) <= 1 + smallestEffect,
  );
}
