import { performance } from 'node:perf_hooks';
import type { Model } from '../ir/graph.ts';
import type { StepResult } from '../report/report.ts';
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

/** Runs steps in order on the model, in place. */
export async function runSteps(model: Model, steps: readonly Step[], options: PipelineOptions): Promise<StepTrace[]> {
  const results: StepTrace[] = [];
  for (const [index, step] of steps.entries()) {
    options.context.signal.throwIfAborted();
    options.onStep?.(step, index);
    const recorder = new Recorder();
    const nodesBefore = countNodes(model);
    const start = performance.now();
    const { changed } = await step.pass.run(model, step.options as never, {
      ...options.context,
      applied: recorder.applied.bind(recorder),
      skipped: recorder.skipped.bind(recorder),
    });
    results.push({
      pass: step.pass.id,
      options: step.options,
      changed,
      applied: recorder.counts(),
      applications: recorder.applications,
      skipped: recorder.skips,
      nodesBefore,
      nodesAfter: countNodes(model),
      ms: performance.now() - start,
    });
  }
  return results;
}
