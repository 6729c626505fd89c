import type { Step } from '../../pass/pass.ts';
import { type Floors, floorReason } from './choose.ts';
import type { Measured } from './measured.ts';
import type { Settings } from './settings.ts';
import type { VariantPlan } from './variants.ts';

/** A mix of formats to search for, and why it is worth that. */
export interface Rescue {
  readonly variant: 'mixed' | 'mixed-wasm';
  readonly why: string;
}

/** Mixes, with the variants that each can save, the most wanted first. */
const rescued: Readonly<Record<Rescue['variant'], readonly string[]>> = {
  mixed: ['int8-static', 'int4', 'q4f16', 'int8'],
  'mixed-wasm': ['int8-wasm'],
};

/** Those of which nothing more is asked once they pass: a mix would be larger and slower. */
const enough: ReadonlySet<string> = new Set(['int8-static', 'int8']);

/**
 * The mixes that are worth their search: of each kind where a quantized variant works but misses the floor, and no better one was built that keeps
 * it.
 */
export function rescuesOf(judged: readonly Measured[], floors: Floors): Rescue[] {
  const found: Rescue[] = [];
  for (const variant of ['mixed', 'mixed-wasm'] as const) {
    const why = whyMixed(rescued[variant], judged, floors);
    if (why !== undefined) found.push({ variant, why });
  }
  return found;
}

function whyMixed(names: readonly string[], judged: readonly Measured[], floors: Floors): string | undefined {
  for (const name of names) {
    const variant = judged.find((one) => one.name === name);
    if (!variant || variant.blockers.length > 0) continue;
    const reason = floorReason(variant, floors);
    if (reason !== undefined) return `${name} misses the floor: ${reason}`;
    if (enough.has(name)) return undefined;
  }
  return undefined;
}

/** Passes that measure how far they can go. */
const searches = new Set(['mixed-precision', 'prune-search']);

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
