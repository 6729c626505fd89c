import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor } from '../../src/ir/tensor.ts';
import type { GroupView } from '../../src/kernels/mask.ts';
import { axisBehind } from './turned.ts';

/** A weight tensor that may lose elements, and how its inputs lie. */
export interface PruneTarget {
  readonly value: Value;
  readonly tensor: Tensor;
  /** The first node that reads it, and as which input. */
  readonly node: Node;
  readonly index: number;
  /** All nodes that read it as their weights, `node` among them. */
  readonly readers: readonly Node[];
  /** [outer, length, inner] with `length` reduced over. */
  readonly view: GroupView;
  readonly elements: number;
}

/** Inputs that hold the weights of an operator; biases, norms and tables are never pruned. */
const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1],
  ConvTranspose: [1],
  MatMul: [1, 0],
  Gemm: [1, 0],
  LSTM: [1, 2],
  GRU: [1, 2],
  RNN: [1, 2],
};

/**
 * The weights of a model, each tensor once however many layers share it, in the order in which they are met.
 * @param miss hears, for each node with weights that cannot be pruned, the sentence that says why
 */
export function pruneTargets(
  model: Model,
  minElements: number,
  isKept: (node: Node) => boolean,
  miss: (node: Node, why: string) => void,
): PruneTarget[] {
  const targets = new Map<Value, PruneTarget & { readonly readers: Node[] }>();
  const kept = new Map<Value, Node>();
  const refused = new Map<Value, string>();
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      if (node.domain !== '') continue;
      for (const index of weightInputs[node.op] ?? []) {
        const value = sourceOf(node.input(index));
        const tensor = constantOf(value);
        if (!value || !tensor) {
          if (value?.initializer)
            miss(
              node,
              `its weights "${value.name}" are a graph input too, so a caller may replace them: make them a plain initializer`,
            );
          continue;
        }
        if (isKept(node)) {
          kept.set(value, node);
          continue;
        }
        const known = targets.get(value);
        if (known) {
          if (!known.readers.includes(node)) known.readers.push(node);
          continue;
        }
        const why = refused.get(value) ?? unsuitable(value, tensor, minElements) ?? sharedBeyond(value);
        if (why) {
          refused.set(value, why);
          miss(node, why);
        } else {
          const view = reductionView(node, index, value, tensor.shape);
          const elements = elementCount(tensor.shape);
          targets.set(value, { value, tensor, node, index, readers: [node], view, elements });
        }
      }
    }
  }
  for (const [value, node] of kept) {
    miss(
      node,
      targets.delete(value)
        ? `you asked for it to stay as it is (--keep), and "${value.name}" is shared with it`
        : 'you asked for it to stay as it is (--keep)',
    );
  }
  return [...targets.values()];
}

/** A reader that takes the tensor for something else than weights, an embedding table say; or the graph output. */
function sharedBeyond(value: Value): string | undefined {
  const other = (source: Value): Node | string | undefined => {
    if (source.isGraphOutput) return `graph output "${source.name}"`;
    for (const { node, index } of source.uses) {
      const turned = node.is('Transpose') ? node.outputs[0] : undefined;
      const found = turned ? other(turned) : weightInputs[node.op]?.includes(index) ? undefined : node;
      if (found) return found;
    }
    return undefined;
  };
  const reader = other(value);
  return reader && `its weights "${value.name}" are also read by ${reader}, which would lose its values too`;
}

/** Through a Transpose, which moves weights without changing them. */
function sourceOf(value: Value | undefined): Value | undefined {
  const node = value?.producer;
  return node?.is('Transpose') ? node.input(0) : value;
}

function unsuitable(value: Value, tensor: Tensor, minElements: number): string | undefined {
  const name = `its weights "${value.name}"`;
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'float16')
    return `${name} are ${tensor.dtype}: prune before quantizing`;
  if (tensor.shape.length < 2) return `${name} are a vector, which holds no connections to drop`;
  const elements = elementCount(tensor.shape);
  if (elements < minElements)
    return `${name} have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`;
  return undefined;
}

/**
 * Which axis the operator sums over: dimension 1 of Conv [M, C/group, …] and of the gates of LSTM, GRU, RNN [directions, gates, inputs],
 * dimension 0 of ConvTranspose [C, M/group, …], the second last of a right operand [K, N] and the last of [N, K].
 */
function reductionView(node: Node, index: number, value: Value, shape: readonly number[]): GroupView {
  const last = shape.length - 1;
  let own: number;
  if (node.op === 'Conv') own = 1;
  else if (node.op === 'ConvTranspose') own = 0;
  else if (node.op === 'MatMul' || node.op === 'Gemm') {
    const right = index === 1;
    const turned = node.op === 'Gemm' && node.int(right ? 'transB' : 'transA', 0) !== 0;
    own = right === turned ? last : last - 1;
  } else own = last;
  const read = node.input(index);
  const axis = axisBehind(read === value ? undefined : read?.producer, own, shape.length);
  const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
  return { outer: product(shape.slice(0, axis)), length: shape[axis] ?? 1, inner: product(shape.slice(axis + 1)) };
}
