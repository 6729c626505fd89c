import { addDims, mulDims, productDims, substituteDim, symbolsOf } from './dim.ts';
import type { Graph, Model, Node, Value } from './graph.ts';
import type { Inferred } from './infer/infer.ts';
import type { Dim, Shape } from './types.ts';

export interface MacOptions {
  /** Extents of symbolic dimensions. */
  readonly bindings?: ReadonlyMap<string, number>;
  /** Extent of symbols without a binding. Default 1. */
  readonly otherwise?: number;
}

export interface MacCount {
  /** Multiply-accumulates of one run: matrix products, convolutions, recurrent cells and attention; nothing else. */
  readonly total: number;
  /** Nodes that have some, in order. Of the branches of an If only the most expensive one counts in `total`. */
  readonly byNode: ReadonlyMap<Node, number>;
  /** Nodes that multiply, but whose shapes are not known. */
  readonly unknown: readonly Node[];
}

/**
 * Counts multiply-accumulates from inferred shapes. A Loop body counts once, a Scan body as often as it runs. Bodies of
 * local functions are not looked into: their calls are listed as unknown.
 */
export function countMacs(model: Model, inferred: Inferred, options: MacOptions = {}): MacCount {
  const byNode = new Map<Node, number>();
  const unknown: Node[] = [];
  const functions = new Set(model.functions.map((fn) => `${fn.domain}.${fn.name}`));
  const bound = (dim: Dim): number | undefined => {
    const bindings = new Map(options.bindings);
    for (const symbol of symbolsOf(dim)) if (!bindings.has(symbol)) bindings.set(symbol, options.otherwise ?? 1);
    const value = substituteDim(dim, bindings);
    return typeof value === 'number' ? value : undefined;
  };
  const countGraph = (graph: Graph): number => {
    let total = 0;
    for (const node of graph.nodes) {
      const inner = node.subgraphs.map(countGraph);
      if (node.is('If')) total += Math.max(0, ...inner);
      else for (const macs of inner) total += macs * repeats(node, inferred, bound);
      const rule = Object.hasOwn(rules, node.op) ? rules[node.op] : undefined;
      if (functions.has(`${node.domain}.${node.op}`)) unknown.push(node);
      if (!rule || !['', 'com.microsoft'].includes(node.domain)) continue;
      const macs = bound(rule(new Shapes(node, inferred)));
      if (macs === undefined) unknown.push(node);
      else {
        byNode.set(node, macs);
        total += macs;
      }
    }
    return total;
  };
  return { total: countGraph(model.graph), byNode, unknown };
}

function repeats(node: Node, inferred: Inferred, bound: (dim: Dim) => number | undefined): number {
  if (!node.is('Scan')) return 1;
  const states = node.inputs.length - node.int('num_scan_inputs', 0);
  const shape = new Shapes(node, inferred).input(states);
  return bound(shape?.at(node.ints('scan_input_axes')?.[0] ?? 0)) ?? 1;
}

/** Shapes of one node's inputs and outputs. */
class Shapes {
  readonly node: Node;
  readonly #inferred: Inferred;
  constructor(node: Node, inferred: Inferred) {
    this.node = node;
    this.#inferred = inferred;
  }
  input(index: number): Shape | undefined {
    return this.#of(this.node.input(index));
  }
  output(index: number): Shape | undefined {
    return this.#of(this.node.outputs[index]);
  }
  #of(value: Value | undefined): Shape | undefined {
    const type = value && this.#inferred.types.get(value);
    if (type?.kind === 'tensor') return type.shape;
    return value?.initializer?.shape;
  }
}

type Count = (shapes: Shapes) => Dim;

const product = (shape: Shape | undefined): Dim => (shape ? productDims(shape) : undefined);

/** Every output element takes one product for each weight of its channel. */
const conv =
  (weight: number): Count =>
  (shapes) =>
    mulDims(product(shapes.output(0)), product(shapes.input(weight)?.slice(1)));

/** Every input element goes into each weight of its channel. */
const convTranspose: Count = (shapes) => mulDims(product(shapes.input(0)), product(shapes.input(1)?.slice(1)));

const matMul: Count = (shapes) => mulDims(product(shapes.output(0)), shapes.input(0)?.at(-1));

