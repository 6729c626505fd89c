import type { Model } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { inlineFunctions } from '../../src/rewrite/inline.ts';

/** Calls of the model's own functions: their nodes. */
export function inlineCalls(model: Model, trace: Trace): boolean {
  if (model.functions.length === 0) return false;
  const { calls, left } = inlineFunctions(model);
  for (const { node, why } of left) trace.skipped('inline-function', node, why);
  for (const [name, count] of calls) trace.applied('inline-function', name, `${count} ×`);
  return calls.size > 0;
}
