/** The cosines and sines of a rotary embedding, in the forms that its operators take. */
import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import { byteSize } from '../../../src/ir/dtype.ts';
import type { Value } from '../../../src/ir/graph.ts';
import { computedTensor, elementCount, int64Vector, type Tensor, tensorOf } from '../../../src/ir/tensor.ts';
import type { Dim, Shape } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import type { Heads } from './heads.ts';
import type { Rotated } from './rotated.ts';
import { squeezed, unsqueezed } from './shape-nodes.ts';

export interface Angles {
  readonly layout: Heads['layout'];
  readonly cos: Rows;
  readonly sin: Rows;
  /** Rows are looked up in a constant table by these positions [batch, length]. */
  readonly positions: Value | undefined;
  /** All of the batch has the same. */
  readonly shared: boolean;
}

/** A value that is [batch or 1, length, width] when axes are taken away or added. */
interface Rows {
  readonly value: Value;
  readonly squeeze: readonly number[];
  readonly unsqueeze: readonly number[];
  /** The table that the rows are looked up in. */
  readonly table: Value | undefined;
}

export function findAngles(
  { cos, sin, width, doubled }: Rotated,
  shape: Shape,
  site: Site,
): Angles | { readonly why: string } {
  const found = (['bnsh', 'bsnh'] as const).map((layout) => {
    const own = doubled ? width : width / 2;
    const [c, s] = [rowsOf(cos, layout, shape, own, site), rowsOf(sin, layout, shape, own, site)];
    return c && s ? { layout, c, s } : undefined;
  });
  const fits = found[0] ?? found[1];
  if (!fits)
    return { why: `"${cos.name}" and "${sin.name}" are not known to have one row for each position of the batch` };
  const { layout, c, s } = fits;
  if (c.shared !== s.shared) return { why: `"${cos.name}" and "${sin.name}" are not of the same shape` };
  const [ofCos, ofSin] = [lookup(c.rows.value, site), lookup(s.rows.value, site)];
  const positions = ofCos && ofSin && ofCos.positions === ofSin.positions ? ofCos.positions : undefined;
  const fixed = positions && equalDims(site.types.shapeOf(positions)?.[0], shape[0]);
  return {
    layout,
    cos: { ...c.rows, table: fixed ? ofCos?.table : undefined },
    sin: { ...s.rows, table: fixed ? ofSin?.table : undefined },
    positions: fixed ? positions : undefined,
    shared: c.shared,
  };
}

function rowsOf(
  value: Value,
  layout: Heads['layout'],
  x: Shape,
  width: number,
  { types }: Site,
): { rows: Rows; shared: boolean } | undefined {
  const own = types.shapeOf(value);
  if (!own || own.length < 2 || own.length > 4) return undefined;
  const padded: Shape = [...Array.from({ length: 4 - own.length }, () => 1), ...own];
  const [headAxis, lengthAxis] = layout === 'bnsh' ? [1, 2] : [2, 1];
  const shared = padded[0] === 1 && x[0] !== 1;
  if (typeof padded[3] === 'number' && padded[3] !== width) return undefined;
  if (padded[headAxis] !== 1 || !equalDims(padded[lengthAxis], x[lengthAxis])) return undefined;
  if (!shared && !equalDims(padded[0], x[0])) return undefined;
  const rows = (inner: Value, squeeze: readonly number[], unsqueeze: readonly number[]): Rows => ({
    value: inner,
    squeeze,
    unsqueeze,
    table: undefined,
  });
  if (own.length === 2) return layout === 'bnsh' ? { rows: rows(value, [], [0]), shared } : undefined;
  if (own.length === 3)
    return layout === 'bnsh' ? { rows: rows(value, [], []), shared } : { rows: rows(value, [1], [0]), shared };
  const open = value.producer?.is('Unsqueeze') ? value.producer : undefined;
  const axes = open?.ints('axes') ?? constantNumbers(open?.input(1));
  const inner = open?.input(0);
  if (inner && axes?.length === 1 && (axes[0] === headAxis || axes[0] === headAxis - 4))
    return { rows: rows(inner, [], []), shared };
  return { rows: rows(value, [headAxis], []), shared };
}

/** Gather(table, positions) of a constant table [positions, width]. */
function lookup(value: Value, { types }: Site): { table: Value; positions: Value } | undefined {
  const node = value.producer;
  const [table, positions] = node?.is('Gather') && node.int('axis', 0) === 0 ? node.inputs : [];
  if (!table || !positions || constantOf(table)?.shape.length !== 2) return undefined;
  return types.dtypeOf(positions) === 'int64' && types.shapeOf(positions)?.length === 2
    ? { table, positions }
    : undefined;
}

/** What was made for one layer serves the others, which turn by the same angles. */
export class AngleCache {
  readonly #made = new Map<string, readonly Value[]>();
  readonly #ids = new Map<Value, number>();

