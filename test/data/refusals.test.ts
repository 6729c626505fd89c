import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BatchOptions } from '../../src/data/dataset.ts';
import { makeMetric } from '../../src/data/metrics/registry.ts';
import { openDataset } from '../../src/data/open-dataset.ts';
import { UserError } from '../../src/errors.ts';
import { stringTensor } from '../../src/ir/tensor.ts';
import { npyFile } from './npy-file.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-refusals-'));
  writeFileSync(join(dir, 'x.npy'), npyFile('<f4', [2, 3], new Float32Array(6)));
  writeFileSync(join(dir, 's.npy'), npyFile('|S2', [2, 3], new TextEncoder().encode('abcdefghijkl')));
  writeFileSync(join(dir, 'nan.npy'), npyFile('<f4', [1, 1], Float32Array.of(Number.NaN)));
  writeFileSync(join(dir, 'broken.npy'), npyFile('<U1', [1], Uint32Array.of(0x110000)));
  writeFileSync(join(dir, 'null.json'), '[1, null]');
  writeFileSync(join(dir, 'text.json'), '[1, "1"]');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function read(json: Record<string, unknown>, options: BatchOptions = {}): Promise<void> {
  writeFileSync(join(dir, 'dataset.json'), JSON.stringify({ schema: 'mlpack.dataset/1', ...json }));
  const dataset = await openDataset(dir);
  try {
    for await (const _ of dataset.batches(options)) break;
  } finally {
    await dataset.close();
  }
}

const x = { file: 'x.npy' };

/** Each of them once ended as a bug of ours, or as a class 0 that nobody had given. */
describe('data that makes no sense is the user’s to mend', () => {
  test.each([
    ['a label of null', { inputs: { x }, labels: { file: 'null.json' } }, 'the label of sample 1 is no number'],
    [
      'a label in quotes',
      { inputs: { x }, labels: { file: 'text.json' } },
      'the label of sample 1 is "1"; allowed are',
    ],
    [
      'text beyond Unicode',
      { inputs: { x: { file: 'broken.npy' } } },
      'holds 1114112 where a Unicode character belongs',
    ],
    [
      'a constant string',
      { inputs: { x, c: { constant: 1, shape: [2], dtype: 'string' } } },
      'cannot be made from numbers',
    ],
    [
      'a constant of 4 bits',
      { inputs: { x, c: { constant: 1, shape: [2], dtype: 'int4' } } },
      'cannot be made from numbers',
    ],
    ['an absurd constant', { inputs: { x, c: { constant: 1, shape: [1e9, 1e9] } } }, 'more than 1073741824 elements'],
    ['pictures of absurd size', { inputs: { x: { images: '.', size: [1e9, 1e9] } } }, 'more than 1073741824 elements'],
    [
      'strings compared with a number',
      { inputs: { x: { file: 's.npy' }, c: { from: 'x', notEqual: 0 } } },
      'compares elements of type string',
    ],
    ['trimmed strings', { inputs: { x: { file: 's.npy', trim: { pad: 0 } } } }, '"trim" cannot be applied'],
    [
      'turned strings',
      { inputs: { x: { file: 's.npy', shape: [1, 1, 3], layout: 'NHWC' } } },
      '"layout" cannot be applied',
    ],
    ['scaled strings', { inputs: { x: { file: 's.npy', scale: 2, dtype: 'string' } } }, '"scale" cannot be applied'],
    [
      'NaN as a whole number',
      { inputs: { x: { file: 'nan.npy', dtype: 'int64' } } },
      'NaN cannot become a 64-bit integer',
    ],
  ])('%s', async (_, json, message) => {
    const failure = read(json);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(UserError);
  });

  test('a model input of strings that would be made from numbers', async () => {
    const inputs = [{ name: 'c', dtype: 'string', shape: [2] }];
    await expect(read({ inputs: { x, c: { constant: 1, shape: [2] } } }, { inputs })).rejects.toThrow(
      'The model\'s input "c" is string',
    );
  });

  test('an output of strings under a metric', async () => {
    const output = stringTensor([1], [new TextEncoder().encode('cat')]);
    const batch = { output, size: 1, labels: [0], targets: undefined, reference: undefined };
    const metric = await makeMetric('top1');
    expect(() => metric.score(batch)).toThrow('The output is of type string, which no metric can judge');
  });
});
