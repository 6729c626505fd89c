import { createHash } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { onnx } from 'onnx-proto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Model } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { defaultLimits } from '../../src/onnx/limits.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { graph, modelBytes, valueInfo } from './support/proto.ts';

let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mlpack-external-'));
  dir = join(root, 'model');
  mkdirSync(dir);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A model whose float[2] initializers w0, w1, … lie where the entries say. */
function model(...entries: readonly Record<string, string>[]): Uint8Array {
  const initializer: onnx.ITensorProto[] = entries.map((pairs, index) => ({
    name: `w${index}`,
    dims: [2],
    dataType: 1,
    dataLocation: 1,
    externalData: Object.entries(pairs).map(([key, value]) => ({ key, value })),
  }));
  return modelBytes(graph([], { input: [valueInfo('x')], initializer }));
}

function write(...entries: readonly Record<string, string>[]): string {
  const path = join(dir, 'model.onnx');
  writeFileSync(path, model(...entries));
  return path;
}

const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const tensors = (loaded: Model): Tensor[] => [...loaded.graph.initializers].map((value) => value.initializer as Tensor);
const numbers = (tensor: Tensor | undefined): number[] => [...new Float32Array(tensor?.bytes().slice().buffer ?? [])];

describe('data files are read', () => {
  test('with offset and length, without them, from folders below, several from one place', async () => {
    mkdirSync(join(dir, 'weights'));
    writeFileSync(join(dir, 'w.bin'), data);
    writeFileSync(join(dir, 'weights', 'v.bin'), data.subarray(0, 8));
    const path = write(
      { location: 'w.bin', offset: '8', length: '8' },
      { location: 'weights/v.bin' },
      { location: './w.bin', offset: '16' },
      { location: 'w.bin', offset: '12', length: '8' },
    );
    expect(tensors(await loadModel(path)).map(numbers)).toEqual([
      [3, 4],
      [1, 2],
      [5, 6],
      [4, 5],
    ]);
  });

  test('in pieces that add up to the bytes', async () => {
    writeFileSync(join(dir, 'w.bin'), data);
    const [tensor] = tensors(await loadModel(write({ location: 'w.bin', offset: '8' })));
    expect(Buffer.concat([...(tensor?.chunks?.() ?? [])])).toEqual(Buffer.from(data.subarray(8, 16)));
  });

  test('and put into the model when it is encoded for the runtime', async () => {
    writeFileSync(join(dir, 'w.bin'), data);
    const inlined = decodeModel(encodeModel(await loadModel(write({ location: 'w.bin', offset: '8' }))));
    expect(tensors(inlined).map(numbers)).toEqual([[3, 4]]);
  });

  test('a link inside the folder is fine', async () => {
    writeFileSync(join(dir, 'w.bin'), data);
    symlinkSync('w.bin', join(dir, 'link.bin'));
    expect(numbers(tensors(await loadModel(write({ location: 'link.bin' })))[0])).toEqual([1, 2]);
  });

  test('a model that is itself a link finds data beside the real file (Hugging Face cache)', async () => {
    const blobs = join(root, 'blobs');
    mkdirSync(blobs);
    writeFileSync(join(blobs, 'a1'), model({ location: 'model.onnx_data' }));
    writeFileSync(join(blobs, 'b2'), data);
    symlinkSync('../blobs/a1', join(dir, 'model.onnx'));
    symlinkSync('../blobs/b2', join(dir, 'model.onnx_data'));
    expect(numbers(tensors(await loadModel(join(dir, 'model.onnx')))[0])).toEqual([1, 2]);
  });
});