  of(key: readonly (Value | string)[], edit: Edit, make: () => readonly Value[]): readonly Value[] {
    const text = key.map((part) => (typeof part === 'string' ? part : this.#id(part))).join();
    const known = this.#made.get(text);
    if (known?.every((value) => !value.producer?.removed && value.graph === edit.graph)) return known;
    const made = make();
    this.#made.set(text, made);
    return made;
  }
  #id(value: Value): number {
    const id = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, id);
    return id;
  }
}

interface Place {
  readonly batch: Dim;
  readonly length: Dim;
  /** The value that is turned: its first extent is the batch. */
  readonly source: Value;
}

/** position_ids, cos_cache [rows, width/2], sin_cache: the runtime's own form. */
export function tableAngles(angles: Angles, rotated: Rotated, edit: Edit, cache: AngleCache): readonly Value[] {
  const { cos, sin, positions, shared } = angles;
  const kind = `${rotated.doubled}${rotated.interleaved}`;
  if (positions && cos.table && sin.table) {
    const tables = cache.of(['table', cos.table, sin.table, kind], edit, () =>
      [cos, sin].map(({ table }) => halfTable(table as Value, rotated, edit)),
    );
    return [positions, ...tables];
  }
  return cache.of(['rows', cos.value, sin.value, kind], edit, () => {
    const [cosines, sines] = [cos, sin].map((rows) => halfRows(rows, rotated, edit)) as [Value, Value];
    const flat = edit.constant('flat', int64Vector([-1, rotated.width / 2]));
    const tables = [cosines, sines].map((rows) => edit.insert('Reshape', { inputs: [rows, flat] }).output());
    if (shared) return [edit.constant('position', int64Vector([0])), ...tables];
    // Rows are numbered through: row s of sample b stands at b·length + s.
    const shape = edit.insert('Shape', { inputs: [cosines] }).output();
    const places = edit
      .insert('Gather', { inputs: [shape, edit.constant('axes', int64Vector([0, 1]))], attrs: { axis: 0 } })
      .output();
    const count = edit.insert('ReduceProd', { inputs: [places], attrs: { keepdims: 0 } }).output();
    const number = (value: number): Value => edit.constant('number', tensorOf('int64', [], [value]));
    const range = edit.insert('Range', { inputs: [number(0), count, number(1)] }).output();
    return [edit.insert('Reshape', { inputs: [range, places] }).output(), ...tables];
  });
}

/** cos_cache and sin_cache [batch, length, width/2], or tables with positions: the form of opset 23. */
export function nativeAngles(
  angles: Angles,
  rotated: Rotated,
  place: Place,
  edit: Edit,
  cache: AngleCache,
): readonly Value[] {
  const { cos, sin, positions, shared } = angles;
  const kind = `${rotated.doubled}${rotated.interleaved}`;
  if (positions && cos.table && sin.table) {
    const tables = cache.of(['table', cos.table, sin.table, kind], edit, () =>
      [cos, sin].map(({ table }) => halfTable(table as Value, rotated, edit)),
    );
    return [...tables, positions];
  }
  return cache.of(['native', cos.value, sin.value, kind, String(place.batch)], edit, () => {
    const rows = [cos, sin].map((one) => halfRows(one, rotated, edit));
    if (!shared) return rows;
    const batch = edit.insert('Shape', { inputs: [place.source], attrs: { start: 0, end: 1 } }).output();
    const one = edit.constant('one', int64Vector([1]));
    const target = edit.insert('Concat', { inputs: [batch, one, one], attrs: { axis: 0 } }).output();
    return rows.map((value) => edit.insert('Expand', { inputs: [value, target] }).output());
  });
}

/** [batch or 1, length, width/2]. */
function halfRows({ value, squeeze, unsqueeze }: Rows, { doubled, interleaved, width }: Rotated, edit: Edit): Value {
  let rows = squeeze.length > 0 ? squeezed(value, squeeze, edit) : value;
  if (unsqueeze.length > 0) rows = unsqueezed(rows, unsqueeze, edit);
  if (!doubled) return rows;
  const vector = (number: number): Value => edit.constant('bound', int64Vector([number]));
  const bounds = interleaved ? [0, width, 2, 2] : [0, width / 2, 2, 1];
  return edit.insert('Slice', { inputs: [rows, ...bounds.map(vector)] }).output();
}

function halfTable(table: Value, { doubled, interleaved, width }: Rotated, edit: Edit): Value {
  const tensor = constantOf(table) as Tensor;
  if (!doubled) return table;
  const shape = [tensor.shape[0] as number, width / 2];
  const element = byteSize(tensor.dtype, 1);
  const compute = (): Uint8Array => {
    const from = tensor.bytes();
    const to = new Uint8Array(elementCount(shape) * element);
    for (let at = 0; at < elementCount(shape); at++) {
      const row = Math.floor(at / (width / 2));
      const column = at % (width / 2);
      const source = row * width + (interleaved ? 2 * column : column);
      to.set(from.subarray(source * element, (source + 1) * element), at * element);
    }
    return to;
  };
  return edit.constant(table.name, computedTensor(tensor.dtype, shape, compute));
}