const fusedMatMul: Count = (shapes) => {
  const a = shapes.input(0);
  return mulDims(product(shapes.output(0)), shapes.node.int('transA', 0) === 1 ? a?.at(-2) : a?.at(-1));
};

const gemm: Count = (shapes) =>
  mulDims(product(shapes.output(0)), shapes.input(0)?.[shapes.node.int('transA', 0) === 1 ? 0 : 1]);

/** Weights given as attribute N: [..., K] → [..., N]. */
const blockMatMul: Count = (shapes) => mulDims(product(shapes.input(0)), shapes.node.int('N'));

/** Each step: input and hidden state into every gate, in each direction. */
const recurrent =
  (gates: number): Count =>
  (shapes) => {
    const x = shapes.input(0);
    const w = shapes.input(1);
    const r = shapes.input(2);
    if (!x || !w || !r) return undefined;
    const hidden = shapes.node.int('hidden_size') ?? r[2];
    const perStep = mulDims(mulDims(w[0], mulDims(gates, hidden)), addDims(x[2], hidden));
    return mulDims(mulDims(x[0], x[1]), perStep);
  };

/** Scores and weighted values: 2 · positions · attended positions · hidden. */
function scores(batch: Dim, length: Dim, total: Dim, hidden: Dim): Dim {
  return mulDims(mulDims(2, mulDims(batch, length)), mulDims(total, hidden));
}

/** Output [batch, seq, hidden]; the attended length from the present key, else from the key, else from the query. */
const flashAttention: Count = (shapes) => {
  const out = shapes.output(0);
  const present = shapes.output(1);
  const key = shapes.input(1);
  const query = shapes.input(0);
  const own = query?.length === 5 ? query[1] : query?.at(-2);
  const total = present?.at(-2) ?? (key && key.length === 4 ? key[2] : key?.[1]) ?? own;
  if (!out) return undefined;
  if (out.length === 4) return scores(out[0], out[2], total, mulDims(out[1], out[3]));
  return scores(out[0], out[1], total, out[2]);
};

/** com.microsoft.Attention: the projection to Q, K and V, then attention. */
const packedAttention: Count = (shapes) => {
  const input = shapes.input(0);
  const out = shapes.output(0);
  const projection = mulDims(product(input), shapes.input(1)?.[1]);
  const attended = scores(out?.[0], out?.[1], shapes.output(1)?.[3] ?? input?.[1], out?.[2]);
  return addDims(projection, attended);
};

/** One product for every combination of letters and term beyond the first. */
const einsum: Count = (shapes) => {
  const equation = shapes.node.string('equation')?.replace(/\s/g, '');
  if (!equation || equation.includes('...')) return undefined;
  const extents = new Map<string, Dim>();
  for (const [index, term] of (equation.split('->')[0] ?? '').split(',').entries()) {
    const shape = shapes.input(index);
    for (const [at, letter] of Array.from(term).entries()) extents.set(letter, shape?.[at]);
  }
  const products = (equation.split('->')[0] ?? '').split(',').length - 1;
  return mulDims(productDims(extents.values()), products);
};

const rules: Readonly<Record<string, Count>> = {
  Conv: conv(1),
  FusedConv: conv(1),
  ConvInteger: conv(1),
  DeformConv: conv(1),
  QLinearConv: conv(3),
  ConvTranspose: convTranspose,
  MatMul: matMul,
  MatMulInteger: matMul,
  QLinearMatMul: matMul,
  DynamicQuantizeMatMul: matMul,
  MatMulIntegerToFloat: matMul,
  FusedMatMul: fusedMatMul,
  TransposeMatMul: fusedMatMul,
  Gemm: gemm,
  FusedGemm: gemm,
  QGemm: gemm,
  MatMulNBits: blockMatMul,
  MatMulBnb4: blockMatMul,
  RNN: recurrent(1),
  GRU: recurrent(3),
  LSTM: recurrent(4),
  DynamicQuantizeLSTM: recurrent(4),
  MultiHeadAttention: flashAttention,
  GroupQueryAttention: flashAttention,
  Attention: (shapes) => (shapes.node.domain === '' ? flashAttention(shapes) : packedAttention(shapes)),
  QAttention: packedAttention,
  Einsum: einsum,
};
