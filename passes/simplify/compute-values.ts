import { UserError } from '../../src/errors.ts';
import { cloneGraph } from '../../src/ir/clone.ts';
import { constantOf } from '../../src/ir/constant.ts';
import { capturedValues, Graph, Model, type Node, type Value } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import type { Compute, PassContext } from '../../src/pass/pass.ts';
import { siteOf } from '../../src/rewrite/rule.ts';
import type { Region } from './fold-region.ts';
import type { Known } from './known.ts';

/** One session computes about this much, which bounds memory. */
const chunkBytes = 128 * 1024 * 1024;
const chunkNodes = 5000;
/** Constants from this size on are fed, not copied into the little model. */
const feedBytes = 1024 * 1024;

/**
 * The results of a region, by value. Nodes that depend on one another are computed together; where the runtime refuses,
 * node by node, and the refused ones are named in `failed`.
 */
export async function computeValues(
  model: Model,
  region: Region,
  known: Known,
  ctx: PassContext,
  failed: Map<Node, string>,
): Promise<Map<Value, Tensor>> {
  const wanted = new Set(region.results);
  const results = new Map<Value, Tensor>();
  for (const chunk of chunks(model, region, known)) {
    ctx.signal.throwIfAborted();
    try {
      for (const [value, tensor] of await compute(model, chunk, wanted, new Map(), known, ctx.compute))
        results.set(value, tensor);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // One of them has no kernel or does not fit: find out which, one at a time.
      await computeOneByOne(model, chunk, wanted, results, known, ctx, failed);
    }
  }
  return results;
}

async function computeOneByOne(
  model: Model,
  nodes: readonly Node[],
  wanted: ReadonlySet<Value>,
  results: Map<Value, Tensor>,
  known: Known,
  ctx: PassContext,
  failed: Map<Node, string>,
): Promise<void> {
  const computed = new Map<Value, Tensor>();
  for (const node of nodes) {
    ctx.signal.throwIfAborted();
    const needs = [...node.inputs, ...(node.subgraphs.length > 0 ? capturedValues(node) : [])];
    if (needs.some((value) => value && !computed.has(value) && !constantOf(value))) continue;
    const outputs = new Set(node.outputs.filter((value) => value !== undefined));
    try {
      for (const [value, tensor] of await compute(model, [node], outputs, computed, known, ctx.compute)) {
        computed.set(value, tensor);
        if (wanted.has(value)) results.set(value, tensor);
      }
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      failed.set(node, `the runtime cannot compute it: ${firstLine(error.message)}`);
    }
  }
}

const firstLine = (text: string): string => text.split('\n')[0] ?? '';

/** Subgraphs keep their own names, which these must not meet. */
const prefix = 'mlpack/folded/';

/** A self-contained model of `nodes` on the constants they read, run once. */
async function compute(
  model: Model,
  nodes: readonly Node[],
  wanted: ReadonlySet<Value>,
  computed: ReadonlyMap<Value, Tensor>,
  known: Known,
  runtime: Compute,
): Promise<Map<Value, Tensor>> {
  const graph = new Graph('constants');
  const anchor = nodes[0];
  const opsets = anchor ? siteOf(model, anchor.graph.root).opsets : model.opsets;
  const small = new Model(graph, opsets, Math.max(model.irVersion, 8));
  const values = new Map<Value, Value>();
  const feeds = new Map<string, Tensor>();
  const source = (value: Value): void => {
    if (values.has(value)) return;
    const tensor = computed.get(value) ?? constantOf(value);
    if (!tensor) return;
    const name = `${prefix}c${values.size}`;
    if (tensor.byteLength >= feedBytes) {
      values.set(value, graph.addInput(name, tensorType(tensor.dtype, tensor.shape)));
      feeds.set(name, tensor);
    } else values.set(value, graph.addInitializer(name, tensor));
  };
  const results: [Value, Value][] = [];
  for (const node of nodes) {
    for (const value of [...node.inputs, ...(node.subgraphs.length > 0 ? capturedValues(node) : [])])
      if (value) source(value);
    const copy = graph.append(node.op, {
      domain: node.domain,
      inputs: node.inputs.map((value) => value && values.get(value)),
      outputs: node.outputs.map((value, index) => value && `${prefix}r${values.size}_${index}`),
    });
    for (const [name, attr] of node.attrs) {
      copy.attrs.set(
        name,
        attr.type === 'graph' ? { type: 'graph', value: owned(cloneGraph(attr.value, new Map(values)), copy) } : attr,
      );
    }
    for (const [index, value] of node.outputs.entries()) {
      const result = copy.outputs[index];
      if (!value || !result) continue;
      values.set(value, result);
      if (!wanted.has(value)) continue;
      const dtype = known.dtype(value);
      result.type = dtype && tensorType(dtype);
      graph.addOutput(result);
      results.push([value, result]);
    }
  }
  if (results.length === 0) return new Map();
  const outputs = await runtime.run(small, feeds);
  const tensors = new Map<Value, Tensor>();
  for (const [value, result] of results) {
    const tensor = outputs.get(result.name);
    if (tensor) tensors.set(value, tensor);
  }
  return tensors;
}

function owned(graph: Graph, node: Node): Graph {
  graph.ownerNode = node;
  return graph;
}

/** Groups of nodes that share no computed value, packed in order up to the chunk size; one opset set per chunk. */
function* chunks(model: Model, region: Region, known: Known): Generator<Node[]> {
  let chunk: Node[] = [];
  let bytes = 0;
  let opsets: ReadonlyMap<string, number> | undefined;
  for (const group of components(region.nodes)) {
    const first = group[0];
    if (!first) continue;
    const size = group.reduce((sum, node) => sum + nodeBytes(node, known), 0);
    const its = siteOf(model, first.graph.root).opsets;
    if (chunk.length > 0 && (bytes + size > chunkBytes || chunk.length + group.length > chunkNodes || its !== opsets)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    opsets = its;
    chunk.push(...group);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

function nodeBytes(node: Node, known: Known): number {
  let bytes = 0;
  for (const value of node.inputs) if (value) bytes += constantOf(value)?.byteLength ?? 0;
  for (const value of node.outputs) if (value) bytes += known.bytes(value) ?? 0;
  return bytes;
}

/** Nodes connected through values made inside, each group in order, groups by their first node. */
function components(nodes: readonly Node[]): Node[][] {
  const parent = new Map<Node, Node>();
  const find = (node: Node): Node => {
    let root = node;
    for (let next = parent.get(root); next && next !== root; next = parent.get(root)) root = next;
    for (let at = node; at !== root; ) {
      const next = parent.get(at) ?? root;
      parent.set(at, root);
      at = next;
    }
    return root;
  };
  for (const node of nodes) parent.set(node, node);
  for (const node of nodes) {
    const needs = node.subgraphs.length > 0 ? [...node.inputs, ...capturedValues(node)] : node.inputs;
    for (const value of needs) {
      const producer = value?.producer;
      if (producer && parent.has(producer)) parent.set(find(node), find(producer));
    }
  }
  const groups = new Map<Node, Node[]>();
  for (const node of nodes) {
    const root = find(node);
    const group = groups.get(root);
    if (group) group.push(node);
    else groups.set(root, [node]);
  }
  return [...groups.values()];
}
