import { constantOf } from '../../src/ir/constant.ts';
import type { Graph, Node, Value } from '../../src/ir/graph.ts';
import { oldestOpset } from '../../src/ir/opset-upgrade.ts';
import { elementCount, type Tensor, typedArray } from '../../src/ir/tensor.ts';
import { f16ToF32 } from '../../src/kernels/f16.ts';

/** A MatMul or Gemm with constant weights: y = alpha · a' · W + beta · c, with a' = aᵀ where `transA`. */
export interface Linear {
  readonly node: Node;
  readonly a: Value;
  readonly transA: boolean;
  /** The value that holds the weights; where the graph transposes them first, the one before the Transpose. */
  readonly weight: Value;
  readonly tensor: Tensor;
  /** Leading dimensions of batched weights; empty for a matrix. */
  readonly batch: readonly number[];
  readonly k: number;
  readonly n: number;
  /** How the weights lie in memory: [K, N] or [N, K]. */
  readonly rows: 'k' | 'n';
  readonly alpha: number;
  readonly c: Value | undefined;
  readonly beta: number;
}

/** What hands on a matrix as it is, or turned. */
const passedOn: ReadonlySet<string> = new Set(['Transpose', 'Squeeze', 'Unsqueeze', 'Reshape', 'Identity', 'Cast']);

/** The constant matrices, one behind the other, of which a Gather picks what `value` is. */
function pickedFrom(value: Value): { readonly table: Value; readonly by: Node } | undefined {
  let by = value.producer;
  for (let step = 0; step < 4 && by && passedOn.has(by.op); step++) by = by.input(0)?.producer;
  const table = by?.is('Gather') || by?.is('GatherND') ? by.input(0) : undefined;
  const tensor = constantOf(table);
  const isTable = tensor && (tensor.dtype === 'float32' || tensor.dtype === 'int8') && tensor.shape.length >= 3;
  return by && table && isTable ? { table, by } : undefined;
}

/**
 * What a MatMul or Gemm of the default domain multiplies with.
 * @returns a sentence when its weights are not constant or have no form that can be quantized.
 */
export function readLinear(node: Node): Linear | string {
  const [a, b] = [node.input(0), node.input(1)];
  if (!a || !b) return `${node} lacks an input`;
  const gemm = node.op === 'Gemm';
  const found = constantMatrix(b);
  if (!found) {
    if (b.initializer)
      return `its weights "${b.name}" are a graph input too, so a caller may replace them: make them a plain initializer`;
    if (constantOf(a))
      return `its constant "${a.name}" is the left operand: only right operands can be quantized as weights`;
    if (b.producer?.op === 'DequantizeLinear') return `its weights "${b.name}" are quantized already`;
    if (b.producer && isComputed(b.producer)) {
      return `its weights "${b.name}" are computed from constants by ${b.producer}: run simplify first`;
    }
    const picked = pickedFrom(b) ?? pickedFrom(a);
    if (picked?.table.initializer?.dtype === 'int8')
      return `its weights, picked out of "${picked.table.name}" at run time, are stored in 8 bits already`;
    if (picked)
      return `its weights are picked out of "${picked.table.name}" by ${picked.by} at run time (a mixture of experts): only weights that are the same for all inputs have a form that multiplies on codes`;
    return `it multiplies two activations ("${a.name}" and "${b.name}"): there are no weights to quantize`;
  }
  const { value, tensor, transposed } = found;
  const { shape } = tensor;
  if (shape.length < 2)
    return `its weights "${value.name}" are a vector of ${elementCount(shape)} elements, not a matrix`;
  if (gemm && shape.length !== 2)
    return `its weights "${value.name}" have ${shape.length} dimensions where Gemm takes a matrix`;
  if (elementCount(shape) === 0) return `its weights "${value.name}" have no elements`;
  const byColumns = transposed !== (gemm && node.int('transB', 0) !== 0);
  const [rows, columns] = shape.slice(-2) as [number, number];
  return {
    node,
    a,
    transA: gemm && node.int('transA', 0) !== 0,
    weight: value,
    tensor,
    batch: shape.slice(0, -2),
    k: byColumns ? columns : rows,
    n: byColumns ? rows : columns,
    rows: byColumns ? 'n' : 'k',
    alpha: gemm ? node.float('alpha', 1) : 1,
    c: gemm ? node.input(2) : undefined,
    beta: gemm ? node.float('beta', 1) : 1,
  };
}

/** The constant behind a value, through a Transpose of its last two dimensions (as tied embeddings are exported). */
function constantMatrix(value: Value): { value: Value; tensor: Tensor; transposed: boolean } | undefined {
  const tensor = constantOf(value);
  if (tensor) return { value, tensor, transposed: false };
  const node = value.producer;
  const source = node?.is('Transpose') ? node.input(0) : undefined;
  const inner = constantOf(source);
  if (!node || !source || inner?.shape.length !== 2) return undefined;
  const perm = node.ints('perm') ?? [1, 0];
  return { value: source, tensor: inner, transposed: perm[0] === 1 && perm[1] === 0 };
}

/** Made from constants alone, within a few steps. */
function isComputed(node: Node, steps = 4): boolean {
  return node.inputs.every(
    (value) => !value || constantOf(value) || (steps > 0 && value.producer && isComputed(value.producer, steps - 1)),
  );
}

/** What to do about floats of another size, behind "…, not float32". */
export const float32First = (dtype: string | undefined): string =>
  dtype === 'float16' || dtype === 'bfloat16' || dtype === 'float64'
    ? ': to-fp32 makes such a model float32 first'
    : '';

/** Why weights that are no constant of the file are none. */
export function notConstant(value: Value | undefined): string {
  const name = value?.name ?? '';
  if (value?.producer?.op === 'DequantizeLinear') return `its weights "${name}" are quantized already`;
  if (value?.initializer)
    return `its weights "${name}" are a graph input too, so a caller may replace them: make them a plain initializer`;
  return `its weights "${name}" are not constant`;
}

/** float32 and float16 weights as float32 numbers; undefined for other types. */
export function floatWeights(tensor: Tensor): Float32Array | undefined {
  if (tensor.dtype === 'float32') return typedArray(tensor, 'float32');
  if (tensor.dtype === 'float16') return f16ToF32(typedArray(tensor, 'float16'));
  return undefined;
}

/** Below opset 7, Mul stretches its second operand only as an attribute says. @returns a sentence then */
export const noBroadcast = (opset: number): string | undefined =>
  opset < oldestOpset
    ? `the Mul of opset ${opset} multiplies by no scales of another shape: export the model with opset 11 or later`
    : undefined;

/**
 * The node of the value's own graph before which what takes the value's place must stand: the first that reads it, itself or further inside.
 * @param node one that reads it, or stands inside of one that does
 */
export function placeFor(value: Value, node: Node): Node {
  const { graph } = value;
  const own = standingIn(node, graph);
  const readers = new Set(value.consumers.map((reader) => standingIn(reader, graph)));
  if (readers.size > 1) for (const first of graph.nodes) if (readers.has(first)) return first;
  return own;
}

/** The node of `graph` at which `node` stands, inside or below: the place for what `node` needs from `graph`. */
export function standingIn(node: Node, graph: Graph): Node {
  let at = node;
  while (at.graph !== graph && at.graph.ownerNode) at = at.graph.ownerNode;
  return at;
}
