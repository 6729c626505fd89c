import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { decodeMessage } from '../../src/protobuf/decode.ts';
import { encodeMessage } from '../../src/protobuf/encode.ts';
import { field, type Messages, message } from '../../src/protobuf/schema.ts';

const messages: Messages = {
  Outer: message(
    field(1, 'count', 'int32'),
    field(502, 'inner', 'Inner'),
    field(3, 'numbers', 'float', 'many'),
    field(4, 'places', 'int64', 'many'),
    field(5, 'flags', 'bool', 'many'),
    field(6, 'words', 'string', 'many'),
    field(7, 'table', 'Inner', 'map'),
  ),
  Inner: message(
    field(1, 'text', 'string'),
    field(2, 'raw', 'bytes'),
    field(3, 'more', 'Inner', 'map'),
    field(4, 'exact', 'double'),
  ),
};

/** The same schema for protobufjs's own parser and codec, which this package does not use. */
const theirs = protobuf
  .parse(`
syntax = "proto3";
message Outer { int32 count = 1; Inner inner = 502; repeated float numbers = 3; repeated int64 places = 4; repeated bool flags = 5;
  repeated string words = 6; map<string, Inner> table = 7; }
message Inner { string text = 1; bytes raw = 2; map<string, Inner> more = 3; double exact = 4; }
`)
  .root.lookupType('Outer');

const value = {
  count: -3,
  inner: { text: 'größe', raw: Uint8Array.of(0, 255), more: { b: { text: '' }, a: { exact: 0.1 } } },
  numbers: [0.5, -2],
  places: [-1, 2 ** 40],
  flags: [true, false],
  words: ['', 'x'],
  table: { z: {}, y: { text: 'why' } },
};

function without({ table: _, words: __, ...rest }: typeof value) {
  return rest;
}

describe('protobuf messages', () => {
  it('are read by another codec as they were meant', () => {
    const read = theirs.toObject(theirs.decode(encodeMessage(messages, 'Outer', value)), { longs: Number });
    expect(read).toMatchObject({
      count: -3,
      numbers: [0.5, -2],
      places: [-1, 2 ** 40],
      flags: [true, false],
      words: ['', 'x'],
    });
    expect(read.inner).toMatchObject({ text: 'größe', more: { a: { exact: 0.1 } } });
    expect(Object.keys(read.table as object).sort()).toEqual(['y', 'z']);
  });

  it('are read as another codec wrote them, and as they were written', () => {
    const bytes = theirs.encode(theirs.fromObject(value)).finish();
    for (const from of [bytes, encodeMessage(messages, 'Outer', value)]) {
      const read = decodeMessage(messages, 'Outer', new Uint8Array(from));
      expect(read).toMatchObject({
        count: -3,
        numbers: [0.5, -2],
        places: [-1, 2 ** 40],
        flags: [true, false],
        words: ['', 'x'],
      });
      expect(read.table).toMatchObject({ y: { text: 'why' } });
    }
  });

  it('are the same bytes whatever the order of keys', () => {
    const turned = { table: { y: value.table.y, z: value.table.z }, words: value.words, ...without(value) };
    expect(encodeMessage(messages, 'Outer', turned)).toEqual(encodeMessage(messages, 'Outer', value));
  });

  it('are refused where they are cut, hold unknown fields or nest without end', () => {
    const bytes = encodeMessage(messages, 'Outer', value);
    for (let end = 1; end < bytes.length; end++) {
      try {
        decodeMessage(messages, 'Outer', bytes.subarray(0, end));
      } catch (error) {
        expect((error as { code?: string }).code).toBe('protobuf-malformed');
      }
    }
    expect(() => decodeMessage(messages, 'Outer', Uint8Array.of(8 * 8, 1))).toThrow(
      /has a field 8, which the schema does not have/,
    );
    expect(() => decodeMessage(messages, 'Outer', Uint8Array.of(8 + 2, 0))).toThrow(
      /field count of Outer has wire type 2/,
    );
    let nested: Record<string, unknown> = {};
    for (let depth = 0; depth < 120; depth++) nested = { more: { a: nested } };
    expect(() => decodeMessage(messages, 'Outer', encodeMessage(messages, 'Outer', { inner: nested }))).toThrow(
      /deeper than 100/,
    );
  });
});
