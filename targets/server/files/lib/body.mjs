/** Request bodies, read into one piece of memory that tensors may be views of. Whoever answers gives it back (inference.mjs). */

import { requestEncoding } from './encoding.mjs';
import { RequestError } from './errors.mjs';

/** Where the first binary tensor must lie for any element type to be read in place. */
const alignment = 8;

/** Bytes to leave free before a body, such that what follows its JSON part is aligned. */
export function bodyPadding(headers) {
  const json = Number(headers['inference-header-content-length'] ?? 0);
  return Number.isSafeInteger(json) && json > 0 ? (alignment - (json % alignment)) % alignment : 0;
}

/**
 * Fastify's content type parser for every type. The memory is allocated by the declared length (nobody pays for it before
 * bytes come), so that nothing is joined afterwards, and such that what follows the JSON part is aligned.
 * @param {number} limit bytes, also of what a compressed body stands for @param buffers Buffers
 * @param {{ decompressor: Decompressor, grown: (request, bytes: number) => void, discarded: (bytes: number) => void }} counters
 *   grown: counts what came out of a compressed body. discarded: counts what is garbage
 */
export function bodyParser(limit, buffers, { decompressor, grown, discarded }) {
  return (request, stream, done) => {
    const declared = request.headers['content-length'];
    const tooLarge = () => new RequestError(`the body is larger than ${limit} bytes`, 413);
    if (declared !== undefined && Number(declared) > limit) return done(tooLarge());
    let encoding;
    try {
      encoding = requestEncoding(request.headers['content-encoding']);
    } catch (error) {
      return done(error);
    }
    const pad = bodyPadding(request.headers);
    const body = declared === undefined ? new Growing(limit) : new Fixed(buffers, Number(declared), pad);
    stream.on('data', (chunk) => {
      if (body.add(chunk)) return discarded(chunk.length);
      stream.removeAllListeners('data').resume();
      done(tooLarge());
    });
    stream.on('end', () => {
      if (encoding === undefined) return done(null, body.bytes());
      const compressed = body.bytes();
      const settle = (bytes) => {
        grown(request, bytes.length - compressed.length);
        return aligned(bytes, pad, buffers);
      };
      decompressor
        .run(encoding, compressed)
        .then(settle)
        .then((bytes) => done(null, bytes), done);
    });
    stream.on('error', () => done(new RequestError('the body did not come in full', 400, { reason: 'CANCELED' })));
  };
}

/** The same bytes in memory where what follows the JSON part is aligned. */
function aligned(bytes, pad, buffers) {
  const whole = Buffer.from(buffers.take(bytes.length + pad), pad, bytes.length);
  bytes.copy(whole);
  return whole;
}

/** A body of declared length. */
export class Fixed {
  #buffers;
  #bytes;
  #at = 0;

  constructor(buffers, length, pad) {
    this.#buffers = buffers;
    this.#bytes = Buffer.from(buffers.take(length + pad), pad, length);
  }

  add(chunk) {
    if (this.#at + chunk.length > this.#bytes.length) return false;
    chunk.copy(this.#bytes, this.#at);
    this.#at += chunk.length;
    return true;
  }

  /** Where the next bytes may be read to. */
  room() {
    return this.#bytes.subarray(this.#at);
  }

  /** So many bytes were. */
  filled(count) {
    this.#at += count;
  }

  bytes() {
    return this.#bytes.subarray(0, this.#at);
  }

  give() {
    this.#buffers.give(this.#bytes.buffer);
  }
}

/** A body of unknown length (chunked): joined at the end. */
class Growing {
  #chunks = [];
  #length = 0;

  constructor(limit) {
    this.limit = limit;
  }

  add(chunk) {
    this.#length += chunk.length;
    if (this.#length > this.limit) return false;
    this.#chunks.push(chunk);
    return true;
  }

  bytes() {
    const whole = Buffer.allocUnsafeSlow(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) at += chunk.copy(whole, at);
    return whole;
  }
}
