import { constantOf } from '../../src/ir/constant.ts';
import type { Graph, Model, Node, Value } from '../../src/ir/graph.ts';

/** A stretch of a residual network that can be left out: what it gives has the form of what it is given. */
export interface Block {
  readonly from: Value;
  readonly to: Value;
  /** Residual sums in it, in order. */
  readonly sums: readonly Node[];
}

const norms = new Set(['LayerNormalization', 'RMSNormalization', 'SimplifiedLayerNormalization']);

/**
 * Residual blocks of the main graph, in order. `layer`: an attention and what follows it up to the next one; `sublayer`: every residual sum
 * by itself. A norm behind a sum belongs to the block where what the block is given comes out of one, too.
 * @param miss hears why a block has to stay
 */
export function residualBlocks(
  model: Model,
  unit: 'layer' | 'sublayer',
  miss: (node: Node, why: string) => void,
): Block[] {
  const order = new Map([...model.graph.nodes].map((node, index) => [node, index]));
  const singles: (Block & { readonly attends: boolean })[] = [];
  for (const node of model.graph.nodes) {
    if (!node.is('Add')) continue;
    const read = readSum(node, order);
    if (!read) continue;
    const why = hangsOn(read.branch, model.graph);
    if (why) miss(node, why);
    else singles.push({ from: read.from, to: read.to, sums: [node], attends: [...read.branch].some(isAttention) });
  }
  for (const [index, single] of singles.entries()) {
    const next = singles[index + 1];
    if (next && next.from !== single.to && isNormed(single, next.from)) singles[index] = { ...single, to: next.from };
  }
  if (unit === 'sublayer' || !singles.some(({ attends }) => attends)) return singles;
  const layers: Block[] = [];
  for (const single of singles) {
    const last = layers.at(-1);
    if (single.attends || last?.to !== single.from) layers.push(single);
    else layers[layers.length - 1] = { from: last.from, to: single.to, sums: [...last.sums, ...single.sums] };
  }
  return layers;
}

/** A norm, written out, takes no more nodes than this. */
const mostNormNodes = 24;

/** True where all that stands between a block's sum and `to` is made from the sum alone and read nowhere else: a norm that is written out. */
function isNormed({ to: sum, from }: Block, to: Value): boolean {
  if (sum.isGraphOutput || from.producer?.is('Add') !== false || !sameShape(from, to)) return false;
  const inside = new Set<Node>();
  const pending: Value[] = [to];
  for (let value = pending.pop(); value; value = pending.pop()) {
    if (value === sum || constantOf(value)) continue;
    const node = value.producer;
    if (!node || inside.size >= mostNormNodes || node.subgraphs.length > 0) return false;
    if (inside.has(node)) continue;
    inside.add(node);
    for (const input of node.inputs) if (input) pending.push(input);
  }
  const stays = (value: Value): boolean => [...value.readers].every((node) => inside.has(node));
  const inner = [...inside].flatMap((node) => node.outputs).filter((value) => value !== undefined && value !== to);
  return (
    inside.size > 0 && stays(sum) && inner.every((value) => value !== undefined && !value.isGraphOutput && stays(value))
  );
}

/** A sum of a value and of what was made from it. */
function readSum(
  node: Node,
  order: ReadonlyMap<Node, number>,
): { from: Value; to: Value; branch: Set<Node> } | undefined {
  const [a, b] = [node.input(0), node.input(1)];
  if (!a || !b || a === b || constantOf(a) || constantOf(b)) return undefined;
  for (const [from, made] of [[a, b] as const, [b, a] as const]) {
    const branch = branchFrom(from, made, order);
    if (!branch) continue;
    const sum = node.output();
    if (!sameShape(from, sum)) return undefined;
    const [next] = sum.consumers;
    const normed =
      next && norms.has(next.op) && sum.useCount === 1 && !sum.isGraphOutput && norms.has(from.producer?.op ?? '');
    return { from, to: normed ? next.output() : sum, branch };
  }
  return undefined;
}

/** Nodes between a value and what is made from it, or nothing where it is not. */
function branchFrom(from: Value, made: Value, order: ReadonlyMap<Node, number>): Set<Node> | undefined {
  const start = from.producer ? (order.get(from.producer) ?? -1) : -1;
  const depends = new Map<Node, boolean>();
  const visit = (value: Value | undefined, depth: number): boolean => {
    if (value === from) return true;
    const node = value?.producer;
    if (!node || depth > 4000 || (order.get(node) ?? -1) <= start) return false;
    const known = depends.get(node);
    if (known !== undefined) return known;
    depends.set(node, false);
    let found = false;
    for (const input of node.inputs) if (visit(input, depth + 1)) found = true;
    depends.set(node, found);
    return found;
  };
  if (!visit(made, 0)) return undefined;
  return new Set([...depends].flatMap(([node, own]) => (own ? [node] : [])));
}

function sameShape(a: Value, b: Value): boolean {
  const [x, y] = [a.shape, b.shape];
  return (
    x !== undefined &&
    y !== undefined &&
    x.length === y.length &&
    x.every((dim, at) => dim !== undefined && dim === y[at])
  );
}

function isAttention(node: Node): boolean {
  if (node.op === 'Attention' || node.op === 'MultiHeadAttention' || node.op === 'GroupQueryAttention') return true;
  const isComputed = (value: Value | undefined): boolean =>
    value !== undefined && !constantOf(value) && !value.initializer;
  return (
    node.is('MatMul') &&
    isComputed(node.input(0)) &&
    isComputed(node.input(1)) &&
    !node.input(1)?.producer?.is('DequantizeLinear')
  );
}

/** What of a branch is seen elsewhere. */
function hangsOn(branch: ReadonlySet<Node>, graph: Graph): string | undefined {
  for (const node of branch) {
    for (const output of node.outputs) {
      if (!output) continue;
      if (output.isGraphOutput) return `its block makes the graph output "${output.name}"`;
      const outside = [...output.readers].find((reader) => reader.graph !== graph);
      if (outside) return `its block is read inside a subgraph, by ${outside}`;
    }
  }
  return undefined;
}
