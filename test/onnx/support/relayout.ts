import fc from 'fast-check';
import protobuf from 'protobufjs/minimal.js';
import { type CompiledField, compiledMessage, type MessageName } from '../../../src/onnx/schema.ts';

/** A source of choices: below the bound, from 0. */
export type Choose = (bound: number) => number;

export const choices: fc.Arbitrary<Choose> = fc.infiniteStream(fc.nat()).map((stream) => {
  return (bound) => (stream.next().value as number) % bound;
});

interface Piece {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/**
 * The same message laid out as another writer might: fields in another order (equal fields keep theirs), lists of numbers
 * packed or split, lengths in overlong varints, unknown fields between all of it, at every level.
 */
export function relayout(name: MessageName, bytes: Uint8Array, choose: Choose): Uint8Array {
  const pieces = split(name, bytes, choose);
  for (let i = choose(2); i > 0; i--) pieces.push({ id: 0, bytes: unknown(choose) });
  const ordered: Uint8Array[] = [];
  while (pieces.length > 0) {
    // Any piece may come next as long as no earlier piece of the same field is left behind.
    const pick = pieces[choose(pieces.length)] as Piece;
    const at = pieces.findIndex((piece) => piece.id === pick.id);
    ordered.push((pieces[at] as Piece).bytes);
    pieces.splice(at, 1);
  }
  return new Uint8Array(Buffer.concat(ordered));
}

function split(name: MessageName, bytes: Uint8Array, choose: Choose): Piece[] {
  const { byId } = compiledMessage(name);
  const reader = new protobuf.Reader(bytes);
  const pieces: Piece[] = [];
  while (reader.pos < bytes.length) {
    const start = reader.pos;
    const tag = reader.tag();
    const field = byId[tag >>> 3];
    if (field?.message) {
      const content = relayout(field.message, reader.bytes(), choose);
      pieces.push({
        id: field.id,
        bytes: Buffer.concat([length(tag, choose), length(content.length, choose), content]),
      });
      continue;
    }
    reader.skipType(tag & 7);
    const raw = bytes.subarray(start, reader.pos);
    if (field?.repeated && (tag & 7) === 2 && field.kind === 'encoded') pieces.push(...repack(field, raw, choose));
    else pieces.push({ id: tag >>> 3, bytes: raw });
  }
  return pieces;
}

/** A packed list of floats as it is, or one by one. */
function repack(field: CompiledField, raw: Uint8Array, choose: Choose): Piece[] {
  if (field.name !== 'float_data' || choose(2) === 0) return [{ id: field.id, bytes: raw }];
  const reader = new protobuf.Reader(raw);
  reader.tag();
  return reader.floats().map((value) => ({
    id: field.id,
    bytes: protobuf.Writer.create()
      .uint32(field.id * 8 + 5)
      .float(value)
      .finish(),
  }));
}

/** A varint, now and then one byte longer than it needs to be. */
function length(value: number, choose: Choose): Uint8Array {
  const plain = protobuf.Writer.create().uint32(value).finish();
  if (choose(4) > 0 || plain.length > 3) return plain;
  const longer = new Uint8Array(plain.length + 1);
  longer.set(plain);
  longer[plain.length - 1] = (plain.at(-1) ?? 0) | 0x80;
  return longer;
}

function unknown(choose: Choose): Uint8Array {
  const id = 1000 + choose(1000);
  return protobuf.Writer.create()
    .uint32(id * 8 + 2)
    .string(`<unknown ${id}>`)
    .finish();
}

/** All texts that `unknown` has put in. */
export function unknownTexts(bytes: Uint8Array): string[] {
  return (
    Buffer.from(bytes)
      .toString('latin1')
      .match(/<unknown \d+>/g) ?? []
  ).sort();
}
