import { nowMs } from '../clock.ts';
import type { Model } from '../ir/graph.ts';
import type { StepResult } from '../report/report.ts';
import { shareInitializers } from '../rewrite/share-initializers.ts';
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
 * leaves a weight twice. What a pass computes late is not computed for this: equal weights were one before the pass.
 */
function share(model: Model, recorder: Recorder): boolean {
  const trace = { applied: recorder.applied.bind(recorder), skipped: () => undefined };
  return shareInitializers(model, trace, (tensor) => !tensor.computed && tensor.byteLength >= worthSharing);
}

/** Runs steps in order on the model, in place. */
export async function runSteps(model: Model, steps: readonly Step[], options: PipelineOptions): Promise<StepTrace[]> {
  const results: StepTrace[] = [];
  for (const [index, step] of steps.entries()) {
    options.context.signal.throwIfAborted();
    options.onStep?.(step, index);
    const recorder = new Recorder();
    const nodesBefore = countNodes(model);
    const start = nowMs();
    const shared = index === 0 && share(model, recorder);
    const { changed } = await step.pass.run(model, step.options as never, {
      ...options.context,
      applied: recorder.applied.bind(recorder),
      skipped: recorder.skipped.bind(recorder),
      note: recorder.note.bind(recorder),
    });
    const sharedAfter = changed && share(model, recorder);
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
