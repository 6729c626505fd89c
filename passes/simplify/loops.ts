import { constantScalar } from '../../src/ir/constant.ts';
import type { Model, Node } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';

/** Loops that never run, and outputs of If, Loop and Scan that nobody reads. */
export function simplifyLoops(model: Model, trace: Trace): boolean {
  let changed = false;
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      if (node.is('Loop') && skipLoop(node, trace)) changed = true;
      else if ((node.is('If') || node.is('Loop')) && dropUnusedOutputs(node, trace)) changed = true;
    }
  }
  return changed;
}

/** A Loop whose trip count is 0 or whose first condition is false gives back what it started from. */
function skipLoop(node: Node, trace: Trace): boolean {
  const trips = constantScalar(node.input(0));
  const condition = constantScalar(node.input(1));
  if (!(trips !== undefined && trips <= 0) && condition !== 0) return false;
  const states = Math.max(0, node.inputs.length - 2);
  const scanned = node.outputs.slice(states).find((output) => output?.isUsed);
  if (scanned) {
    trace.skipped(
      'loop-never-runs',
      node,
      `"${scanned.name}" collects values of no iteration, and its shape is unknown`,
    );
    return false;
  }
  for (const [index, output] of node.outputs.slice(0, states).entries()) {
    const start = node.input(index + 2);
    if (output && start) node.graph.replaceUses(output, start);
  }
  trace.applied('loop-never-runs', node);
  node.graph.removeWithUnused(node);
  return true;
}

/**
 * Outputs nobody reads go from an If with those of its branches, and from a Loop where they collect values. State that a
 * Loop carries stays: the iterations may need it.
 */
function dropUnusedOutputs(node: Node, trace: Trace): boolean {
  const states = node.is('Loop') ? Math.max(0, node.inputs.length - 2) : 0;
  const unused = new Set<number>();
  for (const [index, output] of node.outputs.entries()) if (index >= states && !output?.isUsed) unused.add(index);
  for (const graph of node.subgraphs) {
    // Outputs that were left out at the end count too.
    const count = graph.outputs.length - (node.is('Loop') ? 1 : 0);
    for (let index = Math.max(states, node.outputs.length); index < count; index++) unused.add(index);
  }
  if (unused.size === 0) return false;
  const first = node.is('Loop') ? 1 : 0;
  if (unused.size === node.outputs.length && states === 0 && !node.outputs.some((output) => output?.isUsed))
    return false;
  const kept = [...node.outputs.entries()].filter(([index]) => !unused.has(index));
  const graphs = node.subgraphs;
  const attrs = Object.fromEntries(node.attrs);
  const copy = node.graph.insertBefore(node, node.op, {
    name: node.name,
    inputs: node.inputs,
    outputs: kept.map(([, output]) => (output ? node.graph.freshName(output.name) : undefined)),
    types: kept.map(([, output]) => output?.type),
    attrs,
  });
  copy.doc = node.doc;
  copy.meta = node.meta;
  for (const [at, [, output]] of kept.entries()) {
    const result = copy.outputs[at];
    if (!output || !result) continue;
    const { name } = output;
    node.graph.replaceUses(output, result);
    if (result.name !== name) {
      output.name = result.name;
      result.name = name;
    }
  }
  for (const graph of graphs) {
    for (const index of [...unused].sort((a, b) => b - a)) {
      if (index + first < graph.outputs.length) graph.removeOutput(index + first);
    }
  }
  node.attrs.clear();
  node.graph.remove(node);
  trace.applied('unused-output', copy, `${unused.size} of ${unused.size + kept.length}`);
  return true;
}
