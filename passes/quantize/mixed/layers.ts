import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Model, Node, Value } from '../../../src/ir/graph.ts';

/** A node whose format can be chosen, with the Relu or Clip behind it that integer kernels swallow. */
export interface Layer {
  /** Name of the node's first output: unique, and what the keep lists of the passes take. */
  readonly id: string;
  /** weights: multiplies with constant weights, or looks them up · arithmetic: between such, on integers only where those are. */
  readonly kind: 'weights' | 'arithmetic';
  readonly node: Node;
  /** What it reads that is not constant, and what others read of it. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly weightBytes: number;
}

/** Operators with weights, and the input (or inputs) that holds them. */
const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1],
  ConvTranspose: [1],
  MatMul: [0, 1],
  Gemm: [0, 1],
  LSTM: [1, 2],
  GRU: [1, 2],
  RNN: [1, 2],
  Gather: [0],
};

/** A table or matrix with fewer bytes is not worth a decision. */
const smallestWeights = 1024;

/**
 * The layers of the main graph, in its order.
 * @param arithmetic ids of nodes without weights that run on integers when everything around them does
 */
export function findLayers(model: Model, arithmetic: ReadonlySet<string>): Layer[] {
  const layers: Layer[] = [];
  for (const node of model.graph.nodes) {
    const id = node.outputs[0]?.name;
    if (id === undefined) continue;
    const weightBytes = weightsOf(node);
    if (sharesTable(node)) continue;
    if (weightBytes >= smallestWeights) layers.push({ id, kind: 'weights', node, ...boundary(node), weightBytes });
    else if (arithmetic.has(id)) layers.push({ id, kind: 'arithmetic', node, ...boundary(node), weightBytes: 0 });
  }
  return layers;
}

/**
 * Whether the table that a Gather looks up is the weight of an output layer, too. It is stored once, so it goes with that layer: with a format of its own, and its layer
 * in another, no pass could store the table in either.
 */
function sharesTable(node: Node): boolean {
  const table = node.is('Gather') && constantOf(node.input(0)) ? node.input(0) : undefined;
  return (
    table?.consumers.some((reader) =>
      (reader.is('Transpose') ? reader.output().consumers : [reader]).some(isProduct),
    ) ?? false
  );
}

const isProduct = (node: Node): boolean => node.is('MatMul') || node.is('Gemm');

/** Nodes with weights in branches and bodies, which cannot be cut out and measured. */
export function layersInSubgraphs(model: Model): Node[] {
  const found: Node[] = [];
  for (const graph of model.graphs()) if (graph !== model.graph) found.push(...withWeights(graph));
  return found;
}

function withWeights(graph: Graph): Node[] {
  return [...graph.nodes].filter((node) => weightsOf(node) >= smallestWeights);
}

/** Bytes of the constants that a node multiplies with; 0 for other nodes. */
function weightsOf(node: Node): number {
  const indices = node.domain === '' ? weightInputs[node.op] : undefined;
  let bytes = 0;
  for (const index of indices ?? []) {
    const tensor = constantBehind(node.input(index));
    if (tensor && (tensor.dtype === 'float32' || tensor.dtype === 'float16')) bytes += tensor.byteLength;
  }
  return bytes;
}

/** Tied embeddings come through a Transpose. */
function constantBehind(value: Value | undefined): ReturnType<typeof constantOf> {
  const tensor = constantOf(value);
  if (tensor) return tensor;
  return value?.producer?.is('Transpose') ? constantOf(value.producer.input(0)) : undefined;
}

function boundary(node: Node): Pick<Layer, 'inputs' | 'outputs'> {
  const inputs = node.inputs.filter((value) => value !== undefined && !constantBehind(value) && !value.initializer);
  const clamp = clampBehind(node);
  const outputs = clamp ? [clamp.output()] : node.outputs.filter((value) => value?.isUsed);
  const known = (values: readonly (Value | undefined)[]): Value[] =>
    [...new Set(values)].filter((value) => value !== undefined);
  return { inputs: known(inputs), outputs: known(outputs) };
}

/** The only reader of the node, where that is a Relu or a Clip. */
function clampBehind(node: Node): Node | undefined {
  const [output] = node.outputs;
  if (!output || node.outputs.length !== 1 || output.isGraphOutput || output.useCount !== 1) return undefined;
  const [reader] = output.consumers;
  return reader && reader.list === node.list && (reader.is('Relu') || reader.is('Clip')) ? reader : undefined;
}
