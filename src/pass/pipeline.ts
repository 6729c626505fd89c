import { nowMs } from '../clock.ts';
import { cloneModel } from '../ir/clone.ts';
import type { Model } from '../ir/graph.ts';
import type { StepResult } from '../report/report.ts';
import { ownHalfScales } from '../rewrite/half-scales.ts';
import { shareInitializers } from '../rewrite/share-initializers.ts';
import { judgeFrom } from './judge.ts';
import type { PassContext, Step } from './pass.ts';
import { type AppliedRule, Recorder } from './recorder.ts';

export interface PipelineOptions {
  readonly context: Omit<PassContext, 'applied' | 'skipped'>;
  /** Called before each step, for progress. */
  readonly onStep?: (step: Step, index: number) => void;
}

export interface StepTrace extends StepResult {
  readonly applications: readonly AppliedRule[];
}

/** Nodes of the model, subgraphs and function bodies included. */
export function countNodes(model: Model): number {
  let count = 0;
  for (const graph of model.graphs()) count += graph.nodeCount;
  return count;
}

/** Below this a second copy costs next to nothing, and finding it would not pay. */
const worthSharing = 1024;

/**
 * One copy of each weight, before the first step and after every step that changed something, so that no pass works on or
 * leaves a weight twice, except for scales that ONNX Runtime reads once. What a pass computes late is not computed for this: equal weights were one before the pass.
 */
function share(model: Model, recorder: Recorder): boolean {
  const trace = { applied: recorder.applied.bind(recorder), skipped: () => undefined };
  const shared = shareInitializers(model, trace, (tensor) => !tensor.computed && tensor.byteLength >= worthSharing);
  return ownHalfScales(model, trace) || shared;
}

/** Whether a step that changed something may have lost something. */
export const isLossy = ({ pass, options }: Step): boolean => pass.numerics(options as never).kind === 'lossy';

/**
 * Runs steps in order on the model, in place. What follows steps that have lost something is judged against the model before the first of
 * them, so that all of them together keep the floor.
 */
export async function runSteps(model: Model, steps: readonly Step[], options: PipelineOptions): Promise<StepTrace[]> {
  const results: StepTrace[] = [];
  const { judge } = options.context;
  let origin: Model | undefined;
  for (const [index, step] of steps.entries()) {
    options.context.signal.throwIfAborted();
    options.onStep?.(step, index);
    const recorder = new Recorder();
    const nodesBefore = countNodes(model);
    const start = nowMs();
    const shared = index === 0 && share(model, recorder);
    const before = judge && !origin && isLossy(step) && index < steps.length - 1 ? cloneModel(model) : undefined;
    const { changed } = await step.pass.run(model, step.options as never, {
      ...options.context,
      judge: judge && origin ? judgeFrom(judge, origin) : judge,
      applied: recorder.applied.bind(recorder),
      skipped: recorder.skipped.bind(recorder),
      note: recorder.note.bind(recorder),
    });
    const sharedAfter = changed && share(model, recorder);
    if (changed) origin ??= before;
    results.push({
      pass: step.pass.id,
      options: step.options,
      changed: changed || shared || sharedAfter,
      applied: recorder.counts(),
      applications: recorder.applications,
      skipped: recorder.skips,
      ...(recorder.notes.length > 0 && { notes: recorder.notes }),
      nodesBefore,
      nodesAfter: countNodes(model),
      ms: nowMs() - start,
    });
  }
  return results;
}
