/** A set of nodes that one node is to replace: what `Rule.find` collects. */
import type { Node, Value } from '../ir/graph.ts';
import { usedOnce } from './conditions.ts';
import { Match } from './match.ts';
import type { Answer } from './pattern.ts';

/**
 * Everything but the outputs of `last` must be of no use outside of `nodes`: else the fused node would compute it a second time.
 * @param kept values that go on being available.
 */
export function usedInside(nodes: ReadonlySet<Node>, last: Node, kept: ReadonlySet<Value> = new Set()): Answer {
  for (const node of nodes) {
    if (node === last) continue;
    for (const value of node.outputs) {
      if (!value || kept.has(value)) continue;
      if (value.isGraphOutput) return `"${value.name}" is an output of the graph`;
      for (const reader of value.readers) {
        if (nodes.has(reader)) continue;
        const once = usedOnce(value);
        return once === true ? `"${value.name}" is read by ${reader}, which is not part of it` : once;
      }
    }
  }
  return true;
}

/** The match of a cluster that ends in `last`. */
export function clusterMatch(
  nodes: ReadonlySet<Node>,
  last: Node,
  values: Readonly<Record<string, Value | undefined>>,
): Match {
  const bound = new Map<string, Value>();
  for (const [name, value] of Object.entries(values)) if (value) bound.set(name, value);
  return new Match(last, [last, ...[...nodes].filter((node) => node !== last)], bound, new Map());
}

/** The one node that reads `value`, in the same graph; undefined when there are others, or it is an output. */
export function onlyReader(value: Value): Node | undefined {
  if (value.isGraphOutput) return undefined;
  const readers = value.readers[Symbol.iterator]();
  const first = readers.next();
  if (first.done || !readers.next().done) return undefined;
  return first.value.graph === value.graph ? first.value : undefined;
}
