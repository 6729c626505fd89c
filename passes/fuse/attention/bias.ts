/** The one bias [batch or 1, heads or 1, length, total] that fused attention adds to the scores. */
import { constantNumbers } from '../../../src/ir/constant.ts';
import { differentDims, equalDims } from '../../../src/ir/dim.ts';
import { type DType, dtypeCode } from '../../../src/ir/dtype.ts';
import type { Value } from '../../../src/ir/graph.ts';
import { int64Vector, type Tensor, tensorFrom } from '../../../src/ir/tensor.ts';
import type { Dim, Shape } from '../../../src/ir/types.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import type { Bias } from './core.ts';
import { unsqueezed } from './shape-nodes.ts';

interface BiasDims {
  readonly batch: Dim;
  readonly heads: number;
  readonly length: Dim;
  readonly total: Dim;
}

export interface BiasPlan {
  readonly terms: readonly Bias[];
  /** Ranks of the terms. */
  readonly ranks: readonly number[];
  /** The sum is not known to have a row for each query and a column for each key, and operators want that. */
  readonly expand: boolean;
  /** Masks by which rows of the result are set to zero where they mask everything. */
  readonly zeroing: readonly Mask[];
}

export type Mask = Extract<Bias, { kind: 'mask' }>;

/**
 * What masked scores get: added to any score it gives itself, so that a row in which everything is masked comes out uniform. Not the
 * lowest number there is: ONNX Runtime's Attention (opset 23) takes that for -inf, and gives zeros for such a row (measured, 1.30).
 */
const lowest = -1.7014117331926443e38;
const lowestHalf = -60000;

/** @returns undefined where there is nothing to add; a sentence where the sum does not fit. */
export function planBias(
  terms: readonly Bias[],
  zeroRows: boolean,
  dims: BiasDims,
  { types }: Site,
): BiasPlan | string | undefined {
  if (terms.length === 0) return undefined;
  const ranks: number[] = [];
  let [rows, columns] = [false, false];
  const zeroing: Mask[] = [];
  for (const term of terms) {
    const { value } = term;
    const shape = types.shapeOf(value);
    const why = fits(value, shape, dims);
    if (why !== undefined || !shape) return why ?? `the shape of the bias "${value.name}" is not known`;
    ranks.push(shape.length);
    rows ||= equalDims(shape.at(-2) ?? 1, dims.length);
    columns ||= equalDims(shape.at(-1) ?? 1, dims.total);
    if (!zeroRows || term.kind !== 'mask' || Number.isFinite(term.fill)) continue;
    if (!equalDims(shape.at(-3) ?? 1, 1))
      return `rows that the mask "${value.name}" masks wholly become zero, in each head others`;
    zeroing.push(term);
  }
  return { terms, ranks, expand: !rows || !columns, zeroing };
}

/**
 * Batch and heads must be 1 or those of the scores: larger ones would make the scores larger. Rows and columns are expanded where they
 * are not known to be those of the scores; that they broadcast to them is so because the model runs. One query alone may become as many as the
 * bias has rows.
 */
function fits(value: Value, shape: Shape | undefined, dims: BiasDims): string | undefined {
  if (!shape) return `the shape of the bias "${value.name}", which is added to the scores, is not known`;
  if (shape.length > 4) return `the bias "${value.name}" is of rank ${shape.length}`;
  const expected: Shape = [dims.batch, dims.heads, dims.length, dims.total];
  const names = ['batch', 'number of heads', 'number of queries', 'number of keys'];
  for (const [at, dim] of shape.entries()) {
    const axis = 4 - shape.length + at;
    if (dim === 1 || equalDims(dim, expected[axis])) continue;
    if (axis >= 2 && !differentDims(dim, expected[axis]) && !(axis === 2 && expected[axis] === 1)) continue;
    return `dimension ${at} of the bias "${value.name}" (${dim ?? '?'}) is not known to be 1 or the ${names[axis]} (${expected[axis] ?? '?'})`;
  }
  return undefined;
}

/** Biases made for one layer serve the others, which mostly read the same masks. */
export class BiasCache {
  readonly #made = new Map<string, Value>();
  readonly #ids = new Map<Value, number>();

  get(key: string, edit: Edit): Value | undefined {
    const value = this.#made.get(key);
    return value && !value.producer?.removed && value.graph === edit.graph ? value : undefined;
  }
  set(key: string, value: Value): Value {
    this.#made.set(key, value);
    return value;
  }
  /** Equal extents of unknown size are not known to be equal. */
  dim(dim: Dim): string {
    return String(dim ?? `?${this.#unknown++}`);
  }
  #unknown = 0;
  id(value: Value): number {
    const known = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, known);
    return known;
  }
}

/** Where the bias goes. */
export interface Place {
  /** Extents that are not known beforehand are read from these. */
  readonly length: () => Value;
  readonly total: () => Value;
  /** The operator takes the lowest number for -inf: numbers must stay above it. */
  readonly floor: boolean;
}

