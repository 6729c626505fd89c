import type { Value } from '../../../src/ir/graph.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import type { Compiler, Lazy } from '../compile/compiler.ts';
import { type Ref } from '../compile/types.ts';

/** Writes an expression to memory: loops over the dimensions, neighbours that every operand steps through alike as one. */
export function storeElementwise(compiler: Compiler, value: Value, lazy: Lazy): Ref {
  const to = compiler.define(value);
  compiler.kernels.add('elements');
  const { dims, strides } = collapse(lazy.shape, lazy.leaves);
  const inPlace = lazy.leaves.filter((leaf) => leaf.type === to.type && leaf.shape.join() === to.shape.join());
  compiler.steps.push({
    title: `${value.producer ?? value.name}`,
    reads: lazy.leaves,
    writes: [to],
    inPlace: inPlace.filter(({ block }) => lazy.leaves.filter((leaf) => leaf.block === block).length === 1),
    code(address) {
      const names = new Map(lazy.leaves.map((leaf, i) => [leaf, `x${i}`]));
      const open = lazy.leaves.map((leaf, i) => `const ${leaf.type}* x${i} = ${address(leaf)};`);
      const index = (all: readonly number[]): string => {
        const terms = all.flatMap((stride, axis) =>
          stride === 0 ? [] : [stride === 1 ? `i${axis}` : `i${axis} * ${stride}`],
        );
        return terms.join(' + ') || '0';
      };
      const read = (leaf: Ref): string => `${names.get(leaf)}[${index(strides.get(leaf) ?? [])}]`;
      const loops = dims.map((dim, axis) => `for (int i${axis} = 0; i${axis} < ${dim}; ++i${axis})`).join(' ');
      return [
        ...open,
        `${to.type}* y = ${address(to)};`,
        `${loops} y[${index(stridesOf(dims))}] = ${lazy.text(read)};`,
      ].join('\n  ');
    },
  });
  return to;
}

/** Merges neighbouring dimensions where every operand either runs through both without a gap or stands still in both. */
export function collapse(
  shape: readonly number[],
  leaves: readonly Ref[],
): { dims: number[]; strides: Map<Ref, number[]> } {
  const full = leaves.map((leaf) => {
    const padded = [...Array<number>(Math.max(0, shape.length - leaf.shape.length)).fill(1), ...leaf.shape];
    const own = stridesOf(padded);
    return padded.map((dim, axis) => (dim === 1 && shape[axis] !== 1 ? 0 : (own[axis] ?? 0)));
  });
  const dims: number[] = [];
  const kept: number[][] = leaves.map(() => []);
  for (const [axis, dim] of shape.entries()) {
    if (dim === 1 && (shape.length > 1 || dims.length > 0)) continue;
    const last = dims.length - 1;
    const merges =
      last >= 0 &&
      full.every((strides, i) => {
        const outer = kept[i]?.[last] ?? 0;
        const inner = strides[axis] ?? 0;
        return outer === inner * dim;
      });
    if (merges) {
      dims[last] = (dims[last] ?? 1) * dim;
      for (const [i, strides] of full.entries()) if (kept[i]) kept[i][last] = strides[axis] ?? 0;
    } else {
      dims.push(dim);
      for (const [i, strides] of full.entries()) kept[i]?.push(strides[axis] ?? 0);
    }
  }
  if (dims.length === 0) {
    dims.push(1);
    for (const one of kept) one.push(0);
  }
  return { dims, strides: new Map(leaves.map((leaf, i) => [leaf, kept[i] ?? []])) };
}
