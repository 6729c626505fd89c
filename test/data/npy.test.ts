import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openNpy } from '../../src/data/npy.ts';
import { readWhole } from '../../src/data/read-whole.ts';
import { type Tensor, toNumbers } from '../../src/ir/tensor.ts';
import { npyFile } from './npy-file.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-npy-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function read(bytes: Uint8Array, first: number, count: number): Promise<Tensor> {
  const path = join(dir, 'x.npy');
  writeFileSync(path, bytes);
  const file = await openNpy(path);
  try {
    return await file.rows(first, count);
  } finally {
    await file.close();
  }
}

describe('npy', () => {
  test.each([
    ['<f4', Float32Array.of(1.5, -2), 'float32', [1.5, -2]],
    ['<f8', Float64Array.of(0.1, 1e300), 'float64', [0.1, 1e300]],
    ['<i8', BigInt64Array.of(-5n, 7n), 'int64', [-5, 7]],
    ['|u1', Uint8Array.of(0, 255), 'uint8', [0, 255]],
    ['|i1', Int8Array.of(-128, 1), 'int8', [-128, 1]],
    ['|b1', Uint8Array.of(1, 0), 'bool', [1, 0]],
    ['<u2', Uint16Array.of(65535, 1), 'uint16', [65535, 1]],
    ['<i4', Int32Array.of(-1, 2), 'int32', [-1, 2]],
  ] as const)('%s', async (descr, data, dtype, numbers) => {
    const tensor = await read(npyFile(descr, [2], data), 0, 2);
    expect(tensor.dtype).toBe(dtype);
    expect(toNumbers(tensor)).toEqual(numbers);
  });

  test('half precision stays bit patterns', async () => {
    const tensor = await read(npyFile('<f2', [2], Uint16Array.of(0x3c00, 0xbc00)), 0, 2);
    expect([tensor.dtype, ...tensor.bytes()]).toEqual(['float16', 0x00, 0x3c, 0x00, 0xbc]);
  });

  test('big-endian files are turned', async () => {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setFloat32(0, 1.5, false);
    view.setFloat32(4, -2.25, false);
    expect(toNumbers(await read(npyFile('>f4', [2], bytes), 0, 2))).toEqual([1.5, -2.25]);
  });

  test('rows are read by range, in all format versions', async () => {
    const data = Float32Array.from({ length: 12 }, (_, at) => at);
    for (const version of [1, 2, 3] as const) {
      const tensor = await read(npyFile('<f4', [4, 3], data, { version }), 1, 2);
      expect(tensor.shape).toEqual([2, 3]);
      expect(toNumbers(tensor)).toEqual([3, 4, 5, 6, 7, 8]);
    }
  });

  test('rows read one behind the other, at random, and again are the same', async () => {
    const path = join(dir, 'many.npy');
    writeFileSync(
      path,
      npyFile(
        '<f4',
        [300, 2],
        Float32Array.from({ length: 600 }, (_, at) => at),
      ),
    );
    const file = await openNpy(path);
    for (const [first, count] of [
      [0, 3],
      [3, 3],
      [6, 1],
      [7, 290],
      [297, 3],
      [0, 1],
      [150, 2],
      [152, 2],
      [299, 1],
      [0, 300],
    ] as const) {
      const tensor = await file.rows(first, count);
      expect(toNumbers(tensor)).toEqual(Array.from({ length: count * 2 }, (_, at) => first * 2 + at));
    }
    await file.close();
  });

  test('column-major files give the same rows', async () => {
    // a[i, j, k] = 100 i + 10 j + k, stored with i fastest.
    const data: number[] = [];
    for (let k = 0; k < 2; k++) for (let j = 0; j < 3; j++) for (let i = 0; i < 4; i++) data.push(100 * i + 10 * j + k);
    const tensor = await read(npyFile('<i4', [4, 3, 2], Int32Array.from(data), { fortran: true }), 1, 2);
    expect(tensor.shape).toEqual([2, 3, 2]);
    expect(toNumbers(tensor)).toEqual([100, 101, 110, 111, 120, 121, 200, 201, 210, 211, 220, 221]);
  });

  test('strings, bytes and unicode', async () => {
    const text = (tensor: Tensor): string[] | undefined =>
      tensor.strings?.().map((one) => new TextDecoder().decode(one));
    expect(text(await read(npyFile('|S3', [2], new TextEncoder().encode('ab\0xyz')), 0, 2))).toEqual(['ab', 'xyz']);
    const points = Uint32Array.of(0xe4, 0, 0x1f600, 0x62);
    expect(text(await read(npyFile('<U2', [2], points), 0, 2))).toEqual(['ä', '😀b']);
  });

  test.each([
    ['no npy', Uint8Array.of(1, 2, 3), 'no NumPy .npy file'],
    ['a newer format', npyFile('<f4', [1], Float32Array.of(1), { version: 9 as 1 }), 'format version 9'],
    ['cut short', npyFile('<f4', [4], Float32Array.of(1)), 'its header promises'],
    ['objects', npyFile('|O', [1], new Uint8Array(8)), 'pickled Python objects are never read'],
    ['complex numbers', npyFile('<c8', [1], new Uint8Array(8)), 'NumPy type "<c8"'],
    ['an absurd shape', npyFile('<f4', [2 ** 40, 2 ** 40], new Uint8Array(0)), 'impossible shape'],
  ])('%s is refused', async (_, bytes, message) => {
    await expect(read(bytes, 0, 1)).rejects.toThrow(message);
  });

  test('rows beyond the end are refused, and so is a missing file', async () => {
    await expect(read(npyFile('<f4', [2], Float32Array.of(1, 2)), 1, 2)).rejects.toThrow(
      'has 2 rows; rows 1 to 2 were asked for',
    );
    await expect(openNpy(join(dir, 'none.npy'))).rejects.toThrow('there is no such file');
    // Nobody writes to it: whoever reads it would wait for ever.
    execFileSync('mkfifo', [join(dir, 'pipe.npy')]);
    await expect(openNpy(join(dir, 'pipe.npy'))).rejects.toThrow('it is no regular file');
    await expect(readWhole(join(dir, 'pipe.npy'))).rejects.toThrow('it is no regular file');
  });
});
