import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Converter, Handler } from '../converter.ts';
import type { Ref } from '../graph.ts';

/** A product with constant weights, laid as [out, in]. @returns undefined where `linear` does not take the input */
function linear(
  c: Converter,
  node: Node,
  x: Ref,
  {
    weight,
    transposed,
    alpha,
    bias,
  }: { weight: Value | undefined; transposed: boolean; alpha: number; bias: Ref | undefined },
): Ref | undefined {
  const w = c.constant(weight);
  if (w?.shape.length !== 2 || x.shape.length < 2 || x.shape.length > 3) return undefined;
  const [a = 1, b = 1] = w.shape;
  const [rows, columns] = transposed ? [b, a] : [a, b];
  const values = new Float32Array(rows * columns);
  for (let o = 0; o < columns; o++)
    for (let i = 0; i < rows; i++)
      values[o * rows + i] = alpha * (w.values[transposed ? o * rows + i : i * columns + o] ?? 0);
  const matrix = c.floats(weight?.name ?? 'weight', [columns, rows], values);
  const out = { name: node.output().name, shape: [...x.shape.slice(0, -1), columns], type: x.type };
  return c.op('linear', { x, weight: matrix, bias }, out);
}

export const matMul: Handler = (node, c) => {
  const [x, weight] = [c.in(node, 0), node.input(1)];
  const known = linear(c, node, x, { weight, transposed: false, alpha: 1, bias: undefined });
  if (known) return c.put(node.output(), known);
  const y = c.in(node, 1);
  const [wideX, wideY] = [vector(c, x, true), vector(c, y, false)];
  const product = c.binaryShape(wideX.shape.slice(0, -2), wideY.shape.slice(0, -2));
  const out = {
    name: node.output().name,
    shape: [...product, wideX.shape.at(-2) ?? 1, wideY.shape.at(-1) ?? 1],
    type: x.type,
  };
  const inputs = { x: wideX, y: wideY, transpose_x: c.bool(false), transpose_y: c.bool(false) };
  c.put(node.output(), c.reshape(c.op('matmul', inputs, out), c.shape(node.output())));
};

/** A vector as a matrix of one row or one column. */
function vector(c: Converter, x: Ref, row: boolean): Ref {
  if (x.shape.length !== 1) return x;
  return c.reshape(x, row ? [1, x.shape[0] ?? 1] : [x.shape[0] ?? 1, 1]);
}

export const gemm: Handler = (node, c) => {
  const x = c.in(node, 0);
  const [transA, transB] = [node.int('transA', 0) !== 0, node.int('transB', 0) !== 0];
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)];
  const shape = c.shape(node.output());
  const name = node.output().name;
  const added = c.has(node, 2) ? c.constant(node.input(2)) : undefined;
  const columns = shape[1] ?? 1;
  const row =
    added && (added.values.length === 1 || (added.values.length === columns && added.shape.at(-1) === columns));
  const bias = row
    ? c.floats(
        node.input(2)?.name ?? 'bias',
        [columns],
        Float32Array.from({ length: columns }, (_, i) => beta * (added.values[added.values.length === 1 ? 0 : i] ?? 0)),
      )
    : undefined;
  const from = transA ? c.transpose(x, [1, 0]) : x;
  let result = linear(c, node, from, { weight: node.input(1), transposed: transB, alpha, bias });
  const biased = result !== undefined && bias !== undefined;
  if (!result) {
    const inputs = { x: from, y: c.in(node, 1), transpose_x: c.bool(false), transpose_y: c.bool(transB) };
    result = c.op('matmul', inputs, { name, shape, type: x.type });
    if (alpha !== 1) result = c.binary('mul', result, c.scalar(alpha), name);
  }
  if (c.has(node, 2) && !biased) {
    const term = beta === 1 ? c.in(node, 2) : c.binary('mul', c.in(node, 2), c.scalar(beta), name);
    result = c.binary('add', result, term, name);
  }
  c.put(node.output(), result);
};
