import { bug } from '../errors.ts';
import type { RawMessage } from './message.ts';
import { type Bytes, type CompiledField, compiledMessage, type Payload } from './schema.ts';
import { encodeText, textSize } from './text.ts';

/** An encoded message: small fields gathered in buffers, large data as views of where it lies or as pieces to come. */
export interface Encoded {
  readonly byteLength: number;
  readonly parts: readonly Bytes[];
}

/** Data from this size on is not copied into a buffer but passed on as a view. */
const viewThreshold = 4096;
const bufferSize = 65536;

/**
 * Encodes a message without copying its large data. A message still known by its place in the source is given back as
 * those bytes. Everything else is written in ascending field order, numbers unpacked, unknown fields last.
 */
export function writeMessage(message: RawMessage): Encoded {
  const sizes: number[] = [];
  const byteLength = measure(message, sizes);
  const sink = new Sink(sizes);
  emitMessage(message, sink);
  return { byteLength, parts: sink.finish() };
}

/**
 * The bytes piece by piece, none larger than `pieceSize`, for writing to a file.
 * @throws BugError when a payload delivers another size than it announced: the file would be unreadable
 */
export function* pieces(encoded: Encoded, pieceSize = 8 * 1024 * 1024): Generator<Uint8Array> {
  for (const part of encoded.parts) {
    for (const chunk of part instanceof Uint8Array ? [part] : checked(part)) {
      for (let at = 0; at < chunk.byteLength; at += pieceSize) yield chunk.subarray(at, at + pieceSize);
    }
  }
}

/** The payload's pieces, their sum checked. */
export function* checked(payload: Payload): Generator<Uint8Array> {
  let total = 0;
  for (const chunk of payload.chunks()) {
    total += chunk.byteLength;
    if (total > payload.byteLength) break;
    yield chunk;
  }
  if (total !== payload.byteLength) {
    bug(`${payload.label} delivers ${total} bytes, announced were ${payload.byteLength}`);
  }
}

/**
 * All of it in one array; where it is one view already, that view.
 * @param memory where the array is to lie, of `byteLength` or more; default memory of its own
 */
export function joined(encoded: Encoded, memory?: (bytes: number) => Uint8Array): Uint8Array {
  const [only] = encoded.parts;
  if (encoded.parts.length === 1 && only instanceof Uint8Array) return only;
  const all = memory?.(encoded.byteLength).subarray(0, encoded.byteLength) ?? new Uint8Array(encoded.byteLength);
  let at = 0;
  for (const piece of pieces(encoded)) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  if (at !== all.byteLength) bug(`encoded ${at} bytes, measured ${all.byteLength}`);
  return all;
}

/** Size of the message. `sizes` gets that of every message written field by field, in the order of writing. */
function measure(message: RawMessage, sizes: number[]): number {
  if (message.$source) return message.$end - message.$start;
  const slot = sizes.push(0) - 1;
  let size = 0;
  for (const field of compiledMessage(message.$name).ordered) {
    const value = valueOf(message, field);
    if (value === undefined) continue;
    const tag = varintSize(field.id * 8);
    if (!field.repeated) size += tag + sizeOf(field, value, sizes);
    else if (field.kind === 'encoded') for (const run of value as Uint8Array[]) size += run.byteLength;
    else for (const item of value as unknown[]) size += tag + sizeOf(field, item, sizes);
  }
  for (const run of message.$unknown ?? []) size += run.byteLength;
  sizes[slot] = size;
  return size;
}

/** @param id of the field that holds the message; undefined for the outermost, which has no tag */
function emitMessage(message: RawMessage, sink: Sink, id?: number): void {
  const size = message.$source ? message.$end - message.$start : sink.nextSize();
  if (id !== undefined) {
    sink.varint(id * 8 + 2);
    sink.varint(size);
  }
  if (message.$source) {
    sink.bytes(message.$source.subarray(message.$start, message.$end));
    return;
  }
  for (const field of compiledMessage(message.$name).ordered) {
    const value = valueOf(message, field);
    if (value === undefined) continue;
    if (!field.repeated) emitField(field, value, sink);
    else if (field.kind === 'encoded') for (const run of value as Uint8Array[]) sink.bytes(run);
    else for (const item of value as unknown[]) emitField(field, item, sink);
  }
  for (const run of message.$unknown ?? []) sink.bytes(run);
}

