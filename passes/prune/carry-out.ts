import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import type { PassContext } from '../../src/pass/pass.ts';
import type { Coupling } from './coupling/analyze.ts';
import { removeUnits } from './coupling/apply.ts';
import { type Narrowed, narrowedBy, type Reach, repairReaders } from './repair/repair.ts';
import type { RepairMethod } from './repair/solve.ts';
import { WonBack } from './repair/won-back.ts';

export interface RepairOptions {
  readonly repair: boolean;
  readonly repairBy: RepairMethod;
  readonly repairReach: Reach;
}

/** Removes units, and where asked fits the layers that read fewer of them, or all behind. */
export async function carryOut(
  coupling: Coupling,
  removed: ReadonlySet<number>,
  options: RepairOptions,
  ctx: PassContext,
): Promise<void> {
  const { model } = coupling;
  const original = options.repair ? cloneModel(model) : undefined;
  const narrowed = narrowedBy(coupling, removed, options.repairReach);
  removeUnits(coupling, removed);
  if (original) await repair(original, model, narrowed, options.repairBy, ctx);
}

/**
 * Fits layers of a cut model to what the original gave, and tells what that won back.
 * @param searched what went was found by looking at the judge's samples
 */
export async function repair(
  original: Model,
  model: Model,
  narrowed: readonly Narrowed[],
  by: RepairOptions['repairBy'],
  ctx: PassContext,
  searched = false,
): Promise<void> {
  if (!ctx.activations) {
    ctx.skipped('repair', 'model', 'fitting takes samples: give a folder of them with --data');
    return;
  }
  const judged = await WonBack.of(original, ctx, searched);
  try {
    await judged?.cut(model);
    await repairReaders(original, model, narrowed, ctx.activations, by, ctx);
    for (const sentence of (await judged?.sentences(model)) ?? []) ctx.note?.(sentence);
  } finally {
    await judged?.dispose();
  }
}
