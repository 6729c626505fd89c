import type { Attr } from '../attr.ts';
import type { Graph, Model, Node, Value } from '../graph.ts';
import { topologicalOrder } from '../sort.ts';
import type { Tensor } from '../tensor.ts';
import { printModel } from './print.ts';

export interface CanonicalOptions {
  /** Types of inner values count too. Default false: passes may or may not know them. */
  readonly innerTypes?: boolean;
  /** Doc strings and metadata count too. Default false. */
  readonly notes?: boolean;
}

/**
 * Text that is equal for models that differ only in the names of inner values, nodes and graphs, in the order of nodes
 * and initializers, and in the order of attributes. Names of the main graph's inputs and outputs count. Long tensors
 * stand as a hash of their bytes. Nodes that nothing reads stand last, in the order they have.
 */
export function canonicalText(model: Model, options: CanonicalOptions = {}): string {
  const names = new Map<Value, string>();
  const orders = new Map<Graph, Order>();
  const signature = new Set([...model.graph.inputs, ...model.graph.outputs]);
  let count = 0;
  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const name = signature.has(value) ? value.name : `%${count++}`;
    names.set(value, name);
    return name;
  };
  const orderOf = (graph: Graph): Order => {
    const known = orders.get(graph);
    if (known) return known;
    const order = canonicalOrder(graph);
    orders.set(graph, order);
    return order;
  };
  return printModel(
    model,
    { elements: 64, innerTypes: options.innerTypes ?? false, notes: options.notes ?? false, nodeNames: false },
    {
      nameOf,
      nodesOf: (graph) => orderOf(graph).nodes,
      initializersOf: (graph) => orderOf(graph).initializers,
      graphName: () => 'g',
      attrsOf: sorted,
      elided: hashText,
    },
  );
}

/**
 * Compares two models up to what `canonicalText` leaves out.
 * @returns undefined when they are the same, else the first lines that differ.
 */
export function compareModels(actual: Model, expected: Model, options: CanonicalOptions = {}): string | undefined {
  const [a, b] = [canonicalText(actual, options).split('\n'), canonicalText(expected, options).split('\n')];
  const at = a.findIndex((line, index) => line !== b[index]);
  if (at < 0 && a.length === b.length) return undefined;
  const line = at < 0 ? a.length : at;
  return `line ${line + 1}: expected ${b[line]?.trim() ?? 'the end'}, got ${a[line]?.trim() ?? 'the end'}`;
}

interface Order {
  readonly nodes: readonly Node[];
  readonly initializers: readonly Value[];
}

/** Nodes as a walk from the outputs finds them, inputs first; initializers as those nodes read them. */
function canonicalOrder(graph: Graph): Order {
  const nodes = walkFromOutputs(graph);
  const initializers = new Set<Value>();
  const note = (value: Value | undefined): void => {
    if (value?.initializer && value.graph === graph) initializers.add(value);
  };
  for (const value of graph.outputs) note(value);
  const visit = (inner: Iterable<Node>): void => {
    for (const node of inner) {
      for (const value of node.inputs) note(value);
      for (const [, attr] of sorted(node)) {
        const subgraphs = attr.type === 'graph' ? [attr.value] : attr.type === 'graphs' ? attr.value : [];
        for (const subgraph of subgraphs) {
          for (const value of subgraph.outputs) note(value);
          visit(walkFromOutputs(subgraph));
        }
      }
    }
  };
  visit(nodes);
  for (const value of graph.initializers) note(value);
  return { nodes, initializers: [...initializers] };
}

function walkFromOutputs(graph: Graph): Node[] {
  const producers = graph.outputs.flatMap((value) => (value.producer?.list === graph ? [value.producer] : []));
  return topologicalOrder(graph, [...producers, ...graph.nodes]);
}

function sorted(node: Node): [string, Attr][] {
  return [...node.attrs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** FNV-1a, twice with different seeds: enough to tell tensors apart in tests. */
function hashText(tensor: Tensor): string {
  const hash = (seed: number): string => {
    let state = seed;
    const add = (bytes: Uint8Array): void => {
      for (const byte of bytes) state = Math.imul(state ^ byte, 0x01000193);
    };
    for (const text of tensor.strings?.() ?? []) add(text);
    for (const piece of tensor.chunks?.() ?? [tensor.bytes()]) add(piece);
    return (state >>> 0).toString(16).padStart(8, '0');
  };
  return `{hash ${hash(0x811c9dc5)}${hash(0x2545f491)}}`;
}
