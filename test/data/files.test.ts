import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseCsv } from '../../src/data/csv.ts';
import { openRows, type RowsOptions } from '../../src/data/open-rows.ts';
import { repeatedKey } from '../../src/data/repeated-key.ts';
import { openTable } from '../../src/data/table.ts';
import { readWav } from '../../src/data/wav.ts';
import { readZip } from '../../src/data/zip.ts';
import { type Tensor, toNumbers, typedArray } from '../../src/ir/tensor.ts';
import { resample } from '../../src/kernels/resample.ts';

/** Made by make-fixtures.py. */
const fixture = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).pathname;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-files-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const put = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};

async function rowsOf(path: string, options?: RowsOptions, first = 1, count = 2) {
  const file = await openRows(path, options);
  const tensor = await file.rows(first, count);
  await file.close();
  return { dtype: file.dtype, shape: file.shape, values: toNumbers(tensor) };
}

/** Samples 1 and 2 of [4, 2, 3] eighths. */
const eighths = Array.from({ length: 12 }, (_, at) => (at + 6) / 8);

describe('the same numbers in', () => {
  test.each([
    ['stored.npz', { key: 'x' }],
    ['deflated.npz', {}],
    ['x.pb', {}],
  ])('%s', async (name, options) => {
    expect(await rowsOf(fixture(name), options)).toEqual({ dtype: 'float32', shape: [4, 2, 3], values: eighths });
  });

  test('a raw file and a safetensors file', async () => {
    const numbers = Float32Array.from({ length: 24 }, (_, at) => at / 8);
    const bytes = new Uint8Array(numbers.buffer);
    const raw = put('x.bin', bytes);
    expect((await rowsOf(raw, { dtype: 'float32', shape: [2, 3] })).values).toEqual(eighths);
    const header = JSON.stringify({ x: { dtype: 'F32', shape: [4, 2, 3], data_offsets: [0, 96] }, __metadata__: {} });
    const length = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer);
    const tensors = put('x.safetensors', Buffer.concat([length, Buffer.from(header), bytes]));
    expect((await rowsOf(tensors)).values).toEqual(eighths);
  });

  test.each(['snappy', 'zstd', 'gzip'])('columns of a Parquet file, %s', async (codec) => {
    const path = fixture(`table-${codec}.parquet`);
    const rows = await rowsOf(path, { columns: ['income', 'age', 'old'] }, 1, 3);
    expect(rows).toEqual({ dtype: 'float64', shape: [4, 3], values: [2.25, 54, 1, -3, Number.NaN, 1, 0.125, 22, 0] });
    const cities = await openRows(path, { columns: ['city'] });
    expect((await cities.rows(0, 1)).strings?.().map((text) => Buffer.from(text).toString())).toEqual(['Köln']);
  });

  test('columns of CSV and JSON Lines', async () => {
    const csv = put('t.csv', '\uFEFFa;b\r\n1;"2"\r\n\r\n;-4e1\r\n');
    expect((await rowsOf(csv, { columns: ['b', 'a'] }, 0, 2)).values).toEqual([2, 1, -40, Number.NaN]);
    const lines = put('t.jsonl', '{"a": 1, "b": true}\n{"b": false, "a": 2.5}\n');
    expect((await rowsOf(lines, { columns: ['a', 'b'] }, 0, 2)).values).toEqual([1, 1, 2.5, 0]);
    expect(parseCsv('v\n""\n\na\n', ',', 'v.csv').get('v')).toEqual(['', 'a']);
  });

  test('whole numbers beyond 2^53 stay what they are, lists are no numbers', async () => {
    const ids = await openRows(put('i.csv', 'id,n\n9007199254740993,-1\n'), { columns: ['id', 'n'] });
    expect(ids.dtype).toBe('int64');
    expect([...typedArray((await ids.rows(0, 1)) as Tensor & { dtype: 'int64' }, 'int64')]).toEqual([
      9007199254740993n,
      -1n,
    ]);
    const lists = put('l.jsonl', '{"f": 1}\n{"f": [4, 5]}\n');
    await expect(openRows(lists, { columns: ['f'] })).rejects.toThrow('column "f" has a list in row 2');
  });
});

