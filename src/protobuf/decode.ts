import protobuf from 'protobufjs/minimal.js';
import { bug, UserError } from '../errors.ts';
import type { FieldSpec, Fields, Kind, Messages } from './schema.ts';

const wires = { int32: 0, int64: 0, uint64: 0, bool: 0, double: 1, string: 2, bytes: 2, float: 5 } as const;
/** Values of Core ML nest a dozen messages deep; what nests deeper was made to exhaust the stack. */
const maxDepth = 100;

type Open = Record<string, unknown>;

/**
 * Reads a message strictly: a field that the schema does not have, or of another wire type, is an error, so that what is read is all there is.
 * Absent lists and maps are empty, absent single fields undefined.
 * @throws UserError `protobuf-malformed`
 */
export function decodeMessage(messages: Messages, name: string, bytes: Uint8Array): Fields {
  const reader = protobuf.Reader.create(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  try {
    return read(messages, name, reader, reader.len, 0);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // protobufjs throws plain Error and RangeError for bytes that are no message.
    throw wrong(`it is no message ${name} (${(error as Error).message})`, error);
  }
}

function wrong(why: string, cause?: unknown): UserError {
  return new UserError('protobuf-malformed', `The protobuf data is not valid: ${why}.`, { cause });
}

function read(messages: Messages, name: string, reader: protobuf.Reader, end: number, depth: number): Open {
  if (depth > maxDepth) throw wrong(`messages nest deeper than ${maxDepth}`);
  if (end > reader.len) throw wrong(`a message ${name} ends behind the data`);
  const specs = messages[name] ?? bug(`there is no message ${name}`);
  const open: Open = {};
  for (const { name: key, mode } of specs) if (mode !== 'one') open[key] = mode === 'many' ? [] : {};
  while (reader.pos < end) {
    const tag = reader.uint32();
    const spec = specs.find(({ id }) => id === tag >>> 3);
    if (!spec) throw wrong(`message ${name} has a field ${tag >>> 3}, which the schema does not have`);
    readField({ messages, name, reader, depth }, spec, tag & 7, open);
  }
  if (reader.pos !== end) throw wrong(`a field of ${name} ends behind the message`);
  return open;
}

interface Place {
  readonly messages: Messages;
  readonly name: string;
  readonly reader: protobuf.Reader;
  readonly depth: number;
}

function readField(place: Place, spec: FieldSpec, wire: number, open: Open): void {
  const { messages, name, reader, depth } = place;
  const { kind, mode } = spec;
  if (mode === 'map') {
    const entries = open[spec.name] as Open;
    const end = reader.uint32() + reader.pos;
    const entry = `${name}.${spec.name}`;
    const fields = [
      { id: 1, name: 'key', kind: 'string', mode: 'one' },
      { id: 2, name: 'value', kind, mode: 'one' },
    ] as const;
    const { key = '', value } = read({ ...messages, [entry]: fields }, entry, reader, end, depth + 1);
    if (Object.hasOwn(entries, key as string)) throw wrong(`map ${spec.name} of ${name} has "${key}" twice`);
    Object.defineProperty(entries, key as string, { value, enumerable: true });
    return;
  }
  const expected = typeof kind === 'string' ? wires[kind] : 2;
  if (mode === 'many' && wire === 2 && expected !== 2) {
    const list = open[spec.name] as unknown[];
    const end = reader.uint32() + reader.pos;
    if (end > reader.len) throw wrong(`a list of ${name} ends behind the data`);
    while (reader.pos < end) list.push(readItem(place, kind));
    return;
  }
  if (wire !== expected) throw wrong(`field ${spec.name} of ${name} has wire type ${wire}`);
  const value = readItem(place, kind);
  if (mode === 'many') (open[spec.name] as unknown[]).push(value);
  else open[spec.name] = value;
}

function readItem({ messages, reader, depth }: Place, kind: Kind): unknown {
  if (typeof kind !== 'string') return read(messages, kind.message, reader, reader.uint32() + reader.pos, depth + 1);
  switch (kind) {
    case 'int64':
    case 'uint64': {
      const long = reader[kind]();
      return Number(long.toString());
    }
    case 'bytes':
      return new Uint8Array(reader.bytes());
    default:
      return reader[kind]();
  }
}
