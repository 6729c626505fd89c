import protobuf from 'protobufjs/minimal.js';
import { UserError } from '../errors.ts';
import { type Limits, limitError } from './limits.ts';
import { type Message, RawMessage } from './message.ts';
import { type CompiledField, compiledMessage, type MessageName } from './schema.ts';
import { decodeText } from './text.ts';

const varint = 0;
const lengthDelimited = 2;
const wireOf: Partial<Record<string, number>> = { int32: 0, int64: 0, float: 5, string: 2, bytes: 2 };

/**
 * Reads one message of kind `name` from `bytes`. Byte fields are views, unknown fields and typed tensor data stay as
 * encoded.
 * @throws UserError `model-malformed` where the bytes are no such message, `model-limit` where a limit is exceeded
 */
export function readMessage<N extends MessageName>(name: N, bytes: Uint8Array, limits: Limits): Message<N> {
  return new MessageReader(bytes, limits).read(name);
}

type Open = RawMessage & Record<string, unknown>;
type Counted = 'messages' | 'nodes' | 'tensors' | 'numbers' | 'strings';

class MessageReader {
  /** The source as a plain array: views of a Buffer would be Buffers, whose slice() does not copy. */
  readonly #bytes: Uint8Array;
  readonly #buffer: Buffer;
  readonly #reader: protobuf.Reader;
  readonly #limits: Limits;
  /** Fields around the place being read, outermost first, and which element of the field (-1: it is singular). */
  readonly #fields: CompiledField[] = [];
  readonly #indices: number[] = [];
  readonly #counts: Record<Counted, number> = { messages: 0, nodes: 0, tensors: 0, numbers: 0, strings: 0 };

  constructor(bytes: Uint8Array, limits: Limits) {
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#reader = new protobuf.Reader(this.#buffer);
    this.#limits = limits;
  }

  read<N extends MessageName>(name: N): Message<N> {
    const message = this.#open(name);
    try {
      this.#fill(message, this.#buffer.length, false);
    } catch (error) {
      if (error instanceof UserError) throw error;
      // protobufjs throws plain Error and RangeError for bytes that are no message.
      throw this.#broken(error as Error);
    }
    return message as unknown as Message<N>;
  }

