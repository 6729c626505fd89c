import fc from 'fast-check';
import { onnx } from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import { defaultLimits } from '../../src/onnx/limits.ts';
import { isMessage, merge, message, RawMessage } from '../../src/onnx/message.ts';
import { readMessage } from '../../src/onnx/reader.ts';
import { type MessageName, schema } from '../../src/onnx/schema.ts';
import { joined, pieces, writeMessage } from '../../src/onnx/writer.ts';
import { encodedMessage } from './support/arbitrary.ts';
import { concat, unknownField } from './support/proto.ts';

const names = Object.keys(schema) as MessageName[];

/** The same message without its place in the source, so that it is written field by field. */
function forget<T>(value: T): T {
  if (Array.isArray(value)) return value.map(forget) as T;
  if (!(value instanceof RawMessage)) return value;
  const copy = new RawMessage(value.$name) as RawMessage & Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) {
    if (key === '$source' || key === '$start' || key === '$end') continue;
    // An empty packed list says nothing.
    if (Array.isArray(item) && item.length === 0) continue;
    // Runs of unknown fields and of typed data may lie apart: only what they say together counts.
    const runs = key === '$unknown' || /^(float|double|u?int\d+)_data$/.test(key);
    const joinedRuns = runs && Array.isArray(item) ? [concat(...(item as Uint8Array[]))] : item;
    (copy as Record<string, unknown>)[key] = forget(joinedRuns);
  }
  return copy as T;
}

function write(value: RawMessage): Uint8Array {
  return new Uint8Array(joined(writeMessage(value)));
}

