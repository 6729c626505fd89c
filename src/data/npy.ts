import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { type DType, dtypeBits } from '../ir/dtype.ts';
import { elementCount, stringTensor, type Tensor, tensorFromBytes } from '../ir/tensor.ts';
import type { Rows } from './rows.ts';

/**
 * NumPy array files, format versions 1.0 to 3.0 (numpy.lib.format): read by rows (first axis), so that a file larger
 * than memory can be streamed.
 */
export type Npy = Rows;

/** As much of a file handle as reading takes; a block of memory has it too. */
interface Handle {
  read(target: Uint8Array, at: number, length: number, position: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

interface Header {
  readonly dtype: DType;
  /** Bytes of one element in the file. */
  readonly width: number;
  readonly bigEndian: boolean;
  readonly text: 'bytes' | 'utf32' | undefined;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Where the data starts in the file. */
  readonly offset: number;
}

const maxHeader = 1 << 20;
const readAheadBytes = 1 << 20;

/** @throws UserError when it is no .npy file, of a type that is no tensor (objects, records), or cut short. */
export async function openNpy(path: string): Promise<Npy> {
  const file = openFile(path);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw new UserError('npy-open', `Cannot read ${path}: it is no regular file.`);
    return await openHandle(path, atOnce(file), found.size);
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/**
 * Reads at once, not in Node's pool: a turn through it beside the runtime's threads, which spin between inferences, took this thread 20 ms for a
 * megabyte that the system had in memory, and nothing else is to be done meanwhile.
 */
function atOnce(file: number): Handle {
  let open = true;
  return {
    async read(target, at, length, position) {
      return { bytesRead: readSync(file, target, at, length, position) };
    },
    async close() {
      if (open) closeSync(file);
      open = false;
    },
  };
}

/** The same for a file that is in memory, as one out of an archive is. @param path what messages call it */
export function npyFromBytes(path: string, bytes: Uint8Array): Promise<Npy> {
  const handle: Handle = {
    read(target, at, length, position) {
      const part = bytes.subarray(position, position + length);
      target.set(part, at);
      return Promise.resolve({ bytesRead: part.length });
    },
    close: () => Promise.resolve(),
  };
  return openHandle(path, handle, bytes.length);
}

async function openHandle(path: string, file: Handle, size: number): Promise<Npy> {
  const header = await readHeader(file, path);
  const expected = header.offset + elementCount(header.shape) * header.width;
  if (size < expected) {
    throw new UserError(
      'npy-truncated',
      `${path} is cut short: its header promises ${expected} bytes, the file has ${size}.`,
    );
  }
  return new NpyFile(path, file, header);
}

function openFile(path: string): number {
  try {
    // A pipe would be waited for until somebody writes to it.
    return openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be opened (${code})`;
    throw new UserError('npy-open', `Cannot read ${path}: ${why}.`, { cause: error });
  }
}

class NpyFile implements Npy {
  readonly path: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #file: Handle;
  readonly #header: Header;
  /** The rows read last, and the row behind the last one that was asked for. */
  #block: { readonly first: number; readonly count: number; readonly bytes: Uint8Array } = {
    first: 0,
    count: 0,
    bytes: new Uint8Array(0),
  };
  #next = 0;

  constructor(path: string, file: Handle, header: Header) {
    this.path = path;
    this.dtype = header.dtype;
    this.shape = header.shape;
    this.#file = file;
    this.#header = header;
  }

  async rows(first: number, count: number): Promise<Tensor> {
    const { shape, width, bigEndian, text } = this.#header;
    const total = shape[0] ?? 1;
    if (first < 0 || count < 0 || first + count > total) {
      const last = first + count - 1;
      throw new UserError('npy-rows', `${this.path} has ${total} rows; rows ${first} to ${last} were asked for.`);
    }
    const bytes = await this.#buffered(first, count);
    const rowShape = shape.length === 0 ? [] : [count, ...shape.slice(1)];
    if (text) return stringTensor(rowShape, splitText(this.path, bytes, width, text, bigEndian));
    return tensorFromBytes(this.dtype, rowShape, bytes);
  }

  /** Small reads one behind the other are served from a block read ahead. */
  async #buffered(first: number, count: number): Promise<Uint8Array> {
    const { shape, width } = this.#header;
    const rowBytes = elementCount(shape.slice(1)) * width;
    const sequential = first === this.#next;
    this.#next = first + count;
    if (first < this.#block.first || first + count > this.#block.first + this.#block.count) {
      const ahead = sequential ? Math.floor(readAheadBytes / Math.max(rowBytes, 1)) : 0;
      const rows = Math.min((shape[0] ?? 1) - first, Math.max(count, ahead));
      this.#block = { first, count: rows, bytes: await this.#load(first, rows, rowBytes) };
    }
    const start = (first - this.#block.first) * rowBytes;
    return this.#block.bytes.subarray(start, start + count * rowBytes);
  }

  /** Row-major and, apart from text, little-endian. */
  async #load(first: number, count: number, rowBytes: number): Promise<Uint8Array> {
    const { shape, fortran, bigEndian, text } = this.#header;
    const columns = fortran && shape.length > 1;
    const bytes = columns
      ? await this.#fortranRows(first, count)
      : await this.#read(first * rowBytes, count * rowBytes);
    if (bigEndian && !text) swapBytes(bytes, dtypeBits(this.dtype) / 8);
    return bytes;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /**
   * Column-major files keep the rows of one column together: element (i, j₁, j₂, …) stands at i + N·(j₁ + d₁·(j₂ + …)).
   * One read per column, so memory stays bounded by the rows asked for.
   */
  async #fortranRows(first: number, count: number): Promise<Uint8Array> {
    const { shape, width } = this.#header;
    const inner = elementCount(shape.slice(1));
    const total = shape[0] ?? 1;
    const rest = shape.slice(1);
    const rows = new Uint8Array(count * inner * width);
    const index = rest.map(() => 0);
    for (let column = 0; column < inner; column++) {
      const part = await this.#read((first + column * total) * width, count * width);
      // `index` counts with its first axis fastest; the row-major place has its last axis fastest.
      let place = 0;
      for (const [axis, extent] of rest.entries()) place = place * extent + (index[axis] ?? 0);
      for (let row = 0; row < count; row++) {
        rows.set(part.subarray(row * width, (row + 1) * width), (row * inner + place) * width);
      }
      for (let axis = 0; axis < rest.length; axis++) {
        const next = (index[axis] ?? 0) + 1;
        index[axis] = next < (rest[axis] ?? 1) ? next : 0;
        if (index[axis] !== 0) break;
      }
    }
    return rows;
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, this.#header.offset + offset + done);
      if (bytesRead === 0)
        throw new UserError('npy-truncated', `${this.path} ended while it was read; was it changed meanwhile?`);
      done += bytesRead;
    }
    return bytes;
  }
}

async function readHeader(file: Handle, path: string): Promise<Header> {
  const prefix = new Uint8Array(12);
  const { bytesRead } = await file.read(prefix, 0, 12, 0);
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytesRead < 10 || magic.some((byte, at) => prefix[at] !== byte)) {
    throw new UserError('npy-magic', `${path} is no NumPy .npy file (it does not start with \\x93NUMPY).`);
  }
  const view = new DataView(prefix.buffer);
  const major = prefix[6] ?? 0;
  if (major < 1 || major > 3)
    throw new UserError('npy-version', `${path} is of .npy format version ${major}; versions 1 to 3 can be read.`);
  const start = major === 1 ? 10 : 12;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > maxHeader)
    throw new UserError('npy-header', `${path} has a header of ${length} bytes; at most ${maxHeader} are read.`);
  const bytes = new Uint8Array(length);
  const read = await file.read(bytes, 0, length, start);
  if (read.bytesRead < length) throw new UserError('npy-truncated', `${path} is cut short inside its header.`);
  const text = new TextDecoder(major === 3 ? 'utf-8' : 'latin1').decode(bytes);
  return { ...parseHeader(text, path), offset: start + length };
}

/** The header is a Python dict literal: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. */
function parseHeader(text: string, path: string): Omit<Header, 'offset'> {
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const dims = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1];
  if (descr === undefined && /'descr':\s*\[/.test(text)) {
    throw new UserError('npy-dtype', `${path} holds records (a structured dtype); save one plain array per file.`);
  }
  if (descr === undefined || order === undefined || dims === undefined) {
    throw new UserError(
      'npy-header',
      `${path} has a .npy header that cannot be understood: ${text.trim().slice(0, 120)}`,
    );
  }
  const shape = dims
    .split(',')
    .map((dim) => dim.trim())
    .filter((dim) => dim !== '')
    .map((dim) => Number(dim.replace(/L$/, '')));
  if (shape.some((dim) => !Number.isSafeInteger(dim) || dim < 0) || !Number.isSafeInteger(elementCount(shape))) {
    throw new UserError('npy-header', `${path} has an impossible shape (${dims}).`);
  }
  return { ...parseDescr(descr, path), fortran: order === 'True', shape };
}

const numeric: Readonly<Record<string, DType>> = {
  b1: 'bool',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  u2: 'uint16',
  u4: 'uint32',
  u8: 'uint64',
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
};

function parseDescr(descr: string, path: string): Pick<Header, 'dtype' | 'width' | 'bigEndian' | 'text'> {
  const bigEndian = descr.startsWith('>');
  const code = descr.replace(/^[<>|=]/, '').replace(/^\?$/, 'b1');
  const dtype = numeric[code];
  if (dtype) return { dtype, width: dtypeBits(dtype) / 8, bigEndian, text: undefined };
  const size = /^([SaU])([1-9]\d*)$/.exec(code);
  if (size) {
    const utf32 = size[1] === 'U';
    return { dtype: 'string', width: Number(size[2]) * (utf32 ? 4 : 1), bigEndian, text: utf32 ? 'utf32' : 'bytes' };
  }
  const hint = code.startsWith('O') ? ' (pickled Python objects are never read)' : '';
  throw new UserError(
    'npy-dtype',
    `${path} is of NumPy type "${descr}"${hint}; numbers, booleans and strings can be read.`,
  );
}

function swapBytes(bytes: Uint8Array, width: number): void {
  if (width === 1) return;
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/** Fixed-width strings, zero-padded. */
function splitText(
  path: string,
  bytes: Uint8Array,
  width: number,
  kind: 'bytes' | 'utf32',
  bigEndian: boolean,
): Uint8Array[] {
  const utf8 = new TextEncoder();
  const texts: Uint8Array[] = [];
  for (let at = 0; at + width <= bytes.length; at += width) {
    const element = bytes.subarray(at, at + width);
    if (kind === 'bytes') {
      texts.push(element.subarray(0, element.findLastIndex((byte) => byte !== 0) + 1));
      continue;
    }
    const view = new DataView(element.buffer, element.byteOffset, width);
    let end = width;
    while (end > 0 && view.getUint32(end - 4) === 0) end -= 4;
    let decoded = '';
    for (let offset = 0; offset < end; offset += 4) {
      const point = view.getUint32(offset, !bigEndian);
      if (point > 0x10ffff)
        throw new UserError(
          'npy-text',
          `${path} holds ${point} where a Unicode character belongs; the file is damaged.`,
        );
      decoded += String.fromCodePoint(point);
    }
    texts.push(utf8.encode(decoded));
  }
  return texts;
}