describe('damaged files are refused in a sentence', () => {
  const cut = (name: string, bytes: number): string => put(name, readFileSync(fixture(name)).subarray(0, bytes));
  test.each<[string, () => string, RowsOptions, string]>([
    ['npz cut short', () => cut('stored.npz', 300), {}, 'is no sound zip archive'],
    ['npz with two arrays', () => fixture('stored.npz'), {}, 'holds several arrays (x, y); say which with "key"'],
    ['npz without that array', () => fixture('stored.npz'), { key: 'z' }, 'holds no array "z"'],
    ['pb cut short', () => cut('x.pb', 60), {}, 'x.pb'],
    ['pb of something else', () => put('y.pb', 'no tensor at all'), {}, 'y.pb'],
    ['parquet cut short', () => cut('table-snappy.parquet', 900), { columns: ['age'] }, 'cannot be read as Parquet'],
    [
      'parquet without that column',
      () => fixture('table-zstd.parquet'),
      { columns: ['agee'] },
      'no column "agee" (did you mean "age"?)',
    ],
    ['table without columns', () => put('t.csv', 'a\n1'), {}, 'say with "columns"'],
    ['text among numbers', () => put('t.csv', 'a,b\n1,2\n1,x'), { columns: ['a', 'b'] }, 'column "b" has "x" in row 2'],
    ['raw without type', () => put('x.bin', 'abcd'), {}, 'has no header'],
    ['raw of odd size', () => put('x.bin', 'abcde'), { dtype: 'float32', shape: [1] }, 'no whole number of samples'],
    ['safetensors of nothing', () => put('x.safetensors', 'abc'), {}, 'no sound .safetensors'],
    [
      'safetensors beyond its end',
      () =>
        put(
          'x.safetensors',
          Buffer.concat([
            Buffer.from([58, 0, 0, 0, 0, 0, 0, 0]),
            Buffer.from('{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}    '),
          ]),
        ),
      {},
      'does not fit its shape',
    ],
  ])('%s', async (_, path, options, message) => {
    await expect(openRows(path(), options)).rejects.toThrow(message);
  });

  test('an entry that unpacks to more than the directory says (a bomb)', () => {
    const packed = deflateRawSync(Buffer.alloc(1_000_000));
    const zip = zipOf('x.npy', packed, 100);
    expect(() => readZip(zip, 'b.npz')[0]?.read()).toThrow('cannot be unpacked to the 100 bytes');
    expect(() => readZip(zipOf('x.npy', packed, 1_000_001), 'b.npz')[0]?.read()).toThrow(
      'unpacks to 1000000 bytes instead',
    );
    expect(readZip(zipOf('x.npy', packed, 1_000_000), 'b.npz')[0]?.read()).toHaveLength(1_000_000);
  });

  test('an entry that lies beyond the end', () => {
    const zip = Buffer.from(zipOf('x.npy', deflateRawSync(Buffer.alloc(100)), 100));
    zip.writeUInt32LE(zip.length - 2, zip.lastIndexOf('PK\x01\x02') + 42);
    expect(() => readZip(zip, 'b.npz')[0]?.read()).toThrow('"x.npy" is not where the directory says');
  });

  test.each([
    ['a,b\n1\n', 'line 2, has 1 cells; the first line names 2 columns'],
    ['a,a\n1,2\n', 'two columns named "a"'],
    ['a\n"1\n', 'line 2: a quote is never closed'],
    ['a\n"1"x\n', 'something stands behind a closing quote'],
    ['', 'is empty'],
  ])('CSV %j', (text, message) => {
    expect(() => parseCsv(text, ',', 't.csv')).toThrow(message);
  });

  test('JSON Lines name the line', async () => {
    await expect(openTable(put('t.jsonl', '{"a":1}\n{a}\n'), ['a'])).rejects.toThrow('line 2, is no valid JSON');
  });
});

