import type { Node } from '../../../src/ir/graph.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf } from '../compile/types.ts';
import { axisOf, known, moves, strided } from './move.ts';

/** Operators that read or write where a tensor of indices says. */
export function compileGather(compiler: Compiler, node: Node): void {
  const [data, index] = [compiler.input(node, 0), compiler.input(node, 1)];
  const { shape } = compiler.typeOf(data);
  const axis = axisOf(node.int('axis', 0), shape.length);
  const extent = shape[axis] ?? 1;
  const inner = countOf(shape.slice(axis + 1));
  const outer = countOf(shape.slice(0, axis));
  const count = countOf(compiler.typeOf(index).shape);
  const constant = compiler.constantOf(index);
  const single = constant && count === 1 ? known(compiler, node, 1)?.[0] : undefined;
  if (single !== undefined) {
    const start = axisOf(single, extent) * inner;
    moves(compiler, node, [data], node.output(), ([from], to) =>
      strided(from ?? cannot(node, 'no input'), to, [outer, inner], [extent * inner, 1], start),
    );
    return;
  }
  const at = compiler.ref(index);
  moves(
    compiler,
    node,
    [data],
    node.output(),
    ([from], to) =>
      (address) =>
        `const ${from?.type}* x = ${from && address(from)};
  const ${at.type}* at = ${address(at)};
  ${to.type}* y = ${address(to)};
  for (int i = 0; i < ${outer}; ++i) for (int j = 0; j < ${count}; ++j) {
    const int a = (int)at[j] < 0 ? (int)at[j] + ${extent} : (int)at[j];
    for (int k = 0; k < ${inner}; ++k) y[(i * ${count} + j) * ${inner} + k] = x[(i * ${extent} + clampi(a, 0, ${extent - 1})) * ${inner} + k];
  }`,
    [at],
  );
}

/** Copies the data, then writes the updates over it. */
export function compileScatterNd(compiler: Compiler, node: Node): void {
  const [data, updates] = [compiler.ref(compiler.input(node, 0)), compiler.ref(compiler.input(node, 2))];
  if ((node.string('reduction') ?? 'none') !== 'none') cannot(node, 'it reduces');
  const index = compiler.ref(compiler.input(node, 1));
  const to = compiler.define(node.output());
  const depth = index.shape.at(-1) ?? 1;
  const rows = countOf(index.shape.slice(0, -1));
  const inner = countOf(data.shape.slice(depth));
  const strides = stridesOf(data.shape);
  const place = Array.from({ length: depth }, (_, d) => {
    const dim = data.shape[d] ?? 1;
    const raw = `(int)at[r * ${depth} + ${d}]`;
    return `clampi(${raw} < 0 ? ${raw} + ${dim} : ${raw}, 0, ${dim - 1}) * ${strides[d] ?? 1}`;
  }).join(' + ');
  compiler.steps.push({
    title: `${node}`,
    reads: [data, index, updates],
    writes: [to],
    inPlace: [data],
    code: (address) => `const ${data.type}* x = ${address(data)};
  const ${index.type}* at = ${address(index)};
  const ${updates.type}* u = ${address(updates)};
  ${to.type}* y = ${address(to)};
  if (x != y) for (int i = 0; i < ${countOf(data.shape)}; ++i) y[i] = x[i];
  for (int r = 0; r < ${rows}; ++r) for (int i = 0; i < ${inner}; ++i) y[${place} + i] = u[r * ${inner} + i];`,
  });
}
