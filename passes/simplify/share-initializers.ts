import type { Graph, Model, Value } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { tensorDigest, tensorHead } from './tensor-digest.ts';

const silent: Trace = { applied() {}, skipped() {} };

/**
 * One copy of every constant: initializers of equal type, shape and bits become one, in each graph and from subgraphs
 * to the graphs around them. Tied weights come out tied. Large tensors are compared in pieces and only where their
 * first bytes agree.
 * @returns whether anything changed.
 */
export function shareInitializers(model: Model, trace: Trace = silent): boolean {
  const heads = countHeads(model);
  return share(model.graph, [], heads, trace);
}

/** How many initializers begin alike: only those that occur twice need to be read whole. */
function countHeads(model: Model): Map<string, number> {
  const heads = new Map<string, number>();
  for (const graph of model.graphs()) {
    for (const { constant } of graph.initializers) {
      if (!constant) continue;
      const head = tensorHead(constant);
      heads.set(head, (heads.get(head) ?? 0) + 1);
    }
  }
  return heads;
}

type Pool = Map<string, Value>;

function share(graph: Graph, outer: readonly Pool[], heads: ReadonlyMap<string, number>, trace: Trace): boolean {
  let changed = false;
  const own: Pool = new Map();
  const visible = [...outer, own];
  for (const value of [...graph.initializers]) {
    const tensor = value.constant;
    if (!tensor || value.isGraphInput || (heads.get(tensorHead(tensor)) ?? 0) < 2) continue;
    const digest = tensorDigest(tensor);
    const twin = findTwin(visible, digest);
    if (!twin) {
      own.set(digest, value);
      continue;
    }
    if (value.isGraphOutput) {
      trace.skipped(
        'tied-initializer',
        value.name,
        `it equals "${twin.name}", but is a graph output under its own name`,
      );
      continue;
    }
    trace.applied('tied-initializer', value.name, twin.name);
    graph.replaceUses(value, twin);
    graph.removeInitializer(value);
    changed = true;
  }
  for (const node of graph.nodes) {
    for (const subgraph of node.subgraphs) if (share(subgraph, visible, heads, trace)) changed = true;
  }
  return changed;
}

function findTwin(pools: readonly Pool[], digest: string): Value | undefined {
  for (const pool of pools) {
    const twin = pool.get(digest);
    if (twin) return twin;
  }
  return undefined;
}