function valueOf(message: RawMessage, field: CompiledField): unknown {
  return (message as unknown as Record<string, unknown>)[field.name];
}

function sizeOf(field: CompiledField, value: unknown, sizes: number[]): number {
  if (field.message) return prefixed(measure(value as RawMessage, sizes));
  switch (field.kind) {
    case 'int32':
    case 'int64':
      return int64Size(BigInt(value as number | bigint));
    case 'float':
      return 4;
    case 'string':
      return prefixed(textSize(value as string));
    default:
      return prefixed((value as Bytes).byteLength);
  }
}

function emitField(field: CompiledField, value: unknown, sink: Sink): void {
  if (field.message) {
    emitMessage(value as RawMessage, sink, field.id);
    return;
  }
  switch (field.kind) {
    case 'int32':
    case 'int64':
      sink.varint(field.id * 8);
      sink.int64(BigInt(value as number | bigint));
      return;
    case 'float':
      sink.varint(field.id * 8 + 5);
      sink.float(value as number);
      return;
    default: {
      const bytes = field.kind === 'string' ? encodeText(value as string) : (value as Bytes);
      sink.varint(field.id * 8 + 2);
      sink.varint(bytes.byteLength);
      if (bytes instanceof Uint8Array) sink.bytes(bytes);
      else sink.payload(bytes);
    }
  }
}

function prefixed(length: number): number {
  return varintSize(length) + length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

function int64Size(value: bigint): number {
  if (value < 0n) return 10;
  return value <= Number.MAX_SAFE_INTEGER ? varintSize(Number(value)) : value < 1n << 56n ? 8 : 9;
}

/** Gathers parts. Lengths may pass 2^32, so varints are written by arithmetic, not by bit operations. */
class Sink {
  readonly #parts: Bytes[] = [];
  #buffer = new Uint8Array(bufferSize);
  #start = 0;
  #at = 0;
  readonly #sizes: readonly number[];
  #measured = 0;

  constructor(sizes: readonly number[]) {
    this.#sizes = sizes;
  }
  /** Size of the next message that is written field by field. */
  nextSize(): number {
    return this.#sizes[this.#measured++] ?? bug('a message was written that was not measured');
  }

  varint(value: number): void {
    this.#room(10);
    let rest = value;
    while (rest >= 128) {
      this.#buffer[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#at++] = rest;
  }
  int64(value: bigint): void {
    if (value >= 0n && value <= Number.MAX_SAFE_INTEGER) {
      this.varint(Number(value));
      return;
    }
    this.#room(10);
    let rest = BigInt.asUintN(64, value);
    while (rest >= 128n) {
      this.#buffer[this.#at++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#buffer[this.#at++] = Number(rest);
  }
  float(value: number): void {
    this.#room(4);
    new DataView(this.#buffer.buffer).setFloat32(this.#at, value, true);
    this.#at += 4;
  }
  bytes(data: Uint8Array): void {
    if (data.byteLength === 0) return;
    if (data.byteLength >= viewThreshold) {
      this.#flush();
      this.#parts.push(data);
      return;
    }
    this.#room(data.byteLength);
    this.#buffer.set(data, this.#at);
    this.#at += data.byteLength;
  }
  payload(payload: Payload): void {
    if (payload.byteLength === 0) return;
    this.#flush();
    this.#parts.push(payload);
  }
  finish(): Bytes[] {
    this.#flush();
    return this.#parts;
  }

  #room(size: number): void {
    if (this.#at + size <= this.#buffer.length) return;
    this.#flush();
    this.#buffer = new Uint8Array(bufferSize);
    this.#start = 0;
    this.#at = 0;
  }
  #flush(): void {
    if (this.#at > this.#start) this.#parts.push(this.#buffer.subarray(this.#start, this.#at));
    this.#start = this.#at;
  }
}
