/** Datatypes of the Open Inference Protocol, and what stands for them in JSON, in raw bytes and in ONNX Runtime. */

import { isUtf8 } from 'node:buffer';
import { halfToNumber, numberToHalf } from './half.mjs';

function number(value) {
  if (typeof value !== 'number') throw new TypeError(`${describe(value)} is not a number`);
  return value;
}

/** A number too large for its type would be fed as an infinity without anyone noticing. An infinity itself is one: not all that is read is JSON. */
function beyond(value, type) {
  return new TypeError(`${value} is beyond the largest number of ${type}; an infinity can be sent as binary data`);
}

function whole(min, max) {
  return (value) => {
    if (!Number.isInteger(number(value)) || value < min || value > max) {
      throw new TypeError(`${value} is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** JSON numbers are exact only up to 2^53; beyond that a neighbour would be served without anyone noticing. */
function whole64(min) {
  return (value) => {
    if (!Number.isSafeInteger(number(value)) || value < min) {
      throw new TypeError(`${value} is not a whole number that JSON carries exactly; send it as binary data`);
    }
    return BigInt(value);
  };
}

function fromWhole64(value) {
  const plain = Number(value);
  if (!Number.isSafeInteger(plain)) throw new TypeError(`${value} is beyond 2^53, which JSON cannot carry exactly`);
  return plain;
}

function fromFloat(value) {
  if (!Number.isFinite(value)) throw new TypeError(`${value} has no form in JSON`);
  return value;
}

function describe(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : JSON.stringify(value);
}

const same = (value) => value;

/** name → { dtype: ONNX Runtime's name, Store: typed array, bytes: per element, read: from JSON, show: to JSON } */
const table = {
  BOOL: {
    dtype: 'bool',
    Store: Uint8Array,
    bytes: 1,
    read(value) {
      if (typeof value !== 'boolean') throw new TypeError(`${describe(value)} is neither true nor false`);
      return value ? 1 : 0;
    },
    show: (value) => value !== 0,
  },
  UINT8: { dtype: 'uint8', Store: Uint8Array, bytes: 1, read: whole(0, 0xff), show: same },
  UINT16: { dtype: 'uint16', Store: Uint16Array, bytes: 2, read: whole(0, 0xffff), show: same },
  UINT32: { dtype: 'uint32', Store: Uint32Array, bytes: 4, read: whole(0, 0xffffffff), show: same },
  UINT64: { dtype: 'uint64', Store: BigUint64Array, bytes: 8, read: whole64(0), show: fromWhole64 },
  INT8: { dtype: 'int8', Store: Int8Array, bytes: 1, read: whole(-0x80, 0x7f), show: same },
  INT16: { dtype: 'int16', Store: Int16Array, bytes: 2, read: whole(-0x8000, 0x7fff), show: same },
  INT32: { dtype: 'int32', Store: Int32Array, bytes: 4, read: whole(-0x80000000, 0x7fffffff), show: same },
  INT64: { dtype: 'int64', Store: BigInt64Array, bytes: 8, read: whole64(Number.MIN_SAFE_INTEGER), show: fromWhole64 },
  FP16: {
    dtype: 'float16',
    Store: Uint16Array,
    bytes: 2,
    read(value) {
      const half = numberToHalf(number(value));
      if ((half & 0x7fff) === 0x7c00 && Number.isFinite(value)) throw beyond(value, 'FP16');
      return half;
    },
    show: (value) => fromFloat(halfToNumber(value)),
  },
  FP32: {
    dtype: 'float32',
    Store: Float32Array,
    bytes: 4,
    read(value) {
      if (!Number.isFinite(Math.fround(number(value))) && Number.isFinite(value)) throw beyond(value, 'FP32');
      return value;
    },
    show: fromFloat,
  },
  FP64: { dtype: 'float64', Store: Float64Array, bytes: 8, read: number, show: fromFloat },
  BYTES: {
    dtype: 'string',
    Store: Array,
    bytes: 0,
    read(value) {
      if (typeof value !== 'string') throw new TypeError(`${describe(value)} is not a string`);
      return value;
    },
    show: same,
  },
};

const byDtype = new Map(Object.entries(table).map(([name, { dtype }]) => [dtype, name]));

/** The protocol's name of an ONNX Runtime element type. */
export function datatypeOf(dtype) {
  const name = byDtype.get(dtype);
  if (name === undefined) throw new Error(`no datatype of the Open Inference Protocol stands for ${dtype}`);
  return name;
}

export function datatype(name) {
  return table[name];
}

/**
 * Elements of a row-major tensor from its bytes, little-endian. Throws RangeError where they do not fit `count`.
 * @param {boolean} inPlace the bytes may be viewed where they lie, since nobody else uses their memory
 */
export function fromBytes(name, buffer, count, inPlace = false) {
  const type = table[name];
  if (type.bytes > 0) {
    if (buffer.length !== count * type.bytes) {
      throw new RangeError(
        `${count} elements of ${name} take ${count * type.bytes} bytes, and there are ${buffer.length}`,
      );
    }
    const aligned = inPlace && buffer.byteOffset % type.bytes === 0;
    const data = aligned
      ? new type.Store(buffer.buffer, buffer.byteOffset, count)
      : new type.Store(new Uint8Array(buffer).buffer);
    if (name === 'BOOL' && data.some((value) => value > 1)) throw new RangeError('BOOL elements are 0 or 1');
    return data;
  }
  const values = [];
  let at = 0;
  while (at < buffer.length && values.length < count) {
    if (at + 4 > buffer.length) throw new RangeError('the length of a BYTES element is cut off');
    const length = buffer.readUInt32LE(at);
    if (at + 4 + length > buffer.length) throw new RangeError('a BYTES element runs past the end of its tensor');
    values.push(textOf(buffer.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  if (values.length !== count || at !== buffer.length) {
    throw new RangeError(`the shape asks for ${count} BYTES elements, and the data does not hold exactly that many`);
  }
  return values;
}

/** A string of ONNX is UTF-8: other bytes would come to the model as other ones. @throws RangeError */
export function textOf(bytes) {
  if (!isUtf8(bytes)) throw new RangeError('a BYTES element is not UTF-8, which strings of ONNX are');
  return bytes.toString('utf8');
}

/** Bytes of a tensor's elements, little-endian, row-major. */
export function toBytes(name, data) {
  if (table[name].bytes > 0) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat(
    data.flatMap((value) => {
      const text = Buffer.from(value, 'utf8');
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      return [length, text];
    }),
  );
}
