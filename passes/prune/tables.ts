import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor } from '../../src/ir/tensor.ts';
import { axisBehind } from './turned.ts';

/** A constant of two dimensions or more that layers multiply with or look up in, each once however many read it. */
export interface WeightTable {
  readonly value: Value;
  readonly tensor: Tensor;
  /** The first node that reads it, directly or behind a Transpose. */
  readonly node: Node;
  /** Axis of the outputs of that node, or of the rows that it looks up. */
  readonly axis: number;
  readonly elements: number;
}

/** Inputs that hold weights, and the axis of their output channels where it does not hang on attributes. */
const inputs: Readonly<Record<string, readonly (readonly [index: number, axis: number])[]>> = {
  Conv: [[1, 0]],
  ConvTranspose: [[1, 1]],
  MatMul: [
    [1, -1],
    [0, -2],
  ],
  Gemm: [
    [1, -1],
    [0, -2],
  ],
  LSTM: [
    [1, 1],
    [2, 1],
  ],
  GRU: [
    [1, 1],
    [2, 1],
  ],
  RNN: [
    [1, 1],
    [2, 1],
  ],
  Gather: [[0, 0]],
};

/** @param miss hears, for each node whose weights cannot be stored otherwise, the sentence that says why */
export function weightTables(
  model: Model,
  minElements: number,
  isKept: (node: Node) => boolean,
  miss: (node: Node, why: string) => void,
): WeightTable[] {
  const found = new Map<Value, WeightTable>();
  const kept = new Set<Value>();
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      if (node.domain !== '') continue;
      for (const [index, axis] of inputs[node.op] ?? []) {
        const direct = node.input(index);
        const turn = direct?.producer?.is('Transpose') ? direct.producer : undefined;
        const value = turn ? turn.input(0) : direct;
        const tensor = constantOf(value);
        if (value && !tensor && value.initializer)
          miss(
            node,
            `its weights "${value.name}" are a graph input too, so a caller may replace them: make them a plain initializer`,
          );
        if (!value || !tensor || found.has(value)) continue;
        if (isKept(node)) kept.add(value);
        const why = unsuitable(value, tensor, minElements);
        if (why === undefined) {
          const rank = tensor.shape.length;
          const own = axis < 0 ? axis + rank : axis;
          const read = isTurned(node, index) ? 2 * rank - 3 - own : own;
          found.set(value, {
            value,
            tensor,
            node,
            axis: axisBehind(turn, read, rank),
            elements: elementCount(tensor.shape),
          });
        } else if (tensor.shape.length > 1 || node.op !== 'Gather') miss(node, why);
      }
    }
  }
  for (const value of kept) {
    const table = found.get(value);
    if (table) miss(table.node, 'you asked for it to stay as it is (--keep)');
    found.delete(value);
  }
  return [...found.values()];
}

const isTurned = (node: Node, index: number): boolean =>
  node.op === 'Gemm' && node.int(index === 1 ? 'transB' : 'transA', 0) !== 0;

function unsuitable(value: Value, tensor: Tensor, minElements: number): string | undefined {
  const name = `its weights "${value.name}"`;
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'float16')
    return `${name} are ${tensor.dtype}, not float32 or float16`;
  if (tensor.shape.length < 2) return `${name} are a vector`;
  const elements = elementCount(tensor.shape);
  if (elements < minElements)
    return `${name} have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`;
  if (value.isGraphOutput) return `${name} are a graph output too`;
  return undefined;
}
