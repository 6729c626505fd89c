import protobuf from 'protobufjs/minimal.js';
import { bug } from '../errors.ts';
import type { FieldSpec, Fields, Kind, Messages } from './schema.ts';

const wires = { int32: 0, int64: 0, uint64: 0, bool: 0, double: 1, string: 2, bytes: 2, float: 5 } as const;

/**
 * The bytes of a message: fields by ascending number, keys of maps sorted, lists of numbers packed. The same data gives the same bytes.
 * @throws BugError for fields that the schema does not have
 */
export function encodeMessage(messages: Messages, name: string, fields: Fields): Uint8Array {
  const writer = protobuf.Writer.create();
  write(messages, name, fields, writer);
  return new Uint8Array(writer.finish());
}

function write(messages: Messages, name: string, fields: Fields, writer: protobuf.Writer): void {
  const specs = messages[name] ?? bug(`there is no message ${name}`);
  const known = new Set(specs.map((spec) => spec.name));
  for (const key of Object.keys(fields)) if (!known.has(key)) bug(`message ${name} has no field ${key}`);
  for (const spec of specs) {
    const value = fields[spec.name];
    if (value !== undefined) writeField(messages, spec, value, writer);
  }
}

function writeField(messages: Messages, spec: FieldSpec, value: unknown, writer: protobuf.Writer): void {
  const { id, kind, mode } = spec;
  if (mode === 'one') return writeItem(messages, id, kind, value, writer);
  if (mode === 'map') {
    const entries = Object.entries(value as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [key, item] of entries) {
      writer.uint32(id * 8 + 2).fork();
      writeItem(messages, 1, 'string', key, writer);
      writeItem(messages, 2, kind, item, writer);
      writer.ldelim();
    }
    return;
  }
  const items = value as Iterable<unknown>;
  if (typeof kind === 'string' && wires[kind] !== 2) {
    writer.uint32(id * 8 + 2).fork();
    for (const item of items) writeScalar(kind, item, writer);
    writer.ldelim();
    return;
  }
  for (const item of items) writeItem(messages, id, kind, item, writer);
}

function writeItem(messages: Messages, id: number, kind: Kind, value: unknown, writer: protobuf.Writer): void {
  if (typeof kind === 'string') {
    writer.uint32(id * 8 + wires[kind]);
    writeScalar(kind, value, writer);
    return;
  }
  writer.uint32(id * 8 + 2).fork();
  write(messages, kind.message, value as Fields, writer);
  writer.ldelim();
}

function writeScalar(kind: Exclude<Kind, object>, value: unknown, writer: protobuf.Writer): void {
  switch (kind) {
    case 'string':
      writer.string(value as string);
      break;
    case 'bytes':
      writer.bytes(value as Uint8Array);
      break;
    case 'bool':
      writer.bool(value as boolean);
      break;
    default:
      writer[kind](value as number);
  }
}
