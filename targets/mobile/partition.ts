import type { Graph, Node, Value } from '../../src/ir/graph.ts';
import { capturedValues } from '../../src/ir/graph.ts';
import { staticShape } from '../../src/ir/types.ts';
import type { OperatorTable } from './tables/operator-table.ts';

export interface PartitionRules {
  readonly table: OperatorTable;
  /** Nodes with an input of unknown extents stay on the CPU. */
  readonly needsFixedShapes: boolean;
  /** Largest rank of an input. */
  readonly maxRank?: number;
  /** Whether the provider takes this very node of an operator in its table; default yes. */
  readonly takesNode?: (node: Node) => boolean;
}

export interface Partitioning {
  readonly nodes: number;
  readonly supported: number;
  /** Connected groups that the provider would be given, in order of the graph: nodes in each. */
  readonly partitions: readonly number[];
  /** Share of the model's multiply-accumulates that the supported nodes have; 0 where it has none. */
  readonly arithmetic: number;
  /** Operators that the table lacks, with the number of their nodes. */
  readonly unsupportedOps: Readonly<Record<string, number>>;
  /** Nodes that stay out because an input has no fixed shape, or too many axes. */
  readonly dynamic: number;
  readonly rank: number;
  /** Operators in the table whose nodes the provider refuses all the same, with their number. */
  readonly refusedOps: Readonly<Record<string, number>>;
  /** What the table asks of operators that are in use and that was not checked. */
  readonly caveats: Readonly<Record<string, string>>;
}

export type Verdict = 'yes' | 'maybe' | 'no';

/**
 * Whether a provider that is no CPU is worth trying, as `onnxruntime.tools.check_onnx_model_mobile_usability` has it: every
 * change between provider and CPU costs a copy, so one partition with more than 75 % of the nodes is good, more than 50 %
 * may be, two with more than 75 % may be.
 */
export function verdictOf({ nodes, supported, partitions }: Partitioning): Verdict {
  const share = nodes === 0 ? 0 : supported / nodes;
  if (partitions.length === 1) return share > 0.75 ? 'yes' : share > 0.5 ? 'maybe' : 'no';
  return partitions.length === 2 && share > 0.75 ? 'maybe' : 'no';
}

/**
 * How a provider would cut the graph, subgraphs counted into it: the estimate that ONNX Runtime's own partitioning makes.
 * @param macs multiply-accumulates by node
 */
export function partition(graph: Graph, macs: ReadonlyMap<Node, number>, rules: PartitionRules): Partitioning {
  let arithmetic = 0;
  const counts = { nodes: 0, supported: 0, dynamic: 0, rank: 0 };
  const partitions: number[] = [];
  const unsupported = new Map<string, number>();
  const refused = new Map<string, number>();
  const caveats = new Map<string, string>();
  const walk = (one: Graph): void => {
    counts.nodes += one.nodeCount;
    partitions.push(
      ...groups(one, (node) => {
        const key = `${node.domain || 'ai.onnx'}:${node.op}`;
        const note = Object.hasOwn(rules.table, key) ? rules.table[key] : undefined;
        const dynamic = rules.needsFixedShapes && !node.inputs.every(hasFixedShape);
        const rank = exceedsRank(node, rules.maxRank);
        if (note === undefined) unsupported.set(key, (unsupported.get(key) ?? 0) + 1);
        else if (note !== '') caveats.set(key, note);
        if (dynamic) counts.dynamic++;
        if (rank) counts.rank++;
        const refuses = note !== undefined && rules.takesNode?.(node) === false;
        if (refuses) refused.set(key, (refused.get(key) ?? 0) + 1);
        const supported = note !== undefined && !dynamic && !rank && !refuses;
        if (supported) arithmetic += macs.get(node) ?? 0;
        return supported;
      }),
    );
    for (const node of one.nodes) for (const inner of node.subgraphs) walk(inner);
  };
  walk(graph);
  counts.supported = partitions.reduce((sum, size) => sum + size, 0);
  const total = [...macs.values()].reduce((sum, count) => sum + count, 0);
  return {
    ...counts,
    arithmetic: total === 0 ? 0 : arithmetic / total,
    partitions,
    unsupportedOps: sorted(unsupported),
    refusedOps: sorted(refused),
    caveats: sorted(caveats),
  };
}

function sorted<T>(map: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A missing optional input and a constant have nothing that varies. */
function hasFixedShape(value: Value | undefined): boolean {
  return value === undefined || value.initializer !== undefined || staticShape(value.shape) !== undefined;
}

function exceedsRank(node: Node, maxRank: number | undefined): boolean {
  if (maxRank === undefined) return false;
  if (node.is('Transpose') && (node.ints('perm')?.length ?? 0) > maxRank) return true;
  return node.inputs.some((value) => (value?.shape?.length ?? 0) > maxRank);
}

/**
 * Sizes of the groups of supported nodes. Nodes are taken in topological order; an unsupported one that reads from the
 * current group waits until no supported one is ready any more, which closes the group (ONNX Runtime,
 * core/providers/partitioning_utils.cc).
 */
function groups(graph: Graph, isSupported: (node: Node) => boolean): number[] {
  const consumers = consumersOf(graph);
  const pending = new Map<Node, number>();
  for (const node of graph.nodes)
    for (const next of consumers.get(node) ?? []) pending.set(next, (pending.get(next) ?? 0) + 1);
  let ready = [...graph.nodes].filter((node) => (pending.get(node) ?? 0) === 0);
  let later: Node[] = [];
  const answers = new Map<Node, boolean>();
  const border = new Set<Node>();
  const sizes: number[] = [];
  let size = 0;
  while (ready.length > 0 || later.length > 0) {
    const node = ready.shift();
    if (!node) {
      if (size > 0) sizes.push(size);
      size = 0;
      border.clear();
      [ready, later] = [later, []];
      continue;
    }
    const supported = answers.get(node) ?? isSupported(node);
    answers.set(node, supported);
    if (!supported && border.has(node)) {
      later.push(node);
      continue;
    }
    const next = consumers.get(node) ?? new Set<Node>();
    if (supported) {
      size++;
      border.delete(node);
      for (const consumer of next) border.add(consumer);
    }
    for (const consumer of next) {
      const left = (pending.get(consumer) ?? 0) - 1;
      pending.set(consumer, left);
      if (left === 0) ready.push(consumer);
    }
  }
  if (size > 0) sizes.push(size);
  return sizes;
}

/** Nodes of the graph by the node whose values they, or subgraphs of theirs, read. */
function consumersOf(graph: Graph): Map<Node, Set<Node>> {
  const consumers = new Map<Node, Set<Node>>();
  for (const node of graph.nodes) {
    for (const value of [...node.inputs, ...capturedValues(node)]) {
      const producer = value?.producer;
      if (!producer || producer.graph !== graph) continue;
      const known = consumers.get(producer) ?? new Set<Node>();
      consumers.set(producer, known.add(node));
    }
  }
  return consumers;
}