  #open(name: MessageName): Open {
    this.#count('messages');
    if (name === 'NodeProto') this.#count('nodes');
    else if (name === 'TensorProto') this.#count('tensors');
    return new RawMessage(name) as Open;
  }

  /** @param merging the message has been read before, from another place */
  #fill(message: Open, end: number, merging: boolean): void {
    const reader = this.#reader;
    const { byId } = compiledMessage(message.$name);
    const outer = reader.len;
    const start = reader.pos;
    reader.len = end;
    while (reader.pos < end) {
      const at = reader.pos;
      const tag = reader.tag();
      const wire = tag & 7;
      const field = byId[tag >>> 3];
      if (field === undefined || !this.#readField(message, field, wire, at)) {
        reader.skipType(wire, 0, tag >>> 3);
        this.#keep(message, '$unknown', at);
      }
    }
    reader.len = outer;
    message.$end = end;
    // A message that came in two pieces has no one place; it is written from its fields.
    message.$source = merging ? undefined : this.#bytes;
    message.$start = start;
  }

  /** @returns false when the wire type is not the field's: protobuf treats such a field as unknown */
  #readField(message: Open, field: CompiledField, wire: number, at: number): boolean {
    const reader = this.#reader;
    if (field.message) {
      if (wire !== lengthDelimited) return false;
      this.#readChild(message, field, field.message);
      return true;
    }
    if (field.kind === 'encoded') {
      if (wire !== lengthDelimited && wire !== varint && wire !== 1 && wire !== 5) return false;
      reader.skipType(wire);
      this.#keep(message, field.name, at);
      return true;
    }
    if (wire !== wireOf[field.kind]) {
      if (!field.repeated || wire !== lengthDelimited) return false;
      this.#readPacked(message, field);
      return true;
    }
    const value = this.#scalar(field.kind);
    if (field.repeated) {
      this.#count(wire === lengthDelimited ? 'strings' : 'numbers');
      listOf(message, field.name).push(value);
    } else {
      if (field.oneof) dropAlternatives(message, field);
      message[field.name] = value;
    }
    return true;
  }

  #readChild(message: Open, field: CompiledField, kind: MessageName): void {
    const reader = this.#reader;
    const end = this.#length() + reader.pos;
    const list = field.repeated ? listOf(message, field.name) : undefined;
    this.#fields.push(field);
    this.#indices.push(list ? list.length : -1);
    if (this.#fields.length > this.#limits.nesting) throw limitError(this.#limits, 'nesting', this.#where());
    // A singular message that comes twice is merged, as protobuf demands.
    const earlier = list ? undefined : (message[field.name] as Open | undefined);
    const child = earlier ?? this.#open(kind);
    if (list) list.push(child);
    else {
      if (field.oneof) dropAlternatives(message, field);
      message[field.name] = child;
    }
    this.#fill(child, end, earlier !== undefined);
    this.#fields.pop();
    this.#indices.pop();
  }

  #readPacked(message: Open, field: CompiledField): void {
    const reader = this.#reader;
    const end = this.#length() + reader.pos;
    const outer = reader.len;
    const list = listOf(message, field.name);
    reader.len = end;
    while (reader.pos < end) {
      this.#count('numbers');
      list.push(this.#scalar(field.kind));
    }
    reader.len = outer;
  }

  #scalar(kind: string): unknown {
    const reader = this.#reader;
    switch (kind) {
      case 'int32':
        return reader.int32();
      case 'int64':
        return toBigInt(reader.int64());
      case 'float':
        return reader.float();
      default: {
        const length = this.#length();
        const from = reader.pos;
        reader.pos = from + length;
        if (kind === 'bytes') return this.#bytes.subarray(from, from + length);
        if (length > this.#limits.textBytes) {
          throw limitError(this.#limits, 'textBytes', `the text at byte ${from} of ${this.#where()}`, length);
        }
        return decodeText(this.#buffer, from, from + length);
      }
    }
  }

  /** A length prefix that fits into what encloses it. */
  #length(): number {
    const reader = this.#reader;
    const length = reader.size();
    const room = reader.len - reader.pos;
    if (length > room) {
      throw this.#broken(new RangeError(`${length} bytes are announced, ${room} are left`));
    }
    return length;
  }

  #broken(error: Error): UserError {
    const { pos, len } = this.#reader;
    const size = this.#buffer.length;
    const place = `in ${this.#where()}, at byte ${pos} of ${size}: ${error.message}`;
    // Something that reaches beyond the end of the file, and not only of what encloses it.
    const cut = error instanceof RangeError && len === size;
    return new UserError(
      cut ? 'model-truncated' : 'model-malformed',
      `The file ${cut ? 'ends too early' : 'is damaged or no ONNX model'} (${place}). Fetch or export it again.`,
      { cause: error },
    );
  }

  /** Keeps the field that began at `at` as encoded; neighbours are joined into one run. */
  #keep(message: Open, name: string, at: number): void {
    const runs = listOf(message, name) as Uint8Array[];
    const last = runs.at(-1);
    const { pos } = this.#reader;
    const base = this.#bytes.byteOffset;
    if (last && last.byteOffset + last.byteLength === base + at) {
      runs[runs.length - 1] = this.#bytes.subarray(last.byteOffset - base, pos);
      return;
    }
    if (runs.length >= this.#limits.runs) throw limitError(this.#limits, 'runs', this.#where());
    runs.push(this.#bytes.subarray(at, pos));
  }

  #count(what: Counted): void {
    if (++this.#counts[what] > this.#limits[what]) throw limitError(this.#limits, what, this.#where());
  }

  /** The place in the file, as `graph.node[3].attribute[0]`; deep places are shortened in the middle. */
  #where(): string {
    const steps = this.#fields.map(({ name }, depth) => {
      const index = this.#indices[depth] ?? -1;
      return index < 0 ? name : `${name}[${index}]`;
    });
    if (steps.length > 12) steps.splice(6, steps.length - 12, '…');
    return steps.length > 0 ? steps.join('.') : 'the model';
  }
}

function listOf(message: Open, name: string): unknown[] {
  const list = message[name] as unknown[] | undefined;
  if (list) return list;
  const made: unknown[] = [];
  message[name] = made;
  return made;
}

function dropAlternatives(message: Open, field: CompiledField): void {
  for (const other of field.alternatives) if (message[other] !== undefined) delete message[other];
}

function toBigInt(long: { readonly low: number; readonly high: number } | number): bigint {
  if (typeof long === 'number') return BigInt(long);
  const { low, high } = long;
  if (high === 0) return BigInt(low >>> 0);
  if (high === -1 && low < 0) return BigInt(low);
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}
