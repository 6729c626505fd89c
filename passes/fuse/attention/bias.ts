/** The one bias [batch or 1, heads or 1, length, total] that fused attention adds to the scores. */
import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import type { Value } from '../../../src/ir/graph.ts';
import { int64Vector, type Tensor, tensorFrom } from '../../../src/ir/tensor.ts';
import type { Dim, Shape } from '../../../src/ir/types.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import type { Bias } from './core.ts';
import { extentOf, unsqueezed } from './shape-nodes.ts';

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
  /** The sum has one row for all queries, and operators want one for each. */
  readonly oneRow: boolean;
}

/** Largest finite number of float32, negative: added to any score it gives itself. */
const lowest = -3.4028234663852886e38;
const lowestHalf = -65504;

/** @returns undefined where there is nothing to add; a sentence where the sum does not fit. */
export function planBias(terms: readonly Bias[], dims: BiasDims, { types }: Site): BiasPlan | string | undefined {
  if (terms.length === 0) return undefined;
  const ranks: number[] = [];
  let oneRow = true;
  let oneColumn = true;
  for (const { value } of terms) {
    const shape = types.shapeOf(value);
    const why = fits(value, shape, dims);
    if (why !== undefined || !shape) return why ?? `the shape of the bias "${value.name}" is not known`;
    ranks.push(shape.length);
    if (!equalDims(shape.at(-2) ?? 1, 1) || equalDims(dims.length, 1)) oneRow = false;
    if (!equalDims(shape.at(-1) ?? 1, 1) || equalDims(dims.total, 1)) oneColumn = false;
  }
  if (oneColumn) return `the bias "${terms[0]?.value.name}" is the same for all keys`;
  return { terms, ranks, oneRow };
}

/** Each dimension is 1 or that of the scores: a larger one would make the scores larger. */
function fits(value: Value, shape: Shape | undefined, dims: BiasDims): string | undefined {
  if (!shape) return `the shape of the bias "${value.name}", which is added to the scores, is not known`;
  if (shape.length > 4) return `the bias "${value.name}" is of rank ${shape.length}`;
  const expected: Shape = [dims.batch, dims.heads, dims.length, dims.total];
  const names = ['batch', 'number of heads', 'number of queries', 'number of keys'];
  for (const [at, dim] of shape.entries()) {
    const axis = 4 - shape.length + at;
    if (dim === 1 || equalDims(dim, expected[axis])) continue;
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
  id(value: Value): number {
    const known = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, known);
    return known;
  }
}

/** Inserts what makes the bias. @param query a value and its axis from which the number of queries can be read. */
export function makeBias(
  plan: BiasPlan,
  query: { value: Value; axis: number },
  dims: BiasDims,
  dtype: DType,
  edit: Edit,
  cache: BiasCache,
): Value {
  const key = plan.terms
    .map((term) => `${cache.id(term.value)}:${term.kind === 'add' ? term.factor : `${term.keep}${term.fill}`}`)
    .join('+');
  const rows = plan.oneRow ? `/${dims.length ?? cache.id(query.value)}` : '';
  const known = cache.get(key + rows, edit);
  if (known) return known;
  let sum: Value | undefined;
  for (const [at, term] of plan.terms.entries()) {
    const made = makeTerm(term, plan.ranks[at] ?? 4, dtype, edit, cache);
    sum = sum ? edit.insert('Add', { inputs: [sum, made] }).output() : made;
  }
  if (plan.oneRow && sum) {
    const length = extentOf(query.value, query.axis, dims.length, edit);
    const one = edit.constant('one', int64Vector([1]));
    const shape = edit.insert('Concat', { inputs: [one, one, length, one], attrs: { axis: 0 } }).output();
    sum = edit.insert('Expand', { inputs: [sum, shape] }).output();
  }
  return cache.set(key + rows, sum as Value);
}

function makeTerm(term: Bias, rank: number, dtype: DType, edit: Edit, cache: BiasCache): Value {
  const key = `${cache.id(term.value)}:${term.kind === 'add' ? term.factor : `${term.keep}${term.fill}`}:term`;
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
    const fill = term.fill === Number.NEGATIVE_INFINITY ? term.fill : dtype === 'float16' ? lowestHalf : lowest;
    const [zero, low] = [edit.constant('zero', scalar(dtype, 0)), edit.constant('masked', scalar(dtype, fill))];
    value = edit.insert('Where', { inputs: term.keep ? [value, zero, low] : [value, low, zero] }).output();
  } else if (term.factor !== 1) {
    value = edit.insert('Mul', { inputs: [value, edit.constant('factor', scalar(dtype, term.factor))] }).output();
  }
  return cache.set(key, value);
}

export function scalar(dtype: DType, value: number): Tensor {
  if (dtype === 'float64') return tensorFrom('float64', [], Float64Array.of(value));
  const single = Float32Array.of(value);
  return dtype === 'float16' ? tensorFrom('float16', [], f32ToF16(single)) : tensorFrom('float32', [], single);
}

/** No element can be infinite: what masks made of numbers are. */
export function isFinite(value: Value | undefined, depth = 0): boolean {
  const number = constantScalar(value);
  if (number !== undefined) return Number.isFinite(number);
  if (!value || depth > 8) return false;
  const tensor = constantOf(value);
  if (tensor)
    return tensor.dtype !== 'float32' || new Float32Array(tensor.bytes().slice().buffer).every(Number.isFinite);
  const node = value.producer;
  if (!node || node.domain !== '') return false;
  const inputs = (from: number, to = node.inputs.length): boolean =>
    node.inputs.slice(from, to).every((input) => isFinite(input, depth + 1));
  switch (node.op) {
    case 'Where':
      return inputs(1);
    case 'Add':
    case 'Sub':
    case 'Mul':
      return inputs(0);
    case 'Unsqueeze':
    case 'Squeeze':
    case 'Expand':
    case 'Reshape':
    case 'Slice':
    case 'Transpose':
    case 'Gather':
    case 'Identity':
      return inputs(0, 1);
    case 'Cast':
      return isDiscrete(node.input(0)) || inputs(0, 1);
    default:
      return false;
  }
}

const comparisons = new Set([
  'And',
  'Or',
  'Not',
  'Xor',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'IsNaN',
  'IsInf',
]);

/** Integers and booleans are finite, whatever they are made from. */
function isDiscrete(value: Value | undefined): boolean {
  const dtype = value?.dtype;
  if (dtype) return !dtype.startsWith('float') && dtype !== 'bfloat16';
  return value?.producer?.domain === '' && comparisons.has(value.producer.op);
}
