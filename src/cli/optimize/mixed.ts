import type { Step } from '../../pass/pass.ts';
import { type Floors, floorReason } from './floor.ts';
import type { Measured } from './measured.ts';
import type { Settings } from './settings.ts';
import type { VariantPlan } from './variants.ts';

/** A mix of formats to search for, and why it is worth that. */
export interface Rescue {
  readonly variant: string;
  readonly why: string;
}

interface Family {
  /** The mix, a variant like any other. */
  readonly mix: string;
  /** The variants that it can save, the most wanted first. */
  readonly of: readonly string[];
  /** Those of which nothing more is asked once they pass: a mix would be larger and slower. */
  readonly enough: readonly string[];
  /** The variant that it goes on from, which has to keep the floor itself; undefined: float32. */
  readonly from?: string;
}

const families: readonly Family[] = [
  { mix: 'mixed', of: ['int8-static', 'int4', 'q4f16', 'int8'], enough: ['int8-static', 'int8'] },
  { mix: 'mixed-wasm', of: ['int8-wasm', 'uint8'], enough: ['int8-wasm', 'uint8'] },
  { mix: 'mixed-dq', of: ['int4-dq'], enough: [] },
  { mix: 'pruned-mixed', of: ['pruned-int8'], enough: [], from: 'pruned' },
];

/** The family that a mix is searched for. */
export const familyOf = (name: string): Family | undefined => families.find(({ of }) => of.includes(name));

/** The first variant that is enough: it works and keeps the floor. */
export const enoughOf = ({ enough }: Family, judged: readonly Measured[], floors: Floors): Measured | undefined =>
  judged.find(
    (one) => enough.includes(one.name) && one.blockers.length === 0 && floorReason(one, floors) === undefined,
  );

/** Why what a mix goes on from is no place to begin. */
export function noStart({ from }: Family, judged: readonly Measured[], floors: Floors): string | undefined {
  const start = judged.find(({ name }) => name === from);
  return start && start.blockers.length === 0 && floorReason(start, floors) !== undefined ? start.name : undefined;
}

/**
 * The mixes that are worth their search: of each family where a quantized variant works but misses the floor, no better one was built that keeps
 * it, and what the mix goes on from does.
 */
export function rescuesOf(judged: readonly Measured[], floors: Floors): Rescue[] {
  return families.flatMap((family) => {
    const why = noStart(family, judged, floors) === undefined ? whyMixed(family, judged, floors) : undefined;
    return why === undefined ? [] : [{ variant: family.mix, why }];
  });
}

function whyMixed({ of, enough }: Family, judged: readonly Measured[], floors: Floors): string | undefined {
  for (const name of of) {
    const variant = judged.find((one) => one.name === name);
    if (!variant || variant.blockers.length > 0) continue;
    const reason = floorReason(variant, floors);
    if (reason !== undefined) return `${name} misses the floor: ${reason}`;
    if (enough.includes(name)) return undefined;
  }
  return undefined;
}

/** Passes that measure how far they can go. */
export const searches: ReadonlySet<string> = new Set(['mixed-precision', 'prune-search']);

/** A plan whose search is held to the run's own floor. */
export function heldToFloor(plan: VariantPlan, floors: Pick<Settings, 'maxDrop' | 'minSqnrDb'>): VariantPlan {
  const steps = plan.steps.map((step): Step => {
    if (!searches.has(step.pass.id)) return step;
    // What the user set in a config stays; a default gives way to the run's floor.
    const { maxDrop, minSqnr } = step.pass.options;
    const own = step.options;
    return {
      ...step,
      options: {
        ...own,
        maxDrop: own.maxDrop === maxDrop?.default ? floors.maxDrop : own.maxDrop,
        minSqnr: own.minSqnr === minSqnr?.default ? floors.minSqnrDb : own.minSqnr,
      },
    };
  });
  return { name: plan.name, steps };
}
