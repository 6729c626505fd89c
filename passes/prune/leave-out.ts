import type { Model, Value } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/rewrite/driver.ts';
import type { Block } from './blocks.ts';

/**
 * Lets what a block is given stand for what it gives.
 * @param instead what stands for the outputs of blocks that are gone: a block next to one of them is given that
 * @param cost what is told behind the name, beginning with its own punctuation
 */
export function leaveOut({ from, to, sums }: Block, instead: Map<Value, Value>, cost: string, trace: Trace): void {
  trace.applied('drop-layer', sums[0] ?? to.name, `${sums.length} residual sums, up to "${to.name}"${cost}`);
  let by = from;
  for (let next = instead.get(by); next; next = instead.get(by)) by = next;
  instead.set(to, by);
  to.graph.replaceUses(to, by);
}

/** Nodes that nothing reads any more. */
export function removeDead({ graph }: Model): void {
  for (const node of [...graph.nodesReversed()])
    if (!node.removed && !node.outputs.some((output) => output?.isUsed)) graph.removeWithUnused(node);
}
