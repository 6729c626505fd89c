/** Compressed bodies: requests as clients send them, answers as clients ask for them. */

import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { RequestError } from './errors.mjs';

/**
 * The fastest level of each: measured on answers of 10 to 100,000 numbers, the next ones take 2 to 4 times as long for 2 to 6 %
 * fewer bytes. zstd: where Node has it (22.15 and newer).
 */
const encodings = {
  br: {
    compress: (bytes) => brotli(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
    decompress: promisify(zlib.brotliDecompress),
  },
  ...(zlib.zstdCompress === undefined
    ? {}
    : { zstd: { compress: promisify(zlib.zstdCompress), decompress: promisify(zlib.zstdDecompress) } }),
  gzip: { compress: (bytes) => gzip(bytes, { level: 1 }), decompress: promisify(zlib.gunzip) },
  // Triton's Python client offers this and gzip. As RFC 9110 has it, in the zlib format.
  deflate: { compress: (bytes) => deflate(bytes, { level: 1 }), decompress: promisify(zlib.inflate) },
};
const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);
const deflate = promisify(zlib.deflate);

export const encodingNames = Object.keys(encodings);

/** The encoding a client likes best; among equals the one that takes the least time. Undefined: as it is. */
export function chooseEncoding(header) {
  if (header === undefined) return undefined;
  const wishes = new Map();
  for (const part of header.slice(0, 1000).split(',')) {
    const [name, ...parameters] = part
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    const quality = parameters.map((one) => one.match(/^q=([\d.]+)$/)?.[1]).find((one) => one !== undefined);
    wishes.set(name, quality === undefined ? 1 : Number(quality));
  }
  const liking = (name) => wishes.get(name) ?? wishes.get('*') ?? 0;
  const best = Math.max(...encodingNames.map(liking));
  return best > 0 ? encodingNames.find((name) => liking(name) === best) : undefined;
}

export function compress(encoding, bytes) {
  return encodings[encoding].compress(bytes);
}

/** The encoding of a request's body; undefined: none. @throws RequestError 415 */
export function requestEncoding(header) {
  if (header === undefined || header === '' || header === 'identity') return undefined;
  const name = header.toLowerCase().replace(/^x-/, '');
  if (Object.hasOwn(encodings, name)) return name;
  const known = encodingNames.join(', ');
  throw new RequestError(`content encoding "${header.slice(0, 40)}" is not supported; there are ${known}`, 415);
}

/**
 * Few bytes may stand for very many. No more than `limit` come out of one body, and no more bodies are decompressed at once
 * than `room` bytes hold at that limit; the others wait, compressed.
 */
export class Decompressor {
  #limit;
  #free;
  #waiting = [];

  /** @param {{ limit: number, room: number }} sizes bytes */
  constructor({ limit, room }) {
    this.#limit = limit;
    this.#free = Math.max(1, Math.floor(room / limit));
  }

  /** @throws RequestError 413 where more comes out than is allowed, 400 where it is not what it says */
  async run(encoding, bytes) {
    if (this.#free === 0) await new Promise((resolve) => this.#waiting.push(resolve));
    else this.#free--;
    try {
      return await encodings[encoding].decompress(bytes, { maxOutputLength: this.#limit });
    } catch (error) {
      if (error.code === 'ERR_BUFFER_TOO_LARGE') {
        throw new RequestError(`the body is larger than ${this.#limit} bytes once decompressed`, 413);
      }
      throw new RequestError(`the body is not valid ${encoding}`);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
