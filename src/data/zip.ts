import { inflateRawSync } from 'node:zlib';
import { UserError } from '../errors.ts';

export interface ZipEntry {
  readonly name: string;
  /** Size when unpacked. */
  readonly size: number;
  /** @throws UserError when what comes out is not what the directory promised */
  read(): Uint8Array;
}

/** An array of more bytes could not be held in one typed array anyway. */
const mostBytes = 2 ** 32;

/**
 * The files of a zip archive (.npz), by its central directory. Stored and deflated entries, zip64 included; sizes are held against the
 * directory, and nothing is unpacked beyond them.
 * @throws UserError when it is no sound archive
 */
export function readZip(bytes: Uint8Array, path: string): ZipEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const damaged = (why: string): UserError => new UserError('zip-format', `${path} is no sound zip archive: ${why}.`);
  try {
    return [...directory(bytes, view, path, damaged)];
  } catch (error) {
    if (error instanceof RangeError) throw damaged('it is cut short');
    throw error;
  }
}

function* directory(
  bytes: Uint8Array,
  view: DataView,
  path: string,
  damaged: (why: string) => UserError,
): Generator<ZipEntry> {
  let end = bytes.length - 22;
  while (end >= 0 && end > bytes.length - 22 - 65536 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) throw damaged('it has no directory at its end');
  let count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count === 0xffff || at === 0xffffffff) {
    // Zip64: a locator stands before, and names the place of the large directory.
    const large = Number(view.getBigUint64(end - 20 + 8, true));
    if (view.getUint32(large, true) !== 0x06064b50) throw damaged('its zip64 directory is missing');
    count = Number(view.getBigUint64(large + 32, true));
    at = Number(view.getBigUint64(large + 48, true));
  }
  const utf8 = new TextDecoder();
  for (let entry = 0; entry < count; entry++) {
    if (view.getUint32(at, true) !== 0x02014b50) throw damaged('its directory is damaged');
    const method = view.getUint16(at + 10, true);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((place) => view.getUint16(at + place, true)) as [
      number,
      number,
      number,
    ];
    const name = utf8.decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const sizes = {
      size: view.getUint32(at + 24, true),
      packed: view.getUint32(at + 20, true),
      offset: view.getUint32(at + 42, true),
    };
    widen(view, at + 46 + nameLength, extraLength, sizes);
    const { size, packed, offset } = sizes;
    if (size > mostBytes) throw damaged(`"${name}" would unpack to ${size} bytes; at most ${mostBytes} are read`);
    yield {
      name,
      size,
      read() {
        if (offset + 30 > bytes.length || view.getUint32(offset, true) !== 0x04034b50)
          throw damaged(`"${name}" is not where the directory says`);
        const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
        const data = bytes.subarray(start, start + packed);
        return unpack(data, { name, size, packed, method, path });
      },
    };
    at += 46 + nameLength + extraLength + commentLength;
  }
}

/** Sizes of 4 GB and more stand in an extra field, those that are needed, in this order. */
function widen(
  view: DataView,
  start: number,
  length: number,
  sizes: { size: number; packed: number; offset: number },
): void {
  for (let at = start; at + 4 <= start + length; ) {
    const id = view.getUint16(at, true);
    const bytes = view.getUint16(at + 2, true);
    if (id === 1) {
      let place = at + 4;
      for (const key of ['size', 'packed', 'offset'] as const) {
        if (sizes[key] !== 0xffffffff) continue;
        sizes[key] = Number(view.getBigUint64(place, true));
        place += 8;
      }
    }
    at += 4 + bytes;
  }
}

function unpack(
  data: Uint8Array,
  { name, size, packed, method, path }: { name: string; size: number; packed: number; method: number; path: string },
): Uint8Array {
  const wrong = (why: string): UserError => new UserError('zip-format', `${path}: "${name}" ${why}.`);
  if (data.length !== packed) throw wrong('is cut short');
  if (method === 0) {
    if (size !== packed) throw wrong('has two different sizes');
    return data.slice();
  }
  if (method !== 8) throw wrong(`is packed by method ${method}; stored and deflated files can be read`);
  let result: Uint8Array;
  try {
    result = inflateRawSync(data, { maxOutputLength: size + 1 });
  } catch (error) {
    throw wrong(`cannot be unpacked to the ${size} bytes that the directory promises (${(error as Error).message})`);
  }
  if (result.length !== size) throw wrong(`unpacks to ${result.length} bytes instead of ${size}`);
  return result;
}