describe('messages of every kind, however they were encoded', () => {
  test.each(names)('%s: read and written back, the bytes are the same', (name) => {
    fc.assert(
      fc.property(encodedMessage(name), (bytes) => {
        expect(write(readMessage(name, bytes, defaultLimits))).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });

  test.each(names)('%s: written field by field, nothing is lost, unknown fields included', (name) => {
    fc.assert(
      fc.property(encodedMessage(name), (bytes) => {
        const fields = forget(readMessage(name, bytes, defaultLimits));
        const canonical = write(fields);
        const again = forget(readMessage(name, canonical, defaultLimits));
        expect(again).toEqual(fields);
        expect(write(again)).toEqual(canonical);
      }),
      { numRuns: 60 },
    );
  });

  test('what onnx-proto reads from the canonical form is what it reads from the original', () => {
    const see = (bytes: Uint8Array): unknown =>
      onnx.ModelProto.toObject(onnx.ModelProto.decode(bytes), { longs: String, bytes: String });
    fc.assert(
      fc.property(encodedMessage('ModelProto', 5, true), (bytes) => {
        expect(see(write(forget(readMessage('ModelProto', bytes, defaultLimits))))).toEqual(see(bytes));
      }),
      { numRuns: 300 },
    );
  });
});

test('the schema agrees with onnx-proto where both know a field', () => {
  for (const [name, fields] of Object.entries(schema)) {
    const type = name
      .split('.')
      .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], onnx);
    if (type === undefined) continue;
    const prototype = (type as { prototype: Record<string, unknown> }).prototype;
    const camel = (text: string): string => text.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const ours = new Set(Object.keys(fields).map(camel));
    const theirs = Object.keys(prototype).filter((key) => typeof prototype[key] !== 'function');
    expect(
      theirs.filter((key) => !ours.has(key) && key !== 'value' && key !== 'dim'),
      name,
    ).toEqual([]);
  }
});

describe('protobuf rules', () => {
  test('a singular message in two pieces is merged', () => {
    const first = write(message('GraphProto', { name: 'a', doc_string: 'kept' }));
    const second = write(message('GraphProto', { name: 'b' }));
    const bytes = concat(Uint8Array.of(0x3a, first.length), first, Uint8Array.of(0x3a, second.length), second);
    const model = readMessage('ModelProto', bytes, defaultLimits);
    expect(model.graph?.name).toBe('b');
    expect(model.graph?.doc_string).toBe('kept');
    expect(write(model)).toEqual(bytes);
  });

  test('of a oneof the last one read wins', () => {
    const bytes = Uint8Array.of(0x08, 5, 0x12, 1, 0x4e);
    const dim = readMessage('TensorShapeProto.Dimension', bytes, defaultLimits);
    expect(dim.dim_value).toBeUndefined();
    expect(dim.dim_param).toBe('N');
  });

  test('a field of another wire type than the schema says is carried as unknown', () => {
    const bytes = Uint8Array.of(0x0d, 1, 2, 3, 4);
    const model = readMessage('ModelProto', bytes, defaultLimits);
    expect(model.ir_version).toBeUndefined();
    expect(model.$unknown).toEqual([bytes]);
  });

  test.each([
    0n,
    1n,
    -1n,
    127n,
    128n,
    2n ** 31n,
    -(2n ** 31n) - 1n,
    2n ** 53n + 1n,
    2n ** 56n,
    2n ** 63n - 1n,
    -(2n ** 63n),
  ])('int64 %s is exact', (value) => {
    const bytes = write(message('AttributeProto', { i: value }));
    expect(readMessage('AttributeProto', bytes, defaultLimits).i).toBe(value);
    expect(onnx.AttributeProto.decode(bytes).i.toString()).toBe(String(value));
  });
});

describe('merge', () => {
  const origin = readMessage(
    'NodeProto',
    concat(write(message('NodeProto', { op_type: 'Relu', input: ['x'] })), unknownField(99, 'u')),
    defaultLimits,
  );

  test('gives the origin back when nothing differs, absent and default being the same', () => {
    expect(merge('NodeProto', origin, { op_type: 'Relu', input: ['x'], name: '', attribute: [] })).toBe(origin);
  });
  test('keeps unknown fields and what was not named', () => {
    const changed = merge('NodeProto', origin, { name: 'n' });
    expect(changed.$source).toBeUndefined();
    expect([changed.op_type, changed.name, changed.$unknown]).toEqual(['Relu', 'n', origin.$unknown]);
    expect(origin.name).toBeUndefined();
  });
  test('undefined and empty lists remove', () => {
    const changed = merge('NodeProto', origin, { op_type: undefined, input: [] });
    expect(Object.hasOwn(changed, 'op_type')).toBe(false);
    expect(Object.hasOwn(changed, 'input')).toBe(false);
  });
  test('isMessage looks at the kind', () => {
    expect(isMessage(origin, 'NodeProto')).toBe(true);
    expect(isMessage(origin, 'GraphProto')).toBe(false);
    expect(isMessage({ $name: 'NodeProto' }, 'NodeProto')).toBe(false);
  });
});

describe('writing', () => {
  test('large data is passed on as the view it is', () => {
    const raw_data = new Uint8Array(100_000).fill(7);
    const { parts, byteLength } = writeMessage(message('TensorProto', { name: 'w', raw_data }));
    expect(parts.some((part) => part instanceof Uint8Array && part.buffer === raw_data.buffer)).toBe(true);
    expect(byteLength).toBe(parts.reduce((sum, part) => sum + part.byteLength, 0));
  });
  test('data to come is asked for in pieces, none larger than asked', () => {
    const chunks = function* (): Generator<Uint8Array> {
      yield new Uint8Array(70_000).fill(1);
      yield new Uint8Array(30_000).fill(2);
    };
    const encoded = writeMessage(message('TensorProto', { raw_data: { byteLength: 100_000, label: 'w', chunks } }));
    const written = [...pieces(encoded, 8192)];
    expect(Math.max(...written.map((piece) => piece.byteLength))).toBeLessThanOrEqual(8192);
    const back = readMessage('TensorProto', concat(...written), defaultLimits).raw_data as Uint8Array;
    expect([back.byteLength, back[69_999], back[70_000]]).toEqual([100_000, 1, 2]);
  });
  test.each([90_000, 110_000])('a payload that delivers %i bytes instead of 100000 is our bug', (size) => {
    const payload = { byteLength: 100_000, label: 'tensor "w"', chunks: () => [new Uint8Array(size)] };
    const encoded = writeMessage(message('TensorProto', { raw_data: payload }));
    expect(() => [...pieces(encoded)]).toThrow(/tensor "w" delivers/);
  });
});
