/** What producers compress their batches with and kafkajs does not read by itself: Snappy, LZ4, Zstandard. Nothing is compressed here. */

import zlib from 'node:zlib';

/** More than this does not come out of one batch: a broker takes a few megabytes of each, compressed. */
const mostBytes = 256 * 1024 * 1024;

/** kafkajs begins again after other errors, and would find the same. */
const final = (text) => Object.assign(new Error(text), { retriable: false });
const damaged = (what, why) => final(`a batch of the topic is no sound ${what}: ${why}`);

/** Bytes that come out one after the other, and may be copied again from before. */
class Output {
  #bytes;
  #length = 0;
  #what;

  constructor(what, expected) {
    this.#what = what;
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(expected, mostBytes));
  }

  #room(count) {
    const needed = this.#length + count;
    if (needed > mostBytes) throw damaged(this.#what, `more than ${mostBytes} bytes come out of it`);
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(mostBytes, Math.max(needed, 2 * this.#bytes.length)));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  add(bytes) {
    this.#room(bytes.length);
    bytes.copy(this.#bytes, this.#length);
    this.#length += bytes.length;
  }

  /** @param {number} offset back from the end; less than `count` where it repeats itself */
  again(offset, count) {
    if (offset === 0 || offset > this.#length) throw damaged(this.#what, 'it copies from before its beginning');
    this.#room(count);
    let from = this.#length - offset;
    for (let left = count; left > 0; ) {
      const part = Math.min(left, this.#length - from);
      this.#bytes.copy(this.#bytes, this.#length, from, from + part);
      this.#length += part;
      from += part;
      left -= part;
    }
  }

  get bytes() {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Reads on, never beyond the end. */
class Input {
  at = 0;

  constructor(what, bytes) {
    this.what = what;
    this.bytes = bytes;
  }

  get ended() {
    return this.at >= this.bytes.length;
  }

  take(count) {
    if (this.at + count > this.bytes.length) throw damaged(this.what, 'it is cut short');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** Little-endian. */
  number(count) {
    return this.take(count).readUIntLE(0, count);
  }
}

/** Java's framing (snappy-java), behind which lie blocks with their lengths; others send one block as it is. */
const snappyFrame = Buffer.from('\x82SNAPPY\0', 'latin1');

export function unsnappy(bytes) {
  if (!bytes.subarray(0, snappyFrame.length).equals(snappyFrame)) return snappyBlock(bytes);
  const input = new Input('Snappy', bytes);
  // Its version, and the oldest one that reads it.
  input.take(snappyFrame.length + 8);
  const blocks = [];
  while (!input.ended) blocks.push(snappyBlock(input.take(input.take(4).readUInt32BE())));
  return Buffer.concat(blocks);
}

/** github.com/google/snappy/blob/main/format_description.txt */
function snappyBlock(bytes) {
  const input = new Input('Snappy', bytes);
  let [length, byte, shift] = [0, 0x80, 0];
  for (; byte >= 0x80 && shift <= 28; shift += 7) {
    byte = input.number(1);
    length += (byte & 0x7f) * 2 ** shift;
  }
  const output = new Output('Snappy', length);
  while (!input.ended) {
    const tag = input.number(1);
    const upper = tag >> 2;
    const kind = tag & 3;
    if (kind === 0) output.add(input.take(upper < 60 ? upper + 1 : input.number(upper - 59) + 1));
    else if (kind === 1) output.again(((tag >> 5) << 8) | input.number(1), (upper & 7) + 4);
    else output.again(input.number(kind === 2 ? 2 : 4), upper + 1);
  }
  if (output.bytes.length !== length) throw damaged('Snappy', 'another length comes out of it than it says');
  return output.bytes;
}

/** github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md; its checksums are passed over, since the batch has one of its own. */
export function unlz4(bytes) {
  const input = new Input('LZ4', bytes);
  if (input.number(4) !== 0x184d2204) throw damaged('LZ4', 'it does not begin as one');
  const flags = input.number(1);
  const has = (bit) => (flags & (1 << bit)) !== 0;
  // Largest block, length of the content, number of a dictionary, checksum of this head.
  input.take(1 + (has(3) ? 8 : 0) + (has(0) ? 4 : 0) + 1);
  const output = new Output('LZ4', 4 * bytes.length);
  for (;;) {
    const size = input.number(4);
    if (size === 0) return output.bytes;
    const block = input.take(size % 2 ** 31);
    if (size >= 2 ** 31) output.add(block);
    else lz4Block(new Input('LZ4', block), output);
    if (has(4)) input.take(4);
  }
}

/** github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function lz4Block(input, output) {
  /** A length of 15 goes on in the next bytes, until one is less than 255. */
  const whole = (length) => {
    let sum = length;
    for (let byte = length === 15 ? 255 : 0; byte === 255; sum += byte) byte = input.number(1);
    return sum;
  };
  while (!input.ended) {
    const token = input.number(1);
    output.add(input.take(whole(token >> 4)));
    // The last one has nothing behind its bytes.
    if (input.ended) return;
    const offset = input.number(2);
    output.again(offset, whole(token & 15) + 4);
  }
}

export function unzstd(bytes) {
  if (zlib.zstdDecompressSync === undefined)
    throw final(
      `the topic is compressed with Zstandard, which Node.js reads from 22.15 on, and this is ${process.versions.node}: take a newer one, or Confluent's client (README.md)`,
    );
  try {
    return zlib.zstdDecompressSync(bytes, { maxOutputLength: mostBytes });
  } catch (error) {
    throw damaged('Zstandard', error.message);
  }
}
