/** Values [batch·heads, …] of attention in three dimensions, and the same in four. */
import { constantScalar } from '../../../src/ir/constant.ts';
import { equalDims, mulDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { targetFor } from '../../../src/ir/reshape-target.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { type Dim, type Shape, tensorType } from '../../../src/ir/types.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';

/** A value [batch·heads, …] as what it was made from: Transpose(Reshape(source, shape), perm) is it with batch and heads apart. */
export interface Unmerged {
  readonly source: Value;
  /** Of four dimensions. */
  readonly shape: Shape;
  readonly perm: readonly number[];
  /** Target of the Reshape; undefined: the source has that shape. */
  readonly target: readonly number[] | undefined;
  /** Products with numbers on the way, the first one first. */
  readonly factors: readonly Node[];
  readonly batch: Dim;
  readonly heads: number;
}

/** @returns a sentence where batch and heads are not known apart. */
export function unmerge(value: Value, site: Site): Unmerged | string {
  const scaled = value.producer;
  const isScaled = scaled?.is('Mul') || scaled?.is('Div');
  if (scaled && isScaled && onlyReader(value)) {
    const at = [0, 1].find((index) => constantScalar(scaled.input(index)) !== undefined);
    const inner = at === undefined || (at === 0 && scaled.is('Div')) ? undefined : scaled.input(1 - at);
    if (inner) {
      const found = unmerge(inner, site);
      return typeof found === 'string' ? found : { ...found, factors: [...found.factors, scaled] };
    }
  }
  const unknown = `"${value.name}" is not known to be made of [batch, heads, …] by joining the two`;
  const turned = scaled?.is('Transpose') && scaled.ints('perm')?.length === 3 ? scaled : undefined;
  const perm3 = turned?.ints('perm') ?? [0, 1, 2];
  const y = turned ? turned.input(0) : value;
  const reshape = y?.producer;
  const source = reshape?.is('Reshape') ? reshape.input(0) : undefined;
  const [from, to] = [site.types.shapeOf(source), site.types.shapeOf(y)];
  if (!source || !from || to?.length !== 3) return unknown;
  const axis = perm3[0] as number;
  const parts = split(from, to, axis);
  if (!parts) return unknown;
  const shape = to.flatMap((dim, at) => (at === axis ? [parts.batch, parts.heads] : [dim]));
  const isSame = from.length === 4;
  const target = isSame ? undefined : targetFor(from, shape, false);
  if (!isSame && !target) return `no constant says the shape [${shape.join(', ')}] of "${source.name}" by heads`;
  const perm = perm3.flatMap((at) => (at === axis ? [axis, axis + 1] : [at > axis ? at + 1 : at]));
  return { source, shape, perm, target, factors: [], ...parts };
}

/** Batch and heads, whose product is axis `axis` of `to`: two axes of `from`, or the heads are taken off its last. */
function split(from: Shape, to: Shape, axis: number): { readonly batch: Dim; readonly heads: number } | undefined {
  const rest = to.filter((_, at) => at !== axis);
  if (from.length === 4) {
    const [batch, heads] = [from[axis], from[axis + 1]];
    const others = from.filter((_, at) => at !== axis && at !== axis + 1);
    const same = others.every((dim, at) => equalDims(dim, rest[at])) && equalDims(mulDims(batch, heads), to[axis]);
    return same && typeof heads === 'number' ? { batch, heads } : undefined;
  }
  const [width, size] = [from[2], to[2]];
  if (from.length !== 3 || axis !== 1 || typeof width !== 'number' || typeof size !== 'number') return undefined;
  const [heads, batch] = [width / size, from[1]];
  const same = Number.isInteger(heads) && equalDims(from[0], to[0]) && equalDims(mulDims(batch, heads), to[1]);
  return same ? { batch, heads } : undefined;
}

/** Inserts what makes the value in four dimensions. */
export function inFour({ source, shape, perm, target, factors }: Unmerged, edit: Edit): Value {
  const dtype = edit.types.dtypeOf(source);
  const learnt = (made: Value, dims: Shape): Value => {
    if (dtype) edit.types.learn(made, tensorType(dtype, dims));
    return made;
  };
  const turned = perm.map((axis) => shape[axis]);
  let value = source;
  if (target) {
    const inputs = [value, edit.constant('heads', int64Vector(target))];
    value = learnt(edit.insert('Reshape', { inputs }).output(), shape);
  }
  if (perm.some((axis, at) => axis !== at))
    value = learnt(edit.insert('Transpose', { inputs: [value], attrs: { perm } }).output(), turned);
  for (const factor of factors) {
    const inputs = factor.inputs.map((input) => (constantScalar(input) === undefined ? value : input));
    value = learnt(edit.insertLike(factor, { inputs }).output(), turned);
  }
  return value;
}
