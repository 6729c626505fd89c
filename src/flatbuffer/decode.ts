import { UserError } from '../errors.ts';
import { isScalar, isUnion, widths } from './encode.ts';
import type { FieldType, FieldValue, Scalar, Table, Tables } from './schema.ts';

/** Tables within tables within tables …: more than any real file has. */
const maxDepth = 64;

/**
 * Reads a FlatBuffer into plain objects. Every offset and length is checked against the buffer. `bytes` vectors are views.
 * @throws UserError `flatbuffer` when the identifier is another or something points outside the file
 */
export function decodeFlatBuffer(tables: Tables, root: string, bytes: Uint8Array, identifier: string): Table {
  const reader = new Reader(tables, bytes);
  return reader.read(root, identifier);
}

class Reader {
  readonly #tables: Tables;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Table bytes looked at, against files whose offsets all point to the same place. */
  #budget: number;

  constructor(tables: Tables, bytes: Uint8Array) {
    this.#tables = tables;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = 16 * bytes.byteLength + 1024;
  }

  read(root: string, identifier: string): Table {
    const found = this.#bytes.length < 8 ? '' : String.fromCharCode(...this.#bytes.subarray(4, 8));
    if (found !== identifier) this.#fail(`it does not begin with the identifier ${identifier}`);
    return this.#table(root, this.#uint32(0), 0);
  }

  #fail(why: string): never {
    throw new UserError('flatbuffer', `The file cannot be read as a FlatBuffer: ${why}.`);
  }

  #need(at: number, size: number): number {
    this.#budget -= 1;
    if (at < 0 || size < 0 || at + size > this.#bytes.length)
      this.#fail(`something points to byte ${at}, outside of it`);
    if (this.#budget < 0) this.#fail('its tables are entangled');
    return at;
  }
  #uint32(at: number): number {
    return this.#view.getUint32(this.#need(at, 4), true);
  }
  #indirect(at: number): number {
    return at + this.#uint32(at);
  }

  #table(name: string, at: number, depth: number): Table {
    if (depth > maxDepth) this.#fail('its tables are nested too deep');
    const vtable = at - this.#view.getInt32(this.#need(at, 4), true);
    const size = this.#view.getUint16(this.#need(vtable, 4), true);
    this.#need(vtable, size);
    const result: Table = {};
    let slot = 0;
    for (const field of this.#tables[name] ?? []) {
      const place = this.#slot(at, vtable, size, slot);
      if (field && isUnion(field.type)) {
        const value = this.#slot(at, vtable, size, slot + 1);
        const type = place === 0 ? undefined : field.type.union[this.#view.getUint8(this.#need(place, 1)) - 1];
        if (type !== undefined && value !== 0) {
          result[field.name] = { type, value: this.#table(type, this.#indirect(value), depth + 1) };
        }
        slot += 2;
        continue;
      }
      slot++;
      if (field && place !== 0) result[field.name] = this.#value(field.type, place, depth);
    }
    return result;
  }

  #slot(at: number, vtable: number, size: number, slot: number): number {
    const entry = 4 + 2 * slot;
    if (entry + 2 > size) return 0;
    const offset = this.#view.getUint16(vtable + entry, true);
    return offset === 0 ? 0 : at + offset;
  }

  #value(type: FieldType, at: number, depth: number): FieldValue {
    if (isScalar(type)) return this.#scalar(type, at);
    if (type === 'string') return this.#string(this.#indirect(at));
    if (type === 'bytes') {
      const start = this.#indirect(at);
      const length = this.#uint32(start);
      return this.#bytes.subarray(this.#need(start + 4, length), start + 4 + length);
    }
    if ('table' in type) return this.#table(type.table, this.#indirect(at), depth + 1);
    if ('union' in type) return this.#fail('a union stands where none may');
    return this.#vector(type.vector, this.#indirect(at), depth);
  }

  #vector(
    of: Exclude<Extract<FieldType, { vector: unknown }>['vector'], never>,
    at: number,
    depth: number,
  ): FieldValue {
    const count = this.#uint32(at);
    const start = at + 4;
    const list = <T>(width: number, read: (place: number) => T): T[] => {
      this.#need(start, count * width);
      return Array.from({ length: count }, (_, i) => read(start + i * width));
    };
    if (of === 'string') return list(4, (place) => this.#string(this.#indirect(place)));
    if (typeof of === 'string') return list(widths[of], (place) => this.#scalar(of, place)) as number[];
    if ('table' in of) return list(4, (place) => this.#table(of.table, this.#indirect(place), depth + 1));
    return list(4 * of.struct.length, (place) => of.struct.map((type, i) => Number(this.#scalar(type, place + 4 * i))));
  }

  #string(at: number): string {
    const length = this.#uint32(at);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#need(at + 4, length), length).toString(
      'utf8',
    );
  }

  #scalar(type: Scalar, at: number): number | bigint | boolean {
    this.#need(at, widths[type]);
    switch (type) {
      case 'bool':
        return this.#view.getUint8(at) !== 0;
      case 'int8':
        return this.#view.getInt8(at);
      case 'uint8':
        return this.#view.getUint8(at);
      case 'int16':
        return this.#view.getInt16(at, true);
      case 'int32':
        return this.#view.getInt32(at, true);
      case 'uint32':
        return this.#view.getUint32(at, true);
      case 'int64':
        return this.#view.getBigInt64(at, true);
      case 'float32':
        return this.#view.getFloat32(at, true);
    }
  }
}
