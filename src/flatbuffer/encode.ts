import { Builder } from 'flatbuffers';
import { bug } from '../errors.ts';
import type { Field, FieldType, FieldValue, Scalar, Table, Tables } from './schema.ts';

/** Alignment of `bytes` vectors: what TensorFlow Lite's schema forces, and enough for every element type. */
const dataAlignment = 16;

/**
 * Writes a table as a FlatBuffer with a file identifier. Tables that occur twice are written twice; the same input gives the
 * same bytes. @param root name of its table in `tables`
 */
export function encodeFlatBuffer(tables: Tables, root: string, value: Table, identifier: string): Uint8Array {
  const writer = new Writer(tables);
  return writer.finish(root, value, identifier);
}

class Writer {
  readonly #tables: Tables;
  readonly #builder = new Builder(1 << 16);

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  finish(root: string, value: Table, identifier: string): Uint8Array {
    this.#builder.finish(this.#table(root, value), identifier);
    return this.#builder.asUint8Array();
  }

  #table(name: string, value: Table): number {
    const fields = this.#tables[name] ?? bug(`FlatBuffers schema has no table ${name}`);
    const offsets = new Map<Field, number>();
    let slots = 0;
    for (const field of fields) {
      if (field && value[field.name] !== undefined && !isScalar(field.type)) {
        offsets.set(field, this.#child(field, value[field.name]));
      }
      slots += field && isUnion(field.type) ? 2 : 1;
    }
    const builder = this.#builder;
    builder.startObject(slots);
    let slot = 0;
    for (const field of fields) {
      const given = field && value[field.name];
      if (field && given !== undefined) {
        const offset = offsets.get(field);
        if (isUnion(field.type)) {
          builder.addFieldInt8(slot, field.type.union.indexOf((given as { type: string }).type) + 1, 0);
          builder.addFieldOffset(slot + 1, offset ?? 0, 0);
        } else if (offset !== undefined) builder.addFieldOffset(slot, offset, 0);
        else this.#scalar(slot, field.type as Scalar, given, field.default ?? 0);
      }
      slot += field && isUnion(field.type) ? 2 : 1;
    }
    return builder.endObject();
  }

  #child({ name, type }: Field, value: FieldValue): number {
    if (type === 'string') return this.#builder.createString(value as string);
    if (type === 'bytes') return this.#bytes(value as Uint8Array);
    if (typeof type === 'string') return bug(`field ${name} is no child`);
    if ('table' in type) return this.#table(type.table, value as Table);
    if ('union' in type) {
      const chosen = value as { type: string; value: Table };
      if (!type.union.includes(chosen.type)) bug(`union ${name} has no table ${chosen.type}`);
      return this.#table(chosen.type, chosen.value);
    }
    const of = type.vector;
    if (of === 'string') return this.#offsets((value as string[]).map((text) => this.#builder.createString(text)));
    if (typeof of === 'string') return this.#scalars(of, value as readonly (number | bigint)[]);
    if ('table' in of) return this.#offsets((value as Table[]).map((one) => this.#table(of.table, one)));
    return this.#structs(of.struct, value as readonly (readonly number[])[]);
  }

  #bytes(value: Uint8Array): number {
    this.#builder.prep(dataAlignment, value.length);
    return this.#builder.createByteVector(value);
  }

  #offsets(offsets: readonly number[]): number {
    this.#builder.startVector(4, offsets.length, 4);
    for (const offset of [...offsets].reverse()) this.#builder.addOffset(offset);
    return this.#builder.endVector();
  }

  #structs(fields: readonly string[], rows: readonly (readonly number[])[]): number {
    this.#builder.startVector(4 * fields.length, rows.length, 4);
    for (const row of [...rows].reverse()) for (const item of [...row].reverse()) this.#builder.addInt32(item | 0);
    return this.#builder.endVector();
  }

  #scalars(type: Scalar, values: readonly (number | bigint)[]): number {
    const builder = this.#builder;
    const width = widths[type];
    builder.startVector(width, values.length, width);
    for (let i = values.length - 1; i >= 0; i--) {
      const value = values[i] ?? 0;
      if (type === 'int64') builder.addInt64(BigInt(value));
      else if (type === 'float32') builder.addFloat32(Number(value));
      else if (width === 4) builder.addInt32(Number(value) | 0);
      else if (width === 2) builder.addInt16(Number(value));
      else builder.addInt8(Number(value));
    }
    return builder.endVector();
  }

  #scalar(slot: number, type: Scalar, value: FieldValue, fallback: number): void {
    const builder = this.#builder;
    const number = typeof value === 'bigint' ? value : Number(value);
    if (type === 'int64') builder.addFieldInt64(slot, BigInt(number), BigInt(fallback));
    else if (type === 'float32') builder.addFieldFloat32(slot, Number(number), fallback);
    else if (widths[type] === 4) builder.addFieldInt32(slot, Number(number) | 0, fallback);
    else if (widths[type] === 2) builder.addFieldInt16(slot, Number(number), fallback);
    else builder.addFieldInt8(slot, Number(number), fallback);
  }
}

/** Bytes of a scalar. */
export const widths: Readonly<Record<Scalar, number>> = {
  bool: 1,
  int8: 1,
  uint8: 1,
  int16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  float32: 4,
};

export function isScalar(type: FieldType): type is Scalar {
  return typeof type === 'string' && type !== 'string' && type !== 'bytes';
}

export function isUnion(type: FieldType): type is { readonly union: readonly string[] } {
  return typeof type === 'object' && 'union' in type;
}