/** Inserts what makes the bias. */
export function makeBias(
  plan: BiasPlan,
  place: Place,
  dims: BiasDims,
  dtype: DType,
  edit: Edit,
  cache: BiasCache,
): Value {
  const terms = plan.terms.map((term) => keyOf(term, cache)).join('+');
  const isFilled = (term: Bias): boolean =>
    term.kind === 'mask' && (Number.isFinite(term.fill) || plan.zeroing.length > 0);
  const steps = dtype === 'float16' || plan.zeroing.length > 0 ? 1 : stepsDown(plan.terms);
  // What several masks fill adds up to -inf: a row that all of them mask wholly would be NaN, or zero.
  const floor =
    (steps === 1 && plan.terms.filter(isFilled).length > 1) ||
    (steps === 1 && place.floor && plan.terms.some((term) => term.kind === 'add' && !isAbove(term.value, lowest)));
  const key = `${terms}${floor}${steps}${plan.expand ? `/${cache.dim(dims.length)},${cache.dim(dims.total)}` : ''}`;
  const known = cache.get(key, edit);
  if (known) return known;
  let sum: Value | undefined;
  for (const [at, term] of plan.terms.entries()) {
    const made = makeTerm(term, plan.ranks[at] ?? 4, plan.zeroing.length > 0, steps, dtype, edit, cache);
    sum = sum ? edit.insert('Add', { inputs: [sum, made] }).output() : made;
  }
  if (floor && sum) {
    const least = edit.constant('least', scalar(dtype, dtype === 'float16' ? lowestHalf : lowest));
    sum = edit.insert('Max', { inputs: [sum, least] }).output();
  }
  if (plan.expand && sum) {
    const one = edit.constant('one', int64Vector([1]));
    const shape = edit
      .insert('Concat', { inputs: [one, one, place.length(), place.total()], attrs: { axis: 0 } })
      .output();
    sum = edit.insert('Expand', { inputs: [sum, shape] }).output();
  }
  return cache.set(key, sum as Value);
}

/**
 * Into how many steps what masks fill has to be parted. A mask that is added to filled scores leaves those lower (at -inf) that both mask: in a row in which
 * everything is masked they count for nothing, and the others are uniform. So it is with a step for each, above the lowest number. A mask
 * that fills what others left is no step further down.
 */
function stepsDown(terms: readonly Bias[]): number {
  const first = terms.findIndex((term) => term.kind === 'mask' && Number.isFinite(term.fill));
  if (first < 0) return 1;
  const outer = terms.slice(first + 1).filter((term) => term.kind === 'mask' || !isAbove(term.value, lowest));
  return outer.every((term) => term.kind === 'add' || (term.added && Number.isFinite(term.fill)))
    ? outer.length + 1
    : 1;
}

/** 1 for rows of which something is kept, 0 for those that are masked wholly: [batch or 1, 1, length or 1, 1]. */
export function makeRowMask(plan: BiasPlan, dtype: DType, edit: Edit, cache: BiasCache): Value {
  const key = `rows:${plan.zeroing.map((term) => keyOf(term, cache)).join('+')}`;
  const known = cache.get(key, edit);
  if (known) return known;
  let kept: Value | undefined;
  for (const mask of plan.zeroing) {
    const rank = plan.ranks[plan.terms.indexOf(mask)] ?? 4;
    let value = rank < 4 ? unsqueezed(mask.value, leading(rank), edit) : mask.value;
    if (!mask.keep) value = edit.insert('Not', { inputs: [value] }).output();
    kept = kept ? edit.insert('And', { inputs: [kept, value] }).output() : value;
  }
  const number = edit.insert('Cast', { inputs: [kept], attrs: { to: dtypeCode(dtype) } }).output();
  const rows =
    edit.opset >= 18
      ? edit.insert('ReduceMax', { inputs: [number, edit.constant('axes', int64Vector([3]))] })
      : edit.insert('ReduceMax', { inputs: [number], attrs: { axes: [3] } });
  return cache.set(key, rows.output());
}

const leading = (rank: number): number[] => Array.from({ length: 4 - rank }, (_, axis) => axis);

const keyOf = (term: Bias, cache: BiasCache): string =>
  `${cache.id(term.value)}:${term.kind === 'add' ? term.factor : `${term.keep}${term.fill}`}`;

function makeTerm(
  term: Bias,
  rank: number,
  zeroing: boolean,
  steps: number,
  dtype: DType,
  edit: Edit,
  cache: BiasCache,
): Value {
  const key = `term:${keyOf(term, cache)}${zeroing}${steps}`;
  const known = cache.get(key, edit);
  if (known) return known;
  let value = term.value;
  if (rank < 4)
    value = unsqueezed(
      value,
      Array.from({ length: 4 - rank }, (_, axis) => axis),
      edit,
    );
  if (term.kind === 'mask') {
    const fill =
      term.fill === Number.NEGATIVE_INFINITY && !zeroing
        ? term.fill
        : dtype === 'float16'
          ? lowestHalf
          : lowest / steps;
    const [zero, low] = [edit.constant('zero', scalar(dtype, 0)), edit.constant('masked', scalar(dtype, fill))];
    value = edit.insert('Where', { inputs: term.keep ? [value, zero, low] : [value, low, zero] }).output();
  } else if (term.factor !== 1) {
    value = edit.insert('Mul', { inputs: [value, edit.constant('factor', scalar(dtype, term.factor))] }).output();
  }
  if (term.kind === 'add' && steps > 1 && !isAbove(term.value, lowest))
    value = edit.insert('Max', { inputs: [value, edit.constant('least', scalar(dtype, lowest / steps))] }).output();
  return cache.set(key, value);
}

export function scalar(dtype: DType, value: number): Tensor {
  if (dtype === 'float64') return tensorFrom('float64', [], Float64Array.of(value));
  const single = Float32Array.of(value);
  return dtype === 'float16' ? tensorFrom('float16', [], f32ToF16(single)) : tensorFrom('float32', [], single);
}

/** A constant with no element below `least`. */
function isAbove(value: Value, least: number): boolean {
  return constantNumbers(value, 1 << 20)?.every((number) => number >= least) ?? false;
}