describe('data files are refused, with the tensor and the reason', () => {
  test.each<[string, Record<string, string>, string, RegExp]>([
    ['no location', {}, 'external-data-path', /no location/],
    ['an empty location', { location: '' }, 'external-data-path', /no location/],
    ['a path upwards', { location: '../secret.bin' }, 'external-data-path', /goes up/],
    ['a path that goes down and up', { location: 'a/../../secret.bin' }, 'external-data-path', /goes up/],
    ['a Windows path upwards', { location: '..\\secret.bin' }, 'external-data-path', /goes up/],
    ['an absolute path', { location: '/etc/passwd' }, 'external-data-path', /absolute/],
    ['a Windows drive', { location: 'C:\\secret.bin' }, 'external-data-path', /absolute/],
    ['a drive without a slash', { location: 'c:secret.bin' }, 'external-data-path', /absolute/],
    ['a network share', { location: '\\\\host\\share' }, 'external-data-path', /absolute/],
    ['a zero byte', { location: 'w.bin\0.txt' }, 'external-data-path', /zero byte/],
    ['a folder', { location: 'folder' }, 'external-data-path', /not a regular file/],
    ['the folder itself', { location: '.' }, 'external-data-path', /leaves the model's folder/],
    ['a link that leaves the folder', { location: 'leaving.bin' }, 'external-data-path', /symbolic link.*real copy/],
    ['a link to a folder outside', { location: 'outside/secret.bin' }, 'external-data-path', /symbolic link/],
    ['a hard link', { location: 'hard.bin' }, 'external-data-path', /2 hard links.*real copy/],
    ['a missing file', { location: 'none.bin' }, 'external-data-missing', /none\.bin does not exist/],
    ['a broken link', { location: 'broken.bin' }, 'external-data-missing', /does not exist/],
    [
      'an offset beyond the end',
      { location: 'w.bin', offset: '100', length: '8' },
      'external-data-size',
      /bytes 100 to 108.*only 24/,
    ],
    ['a range across the end', { location: 'w.bin', offset: '20', length: '8' }, 'external-data-size', /only 24/],
    ['a file cut short', { location: 'w.bin', offset: '20' }, 'external-data-size', /takes 8 bytes, but names 4/],
    ['a negative offset', { location: 'w.bin', offset: '-8' }, 'external-data-size', /offset "-8"/],
    ['a huge offset', { location: 'w.bin', offset: '99999999999999999999' }, 'external-data-size', /no byte count/],
    ['a fraction', { location: 'w.bin', length: '8.0' }, 'external-data-size', /length "8.0"/],
    ['a hexadecimal length', { location: 'w.bin', length: '0x8' }, 'external-data-size', /no byte count/],
    [
      'a length that does not fit the shape',
      { location: 'w.bin', length: '24' },
      'external-data-size',
      /takes 8 bytes, but names 24/,
    ],
  ])('%s', async (_, entry, code, message) => {
    writeFileSync(join(root, 'secret.bin'), data);
    writeFileSync(join(dir, 'w.bin'), data);
    mkdirSync(join(dir, 'folder'));
    symlinkSync('../secret.bin', join(dir, 'leaving.bin'));
    symlinkSync('..', join(dir, 'outside'));
    symlinkSync('nowhere', join(dir, 'broken.bin'));
    linkSync(join(root, 'secret.bin'), join(dir, 'hard.bin'));
    await expect(loadModel(write(entry))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(loadModel(write(entry))).rejects.toThrow(/initializer "w0"/);
  });

  test('more files than the limit', async () => {
    writeFileSync(join(dir, 'a'), data);
    writeFileSync(join(dir, 'b'), data);
    const limits = { ...defaultLimits, externalFiles: 1 };
    await expect(loadModel(write({ location: 'a' }, { location: 'b' }), { limits })).rejects.toThrow(
      /limit "externalFiles"/,
    );
  });

  test('a file with another checksum, where checksums are asked for', async () => {
    writeFileSync(join(dir, 'w.bin'), data);
    const checksum = createHash('sha1').update(data).digest('hex');
    const right = await loadModel(write({ location: 'w.bin', offset: '0', checksum }), { checksums: true });
    expect(numbers(tensors(right)[0])).toEqual([1, 2]);
    const wrong = write({ location: 'w.bin', offset: '0', checksum: '0'.repeat(40) });
    await expect(loadModel(wrong, { checksums: true })).rejects.toMatchObject({ code: 'external-data-checksum' });
    expect(numbers(tensors(await loadModel(wrong))[0])).toEqual([1, 2]);
  });

  test('a model given as bytes has no folder: its data is missing when asked for, not before', () => {
    const [tensor] = tensors(decodeModel(model({ location: 'w.bin' })));
    expect(tensor?.byteLength).toBe(8);
    expect(() => tensor?.bytes()).toThrow(/given without its folder/);
  });

  test('a file that changed after the model was read', async () => {
    writeFileSync(join(dir, 'w.bin'), data);
    const [tensor] = tensors(await loadModel(write({ location: 'w.bin', offset: '8' })));
    utimesSync(join(dir, 'w.bin'), 1, 1);
    expect(() => tensor?.bytes()).toThrow(/changed or replaced/);
    truncateSync(join(dir, 'w.bin'), 4);
    expect(() => [...(tensor?.chunks?.() ?? [])]).toThrow(/changed or replaced/);
    rmSync(join(dir, 'w.bin'));
    expect(() => tensor?.bytes()).toThrow(/cannot be read/);
  });
});
