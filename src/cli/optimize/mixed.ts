import type { Step } from '../../pass/pass.ts';
import { type Floors, floorReason, type Measured } from './choose.ts';
import type { VariantPlan } from './variants.ts';

/** Variants that a mix can save, the most wanted first. */
const rescued = ['int8-static', 'int4', 'q4f16', 'int8'] as const;

/**
 * Why a mix of formats is worth its search: a quantized variant works but misses the floor. Undefined when the first that was
 * built keeps it, or none works.
 */
export function whyMixed(judged: readonly Measured[], floors: Floors): string | undefined {
  for (const name of rescued) {
    const variant = judged.find((one) => one.name === name);
    if (!variant || variant.blockers.length > 0) continue;
    const reason = floorReason(variant, floors);
    if (reason !== undefined) return `${name} misses the floor: ${reason}`;
    if (name === 'int8-static' || name === 'int8') return undefined;
  }
  return undefined;
}

/** Passes that measure how far they can go. */
const searches = new Set(['mixed-precision', 'prune-search']);

/** A plan whose search is held to the run's own floor. */
export function heldToFloor(plan: VariantPlan, floors: Floors): VariantPlan {
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
