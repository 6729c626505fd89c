/** Questions that many rules ask, answered with `true` or the sentence that says why not. */
import type { Graph, Value } from '../ir/graph.ts';
import type { Shape } from '../ir/types.ts';
import type { Answer } from './pattern.ts';

/** The value has exactly one reader: no second use, no graph output, no capture by a subgraph. */
export function usedOnce(value: Value): Answer {
  if (value.isGraphOutput) return `"${value.name}" is an output of the graph`;
  const readers = value.consumers;
  const captured = readers.find((node) => node.graph !== value.graph);
  if (captured) return `"${value.name}" is captured by ${describeSubgraph(captured.graph, value.graph)}`;
  const [first] = readers;
  if (!first) return `"${value.name}" is not read by anything`;
  if (readers.length === 1) {
    const { useCount } = value;
    return useCount === 1 || `"${value.name}" is read ${useCount} times by ${first}`;
  }
  const named = readers.slice(0, 3).map(String).join(', ');
  return `"${value.name}" is read by ${readers.length} nodes: ${named}${readers.length > 3 ? ', …' : ''}`;
}

/** The subgraph of the node in `outer` inside which `inner` lies. */
function describeSubgraph(inner: Graph, outer: Graph): string {
  let graph = inner;
  while (graph.parent && graph.parent !== outer) graph = graph.parent;
  const owner = graph.ownerNode;
  return `subgraph "${graph.name}"${owner ? ` of ${owner}` : ''}`;
}

/**
 * Numpy broadcasting of two static or partly known shapes (ONNX "Broadcasting in ONNX").
 * @returns the result's shape; undefined where a dimension cannot be decided or does not fit.
 */
export function broadcastShape(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const result: (number | string)[] = [];
  for (let i = 0; i < rank; i++) {
    const x = i < rank - a.length ? 1 : a[i - (rank - a.length)];
    const y = i < rank - b.length ? 1 : b[i - (rank - b.length)];
    if (x === 1 && y !== undefined) result.push(y);
    else if (y === 1 && x !== undefined) result.push(x);
    else if (x === y && x !== undefined) result.push(x);
    else if (typeof x === 'number' && typeof y === 'string') result.push(x);
    else if (typeof y === 'number' && typeof x === 'string') result.push(y);
    else return undefined;
  }
  return result;
}

/** Adding a tensor of shape `b` to one of shape `a` gives shape `a` again, whatever the unknown dimensions of `a` are. */
export function broadcastsInto(b: readonly number[], a: Shape): boolean {
  if (b.length > a.length) return false;
  return b.every((dim, i) => dim === 1 || dim === a[a.length - b.length + i]);
}
