import { constantOf } from '../../src/ir/constant.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { elementCount, type Tensor } from '../../src/ir/tensor.ts';
import { broadcastShape } from '../../src/rewrite/conditions.ts';
import type { Edit } from '../../src/rewrite/edit.ts';
import { type Match, miss } from '../../src/rewrite/match.ts';
import { any, constant, type InputPattern, type OpPattern, op } from '../../src/rewrite/pattern.ts';
import type { Applied, Rule } from '../../src/rewrite/rule.ts';
import { binaryOperand } from './binary.ts';
import { finiteTensor, floatRoom, floatsOf } from './floats.ts';
import { mayCopy } from './fold.ts';

/** Factors outside of this range may overflow or vanish one by one, where their product does not. */
const largestFactor = 2 ** 64;

/** Smallest normal numbers: below them a product loses digits that the factors one by one would have kept. */
const smallestNormal: Partial<Record<DType, number>> = { float16: 2 ** -14, float32: 2 ** -126 };

/** (x ± a) ± b = x + c. */
export const addChain: Rule = {
  id: 'add-chain',
  summary: 'merges constants added or subtracted one after the other',
  ops: ['Add', 'Sub'],
  quiet: true,
  pattern: chain(['Add', 'Sub']),
  check: binaryOperand,
  apply: (match, edit) =>
    merge(match, edit, 'Add', (a, b) => sum(signed(match, 'inner', a), signed(match, 'outer', b))),
};

/** (x · a) / b = x · c. */
export const mulChain: Rule = {
  id: 'mul-chain',
  summary: 'merges constants multiplied or divided by one after the other',
  ops: ['Mul', 'Div'],
  quiet: true,
  pattern: chain(['Mul', 'Div']),
  check: binaryOperand,
  apply: (match, edit) => merge(match, edit, 'Mul', (a, b) => product(match, a, b)),
};

function chain(ops: readonly string[]): OpPattern {
  const inner: InputPattern = op(ops, [any('x'), constant('a')], { as: 'inner', once: true });
  return op(ops, [inner, constant('b')], { as: 'outer' });
}

function signed(match: Match, name: string, value: number): number {
  return match.node(name).op === 'Sub' ? -value : value;
}

/** NaN where the constants cancel: then x + a has been rounded to multiples that the sum knows nothing of. */
function sum(a: number, b: number): number {
  const total = a + b;
  return Math.abs(a) <= 64 || Math.abs(total) >= Math.abs(a) / 16 ? total : Number.NaN;
}

function product(match: Match, a: number, b: number): number {
  const result = factor(match, 'inner', a) * factor(match, 'outer', b);
  const least = smallestNormal[match.tensor('a').dtype] ?? 0;
  return result !== 0 && Math.abs(result) < least ? Number.NaN : result;
}

function factor(match: Match, name: string, value: number): number {
  const size = Math.abs(value);
  if (size > largestFactor || (size < 1 / largestFactor && size > 0)) return Number.NaN;
  return match.node(name).op === 'Div' ? 1 / value : value;
}

function merge(match: Match, edit: Edit, name: 'Add' | 'Mul', combine: (a: number, b: number) => number): Applied {
  const { root } = match;
  const [a, b] = [match.tensor('a'), match.tensor('b')];
  if (a.dtype !== b.dtype) return miss(root, `the constants of ${root} differ in type`);
  const [from, by] = [floatsOf(a), floatsOf(b)];
  if (!from || !by) return miss(root, `${root} computes in ${a.dtype}, which is not folded`, false);
  const shape = broadcastShape(a.shape, b.shape) as number[] | undefined;
  const count = shape && elementCount(shape);
  if (
    count === undefined ||
    count > Math.max(from.length, by.length) ||
    (from.length !== count && from.length !== 1) ||
    (by.length !== count && by.length !== 1)
  ) {
    return miss(root, `the constants [${a.shape.join(',')}] and [${b.shape.join(',')}] would make a larger one`);
  }
  const shared = [match.value('a'), match.value('b')].find((value) =>
    mayCopy(value, constantOf(value) as Tensor, root),
  );
  if (shared) return miss(root, `"${shared.name}" is shared`);
  const room = floatRoom(a.dtype, count);
  for (let i = 0; i < count; i++) {
    room[i] = combine(from[from.length === 1 ? 0 : i] as number, by[by.length === 1 ? 0 : i] as number);
  }
  const tensor = finiteTensor(a.dtype, shape as number[], room);
  if (!tensor)
    return miss(
      root,
      `the constants of ${match.node('inner')} and ${root} are of too different sizes to merge without loss`,
    );
  const merged = edit.insert(name, { inputs: [match.value('x'), edit.constant(match.value('a').name, tensor)] });
  merged.name = match.node('inner').name;
  edit.replace(root, merged);
}