test('CSV quotes hold separators, line ends and quotes', () => {
  const text = 'a,b\r\n"x, ""y""\nz",\n1,"2"';
  expect(Object.fromEntries(parseCsv(text, ',', 't.csv'))).toEqual({ a: ['x, "y"\nz', '1'], b: ['', '2'] });
});

test('a key twice in one object is found, not in different ones', () => {
  expect(repeatedKey('{"a": 1, "b": {"a": "\\"x\\":"}, "c": ["a", "a"]}')).toBeUndefined();
  expect(repeatedKey('{"a": 1, "b": {"c": 2}, "a": 3}')).toBe('a');
});

describe('sound', () => {
  const wanted = Array.from({ length: 800 }, (_, at) => {
    const t = (2 * Math.PI * at) / 8000;
    return (0.5 * Math.sin(440 * t) + 0.25 * Math.sin(880 * t)) / 2;
  });
  test.each([
    ['pcm8.wav', 2 ** -7],
    ['pcm16.wav', 2 ** -14],
    ['pcm24.wav', 2 ** -21],
    ['pcm32.wav', 1e-7],
    ['float.wav', 1e-7],
  ])('%s, two channels mixed', (name, tolerance) => {
    const { sampleRate, samples } = readWav(readFileSync(fixture(name)));
    expect(sampleRate).toBe(8000);
    expect(samples).toHaveLength(800);
    const worst = Math.max(...wanted.map((value, at) => Math.abs(value - samples[at]!)));
    expect(worst).toBeLessThan(tolerance);
  });

  test('a data chunk of 0 bytes is of unknown length, unless chunks follow it', () => {
    const open = readFileSync(fixture('pcm16.wav')).subarray(0, 44 + 400);
    open.writeUInt32LE(0, 40);
    expect(readWav(open).samples).toHaveLength(100);
    open.write('LIST', 44);
    open.writeUInt32LE(392, 48);
    expect(readWav(open).samples).toHaveLength(0);
  });

  test('damaged sound says what is wrong', () => {
    const good = readFileSync(fixture('pcm16.wav'));
    expect(() => readWav(good.subarray(0, 1000))).toThrow('cut short');
    expect(() => readWav(Buffer.from('RIFFxxxxAVI '))).toThrow('no WAV file');
    const odd = Buffer.from(good);
    odd.writeUInt16LE(85, 20);
    expect(() => readWav(odd)).toThrow('coded as format 85');
  });

  test.each([
    [8000, 16000],
    [44100, 16000],
    [16000, 16000],
  ])('a tone at %i Hz stays a tone at %i Hz', (from, to) => {
    const tone = (rate: number, n: number): Float32Array =>
      Float32Array.from({ length: n }, (_, at) => Math.sin((2 * Math.PI * 1000 * at) / rate));
    const made = resample(tone(from, from / 10), from, to);
    const same = tone(to, to / 10);
    expect(made).toHaveLength(same.length);
    // The ends know nothing of what was before and comes after.
    for (let at = 60; at < same.length - 60; at++) expect(Math.abs(made[at]! - same[at]!)).toBeLessThan(2e-3);
  });

  test('what the lower rate cannot hold is taken away, not folded back', () => {
    const high = Float32Array.from({ length: 4410 }, (_, at) => Math.sin((2 * Math.PI * 12_000 * at) / 44_100));
    const made = resample(high, 44_100, 16_000);
    expect(Math.max(...made.subarray(60, -60).map(Math.abs))).toBeLessThan(2e-3);
  });
});

/** An archive of one deflated file, with the unpacked size that the directory claims. */
function zipOf(name: string, packed: Uint8Array, size: number): Uint8Array {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(8, 10);
  central.writeUInt32LE(packed.length, 20);
  central.writeUInt32LE(size, 24);
  central.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(30 + name.length + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), packed, central, Buffer.from(name), end]);
}
