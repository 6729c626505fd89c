import type { DType } from '../../dtype.ts';
import type { Dim, Shape } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { broadcastDims, broadcastShapes } from '../shapes.ts';

/** NumPy matmul: vectors are promoted and their 1 taken away again. */
export function matMulShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length === 0 || b.length === 0) return undefined;
  const left: Shape = a.length === 1 ? [1, ...a] : a;
  const right: Shape = b.length === 1 ? [...b, 1] : b;
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) ?? [];
  return [...batch, ...(a.length === 1 ? [] : [left.at(-2)]), ...(b.length === 1 ? [] : [right.at(-1)])];
}

/** Two last dimensions swapped. */
export function swapped(shape: Shape | undefined): Shape | undefined {
  if (!shape || shape.length < 2) return shape;
  return [...shape.slice(0, -2), shape.at(-1), shape.at(-2)];
}

export function matMulRule(dtype: (ctx: NodeContext) => DType | undefined, b = 1): Rule {
  return (ctx) => ctx.set(0, dtype(ctx), matMulShape(ctx.shape(0), ctx.shape(b)));
}

/** [M,K]·[K,N] with optional transposes. */
export function gemmShape(ctx: NodeContext, a: number, b: number): Shape {
  const [left, right] = [ctx.shape(a), ctx.shape(b)];
  const rows = left?.[ctx.int('transA', 0) === 1 ? 1 : 0];
  const columns = right?.[ctx.int('transB', 0) === 1 ? 0 : 1];
  return [rows, columns];
}

const gemm: Rule = (ctx) => ctx.set(0, ctx.dtype(0) ?? ctx.dtype(1), gemmShape(ctx, 0, 1));

/** Einsum: letters of both sides, ellipses broadcast. */
const einsum: Rule = (ctx) => {
  const equation = ctx.text('equation')?.replace(/\s/g, '');
  if (!equation) return ctx.set(0, ctx.dtype(0));
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  const extents = new Map<string, Dim>();
  let ellipsis: Shape | undefined = [];
  for (const [index, term] of terms.entries()) {
    const shape = ctx.shape(index);
    const letters = term.replace('...', '').length;
    if (!shape || shape.length < letters || (!term.includes('...') && shape.length !== letters))
      return ctx.set(0, ctx.dtype(0));
    const [head = '', tail = ''] = term.split('...');
    const note = (letter: string, dim: Dim): void => {
      extents.set(letter, extents.has(letter) ? broadcastDims(extents.get(letter), dim) : dim);
    };
    for (const [at, letter] of Array.from(head).entries()) note(letter, shape[at]);
    for (const [at, letter] of Array.from(tail).entries()) note(letter, shape[shape.length - tail.length + at]);
    if (term.includes('...'))
      ellipsis = broadcastShapes(ellipsis, shape.slice(head.length, shape.length - tail.length));
  }
  const output = right ?? implicitOutput(left);
  const dims: Dim[] = [];
  const [head = '', tail = ''] = output.split('...');
  for (const letter of head) dims.push(extents.get(letter));
  if (output.includes('...')) dims.push(...(ellipsis ?? []));
  for (const letter of tail) dims.push(extents.get(letter));
  ctx.set(0, ctx.dtype(0), dims);
};

/** Without an arrow: the ellipsis, then the letters that stand once, in alphabetical order. */
function implicitOutput(left: string): string {
  const letters = Array.from(left).filter((char) => /[A-Za-z]/.test(char));
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter)).sort();
  return (left.includes('...') ? '...' : '') + once.join('');
}

export const linear: RuleTable = {
  MatMul: matMulRule((ctx) => ctx.dtype(0) ?? ctx.dtype(1)),
  MatMulInteger: matMulRule(() => 'int32'),
  QLinearMatMul: matMulRule((ctx) => ctx.dtype(7), 3),
  Gemm: gemm,
  Einsum: einsum,
  Det: (ctx) => ctx.set(0, ctx.dtype(0), ctx.shape(0)?.slice(0, -2)),
};

/** Rows and columns of a flattened matrix product: [..., K] with K → N. */
export function lastDimTo(shape: Shape | undefined, dim: Dim): Shape | undefined {
  return shape && shape.length > 0 ? [...shape.slice(0, -1), dim] : undefined;
}
