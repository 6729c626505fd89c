import fc from 'fast-check';
import protobuf from 'protobufjs/minimal.js';
import { type CompiledField, compiledMessage, type MessageName } from '../../../src/onnx/schema.ts';

/**
 * Encoded messages as any writer might lay them out: fields in any order, lists packed or not and in several runs,
 * unknown fields of every wire type at every level, defaults written out.
 * @param once singular fields and choices come at most once: where they come twice, protobufjs 6 (onnx-proto) does not
 *   do what protobuf demands
 */
export function encodedMessage(name: MessageName, depth = 3, once = false): fc.Arbitrary<Uint8Array> {
  const known: fc.Arbitrary<Part>[] = [];
  for (const field of compiledMessage(name).ordered) {
    const bytes = encodedField(field, depth, once);
    const place = field.repeated ? undefined : field.oneof ? 'oneof' : field.name;
    known.push(bytes.map((encoded) => ({ encoded, place })));
  }
  const other = unknown.map((encoded) => ({ encoded, place: undefined }));
  const part = fc.oneof({ weight: 5, arbitrary: fc.oneof(...known) }, { weight: 1, arbitrary: other });
  const parts = fc.array(part, { maxLength: 6 });
  return parts.map((list) => {
    const kept = once
      ? list.filter((item, i) => !item.place || list.findIndex((p) => p.place === item.place) === i)
      : list;
    return new Uint8Array(Buffer.concat(kept.map((item) => item.encoded)));
  });
}

interface Part {
  readonly encoded: Uint8Array;
  /** Parts of the same place exclude each other. */
  readonly place: string | undefined;
}

const unknown: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .tuple(fc.integer({ min: 900, max: 5000 }), fc.nat())
    .map(([id, value]) => bytesOf((w) => w.uint32(id * 8).uint32(value))),
  fc
    .tuple(fc.integer({ min: 900, max: 5000 }), fc.uint8Array({ maxLength: 9 }))
    .map(([id, value]) => bytesOf((w) => w.uint32(id * 8 + 2).bytes(value))),
  fc.integer({ min: 900, max: 5000 }).map((id) => bytesOf((w) => w.uint32(id * 8 + 5).fixed32(id))),
  fc.integer({ min: 900, max: 5000 }).map((id) => bytesOf((w) => w.uint32(id * 8 + 1).fixed64(id))),
  fc.integer({ min: 900, max: 5000 }).map((id) =>
    bytesOf((w) =>
      w
        .uint32(id * 8 + 3)
        .uint32(8)
        .uint32(7)
        .uint32(id * 8 + 4),
    ),
  ),
);

function encodedField(field: CompiledField, depth: number, once: boolean): fc.Arbitrary<Uint8Array> {
  const { id } = field;
  if (field.message) {
    if (depth === 0) return fc.constant(bytesOf((w) => w.uint32(id * 8 + 2).uint32(0)));
    return fc
      .constant(field.message)
      .chain((name) => encodedMessage(name, depth - 1, once))
      .map((bytes) => bytesOf((w) => w.uint32(id * 8 + 2).bytes(bytes)));
  }
  switch (field.kind) {
    case 'string':
      return fc
        .string({ unit: 'grapheme', maxLength: 8 })
        .map((text) => bytesOf((w) => w.uint32(id * 8 + 2).string(text)));
    case 'bytes':
      return fc.uint8Array({ maxLength: 12 }).map((bytes) => bytesOf((w) => w.uint32(id * 8 + 2).bytes(bytes)));
    case 'float':
      return numbers(field, 5, fc.float({ noNaN: true }), (w, value) => w.float(value));
    case 'encoded':
      if (field.name === 'float_data')
        return numbers(field, 5, fc.float({ noNaN: true }), (w, value) => w.float(value));
      if (field.name === 'double_data')
        return numbers(field, 1, fc.double({ noNaN: true }), (w, value) => w.double(value));
      // protobufjs 6 (onnx-proto) cannot read an int32 of more than 32 bits at the end of a message.
      if (field.name === 'int32_data') return numbers(field, 0, fc.integer(), (w, value) => w.int32(value));
      return numbers(field, 0, integers, (w, value) => w.int64(value));
    case 'int32':
      return numbers(field, 0, fc.integer(), (w, value) => w.int32(value));
    default:
      return numbers(field, 0, integers, (w, value) => w.int64(value));
  }
}

/** Small numbers, and strings of digits for what is beyond doubles: protobufjs takes those for exact 64-bit integers. */
const integers: fc.Arbitrary<number | string> = fc.oneof(
  fc.integer(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
);

function numbers<T>(
  field: CompiledField,
  wire: number,
  value: fc.Arbitrary<T>,
  write: (writer: protobuf.Writer, value: T) => void,
): fc.Arbitrary<Uint8Array> {
  const single = value.map((item) => bytesOf((w) => write(w.uint32(field.id * 8 + wire), item)));
  if (!field.repeated) return single;
  const packed = fc.array(value, { maxLength: 5 }).map((items) =>
    bytesOf((w) => {
      w.uint32(field.id * 8 + 2).fork();
      for (const item of items) write(w, item);
      w.ldelim();
    }),
  );
  return fc.oneof(single, packed);
}

function bytesOf(write: (writer: protobuf.Writer) => unknown): Uint8Array {
  const writer = protobuf.Writer.create();
  write(writer);
  return writer.finish();
}
