import { constantOf } from './constant.ts';
import type { DType } from './dtype.ts';
import type { Graph, Model, Node } from './graph.ts';
import { elementCount, type Tensor } from './tensor.ts';

/** Elements and bytes of constant data. */
interface Amount {
  readonly elements: number;
  readonly bytes: number;
}

export interface ModelStats {
  /** Nodes of the main graph, of all subgraphs, and of function bodies (each once). */
  readonly nodes: number;
  /** Nodes of each op (`Conv`, `com.microsoft.FusedConv`), the most frequent first. */
  readonly ops: ReadonlyMap<string, number>;
  readonly subgraphs: number;
  /** How deep graphs stand in graphs; 0 without subgraphs. */
  readonly depth: number;
  /** All constant elements: initializers and Constant nodes, wherever they stand, integers of shapes included. */
  readonly parameters: number;
  /** The same by element type. */
  readonly byType: ReadonlyMap<DType, Amount>;
  /** Bytes of all constant data as stored (strings not counted). */
  readonly bytes: number;
}

/** Counts what a model is made of. Reads no tensor data. */
export function modelStats(model: Model): ModelStats {
  const ops = new Map<string, number>();
  const byType = new Map<DType, Amount>();
  let nodes = 0;
  let subgraphs = 0;
  let depth = 0;
  const add = ({ dtype, shape, byteLength }: Tensor): void => {
    const { elements, bytes } = byType.get(dtype) ?? { elements: 0, bytes: 0 };
    byType.set(dtype, { elements: elements + elementCount(shape), bytes: bytes + byteLength });
  };
  for (const graph of model.graphs()) {
    if (graph.ownerNode) subgraphs++;
    depth = Math.max(depth, depthOf(graph));
    for (const { initializer } of graph.initializers) if (initializer) add(initializer);
    for (const node of graph.nodes) {
      nodes++;
      const op = opName(node);
      ops.set(op, (ops.get(op) ?? 0) + 1);
      const constant = node.is('Constant') ? constantOf(node.outputs[0]) : undefined;
      if (constant) add(constant);
    }
  }
  const amounts = [...byType.values()];
  return {
    nodes,
    ops: new Map([...ops].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))),
    subgraphs,
    depth,
    parameters: amounts.reduce((sum, { elements }) => sum + elements, 0),
    byType: new Map([...byType].sort(([, a], [, b]) => b.elements - a.elements)),
    bytes: amounts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** `Conv`, `com.microsoft.FusedConv`. */
function opName(node: Node): string {
  return node.domain ? `${node.domain}.${node.op}` : node.op;
}

function depthOf(graph: Graph): number {
  let depth = 0;
  for (let at = graph.parent; at; at = at.parent) depth++;
  return depth;
}
