import { type Graph, graphsBelow, type Value } from '../graph.ts';
import type { VerifyContext } from './context.ts';

/** Use lists and output counts say exactly what inputs and graph outputs say, below `root`. */
export function checkUses(root: Graph, { report }: VerifyContext): void {
  const reads = new Map<Value, number>();
  const outputs = new Map<Value, number>();
  const values = new Set<Value>();
  for (const graph of graphsBelow(root)) {
    for (const value of [...graph.inputs, ...graph.initializers]) values.add(value);
    for (const node of graph.nodes) {
      for (const value of node.outputs) if (value) values.add(value);
      for (const value of node.inputs) if (value) reads.set(value, (reads.get(value) ?? 0) + 1);
    }
    for (const value of graph.outputs) outputs.set(value, (outputs.get(value) ?? 0) + 1);
  }
  for (const value of values) {
    const where = root.name || 'main';
    const read = reads.get(value) ?? 0;
    if (value.useCount !== read) {
      report('use-list', where, `Value "${value.name}" counts ${value.useCount} uses, but ${read} inputs read it.`);
    }
    const handed = outputs.get(value) ?? 0;
    if (value.outputCount !== handed) {
      report('use-list', where, `Value "${value.name}" counts ${value.outputCount} graph outputs, but is ${handed}.`);
    }
    for (const { node, index } of value.uses) {
      if (node.input(index) !== value) {
        report(
          'use-list',
          where,
          `Value "${value.name}" counts input ${index} of ${node} as a use, which reads something else.`,
        );
      }
    }
  }
}
