import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { type Converter, type Entry, type Handler, rootOf } from '../converter.ts';
import { memoryOrder } from '../order.ts';
import { sinkOf, storedInputs, storedWeight } from '../quant.ts';
import { integerBias, integerWeight } from './convolution.ts';

/** Rows of [in, out] weights as [out, in], in the order in which the input's elements lie. */
function fullyOrder(rows: number, columns: number, transposed: boolean, places: Int32Array | undefined): Int32Array {
  const order = new Int32Array(rows * columns);
  for (let out = 0; out < columns; out++) {
    for (let row = 0; row < rows; row++) {
      order[out * rows + (places?.[row] ?? row)] = transposed ? out * rows + row : row * columns + out;
    }
  }
  return order;
}

/**
 * A flattened picture that lies channels last: the tensor as it lies, and where each element of a row is. Permuting the
 * weights of the layer behind it costs nothing; transposing the picture would cost on every run.
 */
function flattenedPicture(
  c: Converter,
  entry: Entry,
  columns: number,
): { tensor: number; places: Int32Array } | undefined {
  if (!entry.moved || entry.forms.has('plain')) return undefined;
  const { root, index } = rootOf(entry.moved);
  if (!root.forms.has('last') || root.shape.length < 3 || index.length !== elementCount(root.shape)) return undefined;
  const memory = memoryOrder(root.shape);
  const rows = index.length / columns;
  const places = new Int32Array(columns);
  for (let at = 0; at < index.length; at++) {
    const place = memory[index[at] ?? 0] ?? 0;
    const [row, column] = [Math.floor(at / columns), at % columns];
    if (Math.floor(place / columns) !== row) return undefined;
    if (row === 0) places[column] = place;
    else if (places[column] !== place - row * columns) return undefined;
  }
  if (rows < 1) return undefined;
  return { tensor: c.reshape(entry.name, c.get(root, 'last'), entry.shape), places };
}

/** [m, k] · [k, n] + bias with constant weights of rank 2. */
function fullyConnected(
  c: Converter,
  node: Node,
  {
    weight,
    bias,
    transposed,
    scale,
  }: { weight: Value; bias: Value | undefined; transposed: boolean; scale: [number, number] },
): boolean {
  const x = node.input(0) as Value;
  const w = c.constant(weight);
  if (w?.shape.length !== 2) return false;
  const [a = 1, b = 1] = w.shape;
  const [rows, columns] = transposed ? [b, a] : [a, b];
  const biasConstant = bias ? c.constant(bias) : undefined;
  // One number for each column: as many in a column are one for each row.
  const isRow =
    biasConstant?.values.length === 1 ||
    (biasConstant?.values.length === columns && biasConstant.shape.at(-1) === columns);
  if (bias && !isRow) return false;
  const out = c.shape(node.output());
  const stored = scale[0] === 1 && scale[1] === 1 ? storedInputs(c, [x])?.[0] : undefined;
  const wq = stored && storedWeight(c, weight);
  const perOut = wq && (wq.scale.length === 1 || wq.axis === (transposed ? 0 : 1));
  const biasOk = !biasConstant || biasConstant.values.length === columns;
  const biasAt = stored && wq && perOut && biasOk ? integerBias(c, bias, stored, wq, columns) : undefined;
  const sink = sinkOf(c, node, { int8: biasAt !== undefined });
  const int8 = sink.quant !== undefined && biasAt !== undefined;
  const entry = int8 && stored ? stored : c.entry(x);
  const picture = flattenedPicture(c, entry, rows);
  const from = picture?.tensor ?? c.get(entry, 'plain');
  const order = fullyOrder(rows, columns, transposed, picture?.places);
  const filter =
    int8 && wq
      ? integerWeight(
          c,
          weight.name,
          [columns, rows],
          Int32Array.from(order, (at) => wq.values[at] ?? 0),
          wq,
          0,
        )
      : c.floats(
          weight.name,
          [columns, rows],
          Float32Array.from(order, (at) => scale[0] * (w.values[at] ?? 0)),
        );
  const values = Float32Array.from({ length: columns }, (_, i) =>
    biasConstant ? scale[1] * (biasConstant.values[biasConstant.values.length === 1 ? 0 : i] ?? 0) : 0,
  );
  const added = int8 ? (biasAt ?? -1) : biasConstant ? c.floats(bias?.name ?? 'bias', [columns], values) : -1;
  const result = c.op(
    'FULLY_CONNECTED',
    [from, filter, added],
    { name: sink.value.name, shape: out, type: int8 ? c.storage : 'float32', quant: sink.quant },
    {
      type: 'FullyConnectedOptions',
      value: { keep_num_dims: true, fused_activation_function: c.activation(sink.activation) },
    },
  );
  c.put(sink.value, 'plain', result);
  for (const done of sink.absorbed) c.finish(done);
  return true;
}

function batchMatMul(
  c: Converter,
  name: string,
  inputs: readonly Value[],
  out: readonly number[],
  adj: [boolean, boolean],
): number {
  const [a, b] = inputs.map((value) => c.get(c.entry(value), 'plain')) as [number, number];
  return c.op(
    'BATCH_MATMUL',
    [a, b],
    { name, shape: out, type: 'float32' },
    { type: 'BatchMatMulOptions', value: { adj_x: adj[0], adj_y: adj[1] } },
  );
}

export const matMul: Handler = (node, c) => {
  const weight = node.input(1) as Value;
  if (fullyConnected(c, node, { weight, bias: undefined, transposed: false, scale: [1, 1] })) return;
  const [a, b] = [c.shape(node.input(0)), c.shape(weight)];
  if (a.length < 2 || b.length < 2) c.fail(node, 'a product with a vector has no counterpart');
  c.put(
    node.output(),
    'plain',
    batchMatMul(c, node.output().name, [node.input(0) as Value, weight], c.shape(node.output()), [false, false]),
  );
};

export const gemm: Handler = (node, c) => {
  const weight = node.input(1) as Value;
  const [transA, transB] = [node.int('transA', 0) !== 0, node.int('transB', 0) !== 0];
  const scale: [number, number] = [node.float('alpha', 1), node.float('beta', 1)];
  const bias = node.input(2);
  if (!transA && fullyConnected(c, node, { weight, bias, transposed: transB, scale })) return;
  const out = c.shape(node.output());
  const name = node.output().name;
  let result = batchMatMul(c, name, [node.input(0) as Value, weight], out, [transA, transB]);
  const times = (at: number, factor: number, shape: readonly number[]): number =>
    factor === 1
      ? at
      : c.op(
          'MUL',
          [at, c.floats('factor', [], [factor])],
          { name, shape, type: 'float32' },
          { type: 'MulOptions', value: {} },
        );
  result = times(result, scale[0], out);
  if (bias) {
    const added = times(c.get(c.entry(bias), 'plain'), scale[1], c.shape(bias));
    result = c.op('ADD', [result, added], { name, shape: out, type: 'float32' }, { type: 'AddOptions', value: {} });
  }
  c.put(node.output(), 'plain', result);
};
