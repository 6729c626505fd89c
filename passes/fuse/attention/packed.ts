/** Queries, keys and values as three products of one value with constant weights: what the packed Attention takes in one. */
import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { computedTensor, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import { type Flat, swapped } from './heads.ts';

interface Projection {
  readonly x: Value;
  readonly weight: Tensor;
  readonly name: string;
  readonly bias: Tensor | undefined;
  /** The product was multiplied with this, before it was split by heads. */
  readonly factor: number;
}

export interface Packed {
  readonly x: Value;
  /** One with three times the columns, or three. */
  readonly projections: readonly Projection[];
  readonly factor: number;
  /** Columns of queries, keys and values. */
  readonly sizes: readonly [number, number, number];
  /** x is [length, batch, …]. */
  readonly swap: boolean;
}

export function findPacked(query: Flat, key: Flat, value: Flat, site: Site): Packed | undefined {
  const [q, k, v] = [query, key, value].map((flat) => fromSplit(flat, site)) as [Flat, Flat, Flat];
  const { swap } = q;
  if (k.swap !== swap || v.swap !== swap) return undefined;
  const sizes = [q, k, v].map(({ heads, size }) => heads * size) as [number, number, number];
  if (sizes[0] !== sizes[1] || q.join || k.join || v.join) return undefined;
  const [first, second, third] = [q.part, k.part, v.part];
  if (first || second || third) {
    if (q.value !== k.value || k.value !== v.value || first?.of !== 3) return undefined;
    if (first.index !== 0 || second?.index !== 1 || third?.index !== 2) return undefined;
    const whole = findProjection(q.value, 3, site);
    return whole && whole.factor === 1 ? { x: whole.x, projections: [whole], factor: 1, sizes, swap } : undefined;
  }
  const projections: Projection[] = [];
  for (const [at, flat] of [q, k, v].entries()) {
    const found = findProjection(flat.value, 1, site);
    if (!found || (at > 0 && found.factor !== 1) || found.x !== (projections[0] ?? found).x) return undefined;
    projections.push(found);
  }
  const [own] = projections;
  return own && { x: own.x, projections, factor: own.factor, sizes, swap };
}

/** A third of the columns of a product, behind a Split. */
function fromSplit(flat: Flat, { types }: Site): Flat {
  const split = flat.part ? undefined : flat.value.producer;
  const whole = split?.is('Split') ? split.input(0) : undefined;
  const columns = flat.heads * flat.size;
  if (!split || !whole || split.outputs.length !== 3 || types.shapeOf(whole)?.[2] !== 3 * columns) return flat;
  const axis = split.int('axis', 0);
  if (axis !== 2 && axis !== -1) return flat;
  for (const output of split.outputs) {
    if (!output || types.shapeOf(output)?.[2] !== columns || !onlyReader(output)) return flat;
  }
  return { ...flat, value: whole, part: { index: flat.value.outputIndex, of: 3 } };
}

/** @param readers how many heads are taken from the product. */
function findProjection(value: Value, readers: number, { types }: Site): Projection | undefined {
  let current = value;
  let factor = 1;
  if (current.isGraphOutput || [...current.readers].length > readers) return undefined;
  const scaled = current.producer;
  const number = scaled?.is('Mul') ? constantScalar(scaled.input(1)) : undefined;
  if (scaled && number !== undefined) {
    factor = number;
    current = scaled.input(0) as Value;
    if (!onlyReader(current)) return undefined;
  }
  let bias: Tensor | undefined;
  const add = current.producer;
  if (add?.is('Add')) {
    const at = [0, 1].find((index) => constantOf(add.input(index))?.shape.length === 1);
    if (at === undefined) return undefined;
    bias = constantOf(add.input(at));
    current = add.input(1 - at) as Value;
    if (!onlyReader(current)) return undefined;
  }
  const matmul = current.producer;
  return matmul?.is('MatMul') ? projectionOf(matmul, bias, factor, types.shapeOf(matmul.input(0))?.length) : undefined;
}

function projectionOf(
  matmul: Node,
  bias: Tensor | undefined,
  factor: number,
  rank: number | undefined,
): Projection | undefined {
  const [x, value] = matmul.inputs;
  const weight = constantOf(value);
  // A weight that others read would be stored twice.
  if (!x || !value || weight?.shape.length !== 2 || value.useCount > 1 || rank !== 3) return undefined;
  if (weight.dtype !== 'float32' || (bias && (bias.dtype !== 'float32' || bias.shape[0] !== weight.shape[1])))
    return undefined;
  return { x, weight, name: value.name, bias, factor };
}

/** The inputs of com.microsoft.Attention: x, weights [hidden, Q|K|V], bias [Q|K|V]. */
export function packedInputs(
  { x, projections, sizes, swap }: Packed,
  edit: Edit,
): { x: Value; weight: Value; bias: Value } {
  const [first] = projections as [Projection, ...Projection[]];
  const columns = sizes[0] + sizes[1] + sizes[2];
  const rows = first.weight.shape[0] as number;
  const weight =
    projections.length === 1
      ? first.weight
      : computedTensor('float32', [rows, columns], () =>
          joinColumns(
            projections.map((one) => one.weight),
            rows,
            columns,
          ),
        );
  const bias = new Float32Array(columns);
  let at = 0;
  for (const { bias: own, weight: part } of projections) {
    if (own) bias.set(typedArray(own, 'float32'), at);
    at += part.shape[1] as number;
  }
  return {
    x: swap ? swapped(x, edit) : x,
    weight: edit.constant(`${first.name}_qkv`, weight),
    bias: edit.constant(`${first.name}_qkv_bias`, tensorFrom('float32', [columns], bias)),
  };
}

function joinColumns(parts: readonly Tensor[], rows: number, columns: number): Uint8Array {
  const joined = new Float32Array(rows * columns);
  let left = 0;
  for (const part of parts) {
    const width = part.shape[1] as number;
    const data = typedArray(part, 'float32');
    for (let row = 0; row < rows; row++)
      joined.set(data.subarray(row * width, (row + 1) * width), row * columns + left);
    left += width;
  }
  return new Uint8Array(joined.buffer);
}
