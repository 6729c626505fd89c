import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Batch, BatchOptions } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open-dataset.ts';
import { toNumbers } from '../../src/ir/tensor.ts';
import type { IoInfo } from '../../src/report/report.ts';
import { npyFile } from './npy-file.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-data-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => from + at);

function put(name: string, descr: string, shape: number[], data: ArrayBufferView): void {
  writeFileSync(join(dir, name), npyFile(descr, shape, data));
}

function describeAs(json: Record<string, unknown>): void {
  writeFileSync(join(dir, 'dataset.json'), JSON.stringify({ schema: 'mlpack.dataset/1', ...json }));
}

async function batchesOf(options: BatchOptions = {}): Promise<Batch[]> {
  const dataset = await openDataset(dir);
  const batches: Batch[] = [];
  for await (const batch of dataset.batches(options)) batches.push(batch);
  await dataset.close();
  return batches;
}

const numbers = (batch: Batch | undefined, name: string): number[] | undefined => {
  const tensor = batch?.feeds.get(name);
  return tensor && toNumbers(tensor);
};

const input = (name: string, dtype: string, shape: (number | string | null)[]): IoInfo => ({ name, dtype, shape });

describe('arrays', () => {
  test('are cast, scaled, labelled and cut into batches', async () => {
    put('x.npy', '|u1', [5, 2], Uint8Array.from(range(10)));
    put('y.npy', '<i8', [5], BigInt64Array.from(range(5), BigInt));
    describeAs({
      inputs: { x: { file: 'x.npy', dtype: 'float32', scale: 0.5, bias: 1 } },
      labels: { file: 'y.npy', offset: 1 },
      batch: 2,
    });
    const batches = await batchesOf();
    expect(batches.map((batch) => [batch.first, batch.size, batch.labels])).toEqual([
      [0, 2, [1, 2]],
      [2, 2, [3, 4]],
      [4, 1, [5]],
    ]);
    expect(batches[1]?.feeds.get('x')?.dtype).toBe('float32');
    expect(batches[1]?.feeds.get('x')?.shape).toEqual([2, 2]);
    expect(numbers(batches[1], 'x')).toEqual([3, 3.5, 4, 4.5]);
    expect((await batchesOf({ samples: 3, batch: 10 })).map((batch) => batch.size)).toEqual([3]);
  });

  test('per-channel scales run along the axis, NHWC becomes NCHW', async () => {
    put('x.npy', '|u1', [1, 2, 2, 3], Uint8Array.from(range(12)));
    describeAs({
      inputs: { x: { file: 'x.npy', dtype: 'float32', layout: 'NHWC', scale: [1, 10, 100], bias: [0, 0, 1], axis: 1 } },
    });
    const [batch] = await batchesOf();
    expect(batch?.feeds.get('x')?.shape).toEqual([1, 3, 2, 2]);
    expect(numbers(batch, 'x')).toEqual([0, 3, 6, 9, 10, 40, 70, 100, 201, 501, 801, 1101]);
  });

  test('padding is trimmed to the longest sample, masks and constants follow', async () => {
    put('ids.npy', '<i8', [3, 4], BigInt64Array.from([5, 6, 0, 0, 7, 8, 9, 0, 1, 0, 0, 0], BigInt));
    describeAs({
      inputs: {
        mask: { from: 'ids', notEqual: 0 },
        ids: { file: 'ids.npy', trim: { pad: 0 } },
        positions: { from: 'ids', positions: true },
        types: { constant: 0, like: 'ids' },
        rate: { constant: 16000, shape: [], dtype: 'int64' },
      },
      batch: 2,
    });
    const [first, second] = await batchesOf();
    expect(first?.feeds.get('ids')?.shape).toEqual([2, 3]);
    expect(numbers(first, 'ids')).toEqual([5, 6, 0, 7, 8, 9]);
    expect(numbers(first, 'mask')).toEqual([1, 1, 0, 1, 1, 1]);
    expect(numbers(first, 'positions')).toEqual([0, 1, 2, 0, 1, 2]);
    expect(numbers(first, 'types')).toEqual([0, 0, 0, 0, 0, 0]);
    expect(first?.feeds.get('rate')?.shape).toEqual([]);
    expect(numbers(first, 'rate')).toEqual([16000]);
    expect(second?.feeds.get('ids')?.shape).toEqual([1, 1]);
  });

  test('samples are reshaped and fed without a batch axis where asked', async () => {
    put('x.npy', '<f4', [2, 6], Float32Array.from(range(12)));
    describeAs({ inputs: { x: { file: 'x.npy', shape: [2, 3], dropBatch: true } }, batch: 8 });
    const batches = await batchesOf();
    expect(batches.map((batch) => batch.feeds.get('x')?.shape)).toEqual([
      [2, 3],
      [2, 3],
    ]);
    expect(numbers(batches[1], 'x')).toEqual([6, 7, 8, 9, 10, 11]);
  });

  test('samples are fed one by one to a model whose input has no batch axis', async () => {
    put('x.npy', '<f4', [2, 3, 2], Float32Array.from(range(12)));
    describeAs({ inputs: { x: { file: 'x.npy' } }, batch: 8 });
    const inputs = [{ name: 'x', dtype: 'float32', shape: [3, 'width'] }];
    const batches = await batchesOf({ inputs });
    expect(batches.map(({ feeds, size, unbatched }) => [feeds.get('x')?.shape, size, unbatched])).toEqual([
      [[3, 2], 1, true],
      [[3, 2], 1, true],
    ]);
    expect(numbers(batches[1], 'x')).toEqual([6, 7, 8, 9, 10, 11]);
    // What may be a batch is not taken for a dimension of one sample.
    await expect(batchesOf({ inputs: [{ name: 'x', dtype: 'float32', shape: ['n', 2] }] })).rejects.toThrow(
      /the model takes \[n, 2\], but the samples of .* make \[\?, 3, 2\]. "dropBatch": true in dataset.json feeds them one by one/,
    );
  });

  test('shuffling depends on the seed only and keeps labels with their samples', async () => {
    put('x.npy', '<f4', [50, 1], Float32Array.from(range(50)));
    put('y.npy', '<i4', [50], Int32Array.from(range(50)));
    describeAs({ inputs: { x: { file: 'x.npy' } }, labels: { file: 'y.npy' }, batch: 50 });
    const [a] = await batchesOf({ seed: 1 });
    const [b] = await batchesOf({ seed: 1 });
    const [c] = await batchesOf({ seed: 2 });
    expect(numbers(a, 'x')).toEqual(a?.labels);
    expect(a?.indices).toEqual(a?.labels);
    expect(a?.labels).toEqual(b?.labels);
    expect(a?.labels).not.toEqual(c?.labels);
    expect([...(a?.labels ?? [])].sort((p, q) => p - q)).toEqual(range(50));
  });

  test('calibration has its own file and no labels', async () => {
    put('x.npy', '<f4', [2, 1], Float32Array.of(1, 2));
    put('c.npy', '<f4', [3, 1], Float32Array.of(7, 8, 9));
    put('y.npy', '<i4', [2], Int32Array.of(0, 1));
    describeAs({ inputs: { x: { file: 'x.npy', calibration: 'c.npy' } }, labels: { file: 'y.npy' }, batch: 8 });
    const [batch] = await batchesOf({ split: 'calibration' });
    expect(numbers(batch, 'x')).toEqual([7, 8, 9]);
    expect(batch?.labels).toBeUndefined();
    const dataset = await openDataset(dir);
    expect([dataset.samples, dataset.calibrationSamples, dataset.notes]).toEqual([2, 3, []]);
    await dataset.close();
  });

  test('calibrating on the evaluation file is pointed out', async () => {
    put('x.npy', '<f4', [2, 1], Float32Array.of(1, 2));
    describeAs({ inputs: { x: { file: 'x.npy', calibration: 'x.npy' } } });
    const dataset = await openDataset(dir);
    expect(dataset.notes).toEqual([expect.stringContaining('calibrated on the samples it is evaluated on')]);
    await dataset.close();
  });
});

describe('the model that is fed', () => {
  beforeEach(() => {
    put('x.npy', '<f4', [3, 2], Float32Array.from(range(6)));
    describeAs({ inputs: { x: { file: 'x.npy' }, extra: { constant: 1, shape: [1], dtype: 'float32' } }, batch: 2 });
  });

  test('gets its own inputs only, in its own types', async () => {
    const [batch] = await batchesOf({ inputs: [input('x', 'float16', ['n', 2])] });
    expect([...(batch?.feeds.keys() ?? [])]).toEqual(['x']);
    expect(batch?.feeds.get('x')?.dtype).toBe('float16');
  });

  test('keeps its fixed batch: the last one is filled up', async () => {
    const batches = await batchesOf({ inputs: [input('x', 'float32', [2, 2])], batch: 7 });
    expect(batches.map((batch) => [batch.size, batch.feeds.get('x')?.shape])).toEqual([
      [2, [2, 2]],
      [1, [2, 2]],
    ]);
    expect(numbers(batches[1], 'x')).toEqual([4, 5, 4, 5]);
  });

  test.each([
    [[input('x', 'float32', ['n', 3])], 'Input "x": the model takes [n, 3], but the samples of '],
    [[input('x', 'float32', ['n', 3])], 'make [?, 2]'],
    [[input('x', 'int64', ['n', 2])], 'input "x" is int64, but'],
    [[input('xx', 'float32', ['n', 2])], 'has an input "xx" that'],
    [[input('xx', 'float32', ['n', 2])], 'did you mean "x"?'],
  ])('that does not fit is named with both sides: %j', async (inputs, message) => {
    await expect(batchesOf({ inputs })).rejects.toThrow(message);
  });
});

describe('pictures', () => {
  async function picture(name: string, width: number, height: number, color: string): Promise<void> {
    await sharp({ create: { width, height, channels: 3, background: color } })
      .png()
      .toFile(join(dir, 'images', name));
  }

  beforeEach(() => mkdirSync(join(dir, 'images')));

  test('are decoded in the order of their names, normalized, and labelled by name', async () => {
    await picture('b.png', 4, 4, '#0000ff');
    await picture('a.png', 4, 4, '#ff8000');
    writeFileSync(join(dir, 'images', 'notes.txt'), 'no picture');
    writeFileSync(join(dir, 'labels.json'), JSON.stringify({ 'b.png': 1, 'a.png': 0 }));
    const images = { images: 'images', size: [2, 2], mean: [0, 128, 255], std: 255 };
    describeAs({ inputs: { x: images }, labels: { file: 'labels.json' }, batch: 2 });
    const [batch] = await batchesOf();
    expect(batch?.labels).toEqual([0, 1]);
    expect(batch?.feeds.get('x')?.shape).toEqual([2, 3, 2, 2]);
    const channel = (sample: number, plane: number): number =>
      numbers(batch, 'x')?.[(sample * 3 + plane) * 4] ?? Number.NaN;
    expect([channel(0, 0), channel(0, 1), channel(0, 2)]).toEqual([1, 0, -1]);
    expect([channel(1, 0), channel(1, 2)]).toEqual([0, 0]);
    describeAs({ inputs: { x: { ...images, channels: 'BGR', layout: 'NHWC', mean: 0, std: 1 } }, batch: 1 });
    const [first] = await batchesOf();
    expect(numbers(first, 'x')?.slice(0, 3)).toEqual([0, 128, 255]);
  });

  test.each([
    ['png', 'bilinear', [10, 86, 200, 98, 30, 130, 118, 100, 76, 60, 250, 150, 0, 54, 90]],
    ['png', 'lanczos', [0, 81, 225, 114, 0, 128, 125, 100, 70, 57, 255, 168, 0, 26, 121]],
    ['webp', 'nearest', [10, 10, 200, 30, 30, 250, 250, 0, 90, 90, 250, 250, 0, 90, 90]],
  ])('that grow (%s, %s) lie where Pillow lays them', async (format, interpolation, expected) => {
    await sharp(Uint8Array.of(10, 200, 30, 250, 0, 90), { raw: { width: 3, height: 2, channels: 1 } })
      .toFormat(format as 'png' | 'webp', { lossless: true })
      .toFile(join(dir, 'images', `a.${format}`));
    const images = { images: 'images', channels: 'GRAY', interpolation };
    describeAs({ inputs: { x: { ...images, size: [3, 5], crop: 'none' } } });
    expect(numbers((await batchesOf())[0], 'x')).toEqual(expected);
  });

  test('that grow are cropped and letterboxed as others are, and one side may grow while the other shrinks', async () => {
    const rows = Uint8Array.from({ length: 12 }, (_, at) => Math.floor(at / 3) * 80);
    await sharp(rows, { raw: { width: 3, height: 4, channels: 1 } })
      .png()
      .toFile(join(dir, 'images', 'a.png'));
    const images = { images: 'images', channels: 'GRAY' };
    describeAs({ inputs: { x: { ...images, size: [2, 6], resize: 6 } } });
    expect(numbers((await batchesOf())[0], 'x')).toEqual([...Array(6).fill(100), ...Array(6).fill(140)]);
    describeAs({ inputs: { x: { ...images, size: [8, 8], crop: 'letterbox', pad: 7 } } });
    const column = [0, 20, 60, 100, 140, 180, 220, 240];
    expect(numbers((await batchesOf())[0], 'x')).toEqual(column.flatMap((v) => [7, v, v, v, v, v, v, 7]));
    describeAs({ inputs: { x: { ...images, size: [2, 6], crop: 'none', interpolation: 'nearest' } } });
    expect(numbers((await batchesOf())[0], 'x')).toEqual([...Array(6).fill(80), ...Array(6).fill(240)]);
    describeAs({ inputs: { x: { ...images, size: [4, 2], crop: 'none' } } });
    expect(numbers((await batchesOf())[0], 'x')).toEqual([0, 0, 80, 80, 160, 160, 240, 240]);
  });

  test('of WebP shrink by the same kernel as others', async () => {
    const noise = Uint8Array.from({ length: 40 * 40 * 3 }, (_, at) => (Math.imul(at + 1, 2654435761) >>> 24) & 255);
    const source = sharp(noise, { raw: { width: 40, height: 40, channels: 3 } });
    await source
      .clone()
      .png()
      .toFile(join(dir, 'images', 'a.png'));
    await source.webp({ lossless: true }).toFile(join(dir, 'images', 'b.webp'));
    describeAs({ inputs: { x: { images: 'images', size: [15, 15], crop: 'none' } }, batch: 1 });
    const [png, webp] = await batchesOf();
    expect(numbers(webp, 'x')).toEqual(numbers(png, 'x'));
  });

  test('are grey as Pillow has it', async () => {
    await picture('r.png', 2, 2, '#ff0000');
    await picture('s.png', 2, 2, '#00ff00');
    await picture('t.png', 2, 2, '#0ac85a');
    describeAs({ inputs: { x: { images: 'images', size: [2, 2], channels: 'GRAY' } }, batch: 3 });
    const [batch] = await batchesOf();
    expect(numbers(batch, 'x')?.filter((_, at) => at % 4 === 0)).toEqual([76, 150, 131]);
  });

  test('are resized by the shorter side and cropped in the middle', async () => {
    const left = await sharp({ create: { width: 10, height: 10, channels: 3, background: '#000000' } })
      .png()
      .toBuffer();
    await sharp({ create: { width: 30, height: 10, channels: 3, background: '#ffffff' } })
      .composite([{ input: left, left: 0, top: 0 }])
      .png()
      .toFile(join(dir, 'images', 'wide.png'));
    describeAs({ inputs: { x: { images: 'images', size: [10, 10], resize: 10, channels: 'GRAY' } } });
    const [batch] = await batchesOf();
    expect(batch?.feeds.get('x')?.shape).toEqual([1, 1, 10, 10]);
    expect(new Set(numbers(batch, 'x'))).toEqual(new Set([255]));
  });

  test('resized by the shorter side have a longer one of whole pixels, as torchvision cuts it down', async () => {
    await picture('landscape.png', 640, 427, '#ff8000');
    // 256 · 640 / 427 = 383.7
    describeAs({ inputs: { x: { images: 'images', size: [256, 384], resize: 256 } } });
    await expect(batchesOf()).rejects.toThrow('leaves 256×383 of');
  });

  test('prepared ahead are the same, each used once; one that cannot be decoded is still told when it is read', async () => {
    await picture('a.png', 4, 4, '#ff8000');
    await picture('b.png', 4, 4, '#0000ff');
    describeAs({ inputs: { x: { images: 'images', size: [2, 2] } }, batch: 2 });
    const expected = numbers((await batchesOf())[0], 'x');
    const dataset = await openDataset(dir);
    await dataset.prefetch();
    for (let turn = 0; turn < 2; turn++)
      for await (const batch of dataset.batches()) expect(numbers(batch, 'x')).toEqual(expected);
    await dataset.close();
    writeFileSync(join(dir, 'images', 'a.png'), 'no picture');
    const broken = await openDataset(dir);
    await broken.prefetch();
    await expect(async () => {
      for await (const _ of broken.batches());
    }).rejects.toThrow(/a\.png cannot be decoded/);
    await broken.close();
  });

  test('that cannot be decoded are named', async () => {
    writeFileSync(join(dir, 'images', 'broken.jpg'), 'no jpeg');
    describeAs({ inputs: { x: { images: 'images', size: [2, 2] } } });
    await expect(batchesOf()).rejects.toThrow(/broken\.jpg cannot be decoded: [^\n]+\.$/);
  });
});

describe('wrong descriptions', () => {
  const good = { inputs: { x: { file: 'x.npy' } } };
  beforeEach(() => {
    put('x.npy', '<f4', [3, 2], Float32Array.from(range(6)));
    put('y.npy', '<i4', [3], Int32Array.of(0, 1, 5));
    put('short.npy', '<i4', [2], Int32Array.of(0, 1));
    put('other.npy', '<f4', [4, 2], Float32Array.from(range(8)));
    put('narrow.npy', '<f4', [3, 1], Float32Array.from(range(3)));
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['another schema', { ...good, schema: 'mlpack.dataset/9' }, 'schema is "mlpack.dataset/9"'],
    ['an unknown key', { ...good, batchSize: 3 }, 'the file has an unknown key "batchSize"'],
    [
      'an unknown key with a near name',
      { inputs: { x: { file: 'x.npy', calib: 'c.npy', scal: 1 } } },
      'unknown key "calib"',
    ],
    ['a mistyped key', { inputs: { x: { file: 'x.npy', scal: 1 } } }, 'unknown key "scal" (did you mean "scale"?)'],
    ['no inputs', { inputs: {} }, 'inputs names no model input'],
    [
      'two sources',
      { inputs: { x: { file: 'x.npy', constant: 1 } } },
      'exactly one of "file", "images", "text", "audio", "from", "constant" and "state"',
    ],
    ['a bad type', { inputs: { x: { file: 'x.npy', dtype: 'float23' } } }, 'no element type (did you mean "float'],
    ['a bad number', { ...good, batch: 0 }, '"batch" must be a whole number of at least 1'],
    [
      'a reference to nothing',
      { inputs: { ...good.inputs, m: { from: 'xx', notEqual: 0 } } },
      'refers to "xx", which is no input here',
    ],
    ['a missing file', { inputs: { x: { file: 'none.npy' } } }, 'names "none.npy", but in'],
    ['a file outside', { inputs: { x: { file: '../x.npy' } } }, 'files must lie inside'],
    ['an absolute path', { inputs: { x: { file: '/etc/passwd' } } }, 'files must lie inside'],
    [
      'different counts',
      { inputs: { x: { file: 'x.npy' }, z: { file: 'other.npy' } } },
      'input "x" has 3 eval samples, but "z" has 4',
    ],
    ['too few labels', { ...good, labels: { file: 'short.npy' } }, 'has 2 labels for 3 samples'],
    [
      'a label out of range',
      { ...good, labels: { file: 'y.npy', names: ['a', 'b'] } },
      'the label of sample 2 is 5; allowed are 0 to 1',
    ],
    ['a negative label', { ...good, labels: { file: 'y.npy', offset: -1 } }, 'the label of sample 0 is -1'],
    ['an impossible shape', { inputs: { x: { file: 'x.npy', shape: [3] } } }, 'cannot be read as "shape" [3]'],
    [
      'scales that do not fit',
      { inputs: { x: { file: 'x.npy', scale: [1, 2, 3] } } },
      '"scale" has 3 numbers, but axis 1 of [?, 2] has 2 entries',
    ],
    [
      'another calibration shape',
      { inputs: { x: { file: 'x.npy', calibration: 'narrow.npy' } } },
      'has rows of shape [1], but',
    ],
    [
      'NHWC without channels',
      { inputs: { x: { file: 'x.npy', layout: 'NHWC' } } },
      'needs samples of [height, width, channels]',
    ],
  ])('%s', async (_, json, message) => {
    describeAs(json);
    await expect(openDataset(dir)).rejects.toThrow(message);
  });

  test('no JSON, no folder, no calibration', async () => {
    writeFileSync(join(dir, 'dataset.json'), '{');
    await expect(openDataset(dir)).rejects.toThrow('dataset.json is no valid JSON');
    await expect(openDataset(join(dir, 'x.npy'))).rejects.toThrow('it is no folder');
    await expect(openDataset(join(dir, 'none'), [])).rejects.toThrow('there is no such folder');
    describeAs(good);
    await expect(batchesOf({ split: 'calibration' })).rejects.toThrow('has no calibration samples');
  });

  test('a link that leads out of the folder', async () => {
    symlinkSync('/etc/hostname', join(dir, 'out.npy'));
    describeAs({ inputs: { x: { file: 'out.npy' } } });
    await expect(openDataset(dir)).rejects.toThrow('is a link that leads out');
  });
});

describe('without a dataset.json', () => {
  const one = [input('data', 'float32', ['n', 2])];

  test('files are matched by name, and said so', async () => {
    put('x_test.npy', '<f4', [3, 2], Float32Array.from(range(6)));
    put('x_calib.npy', '<f4', [2, 2], Float32Array.from(range(4)));
    put('y_test.npy', '<i4', [3], Int32Array.of(0, 1, 0));
    const dataset = await openDataset(dir, one);
    expect([dataset.samples, dataset.calibrationSamples, dataset.hasLabels, dataset.metric]).toEqual([
      3,
      2,
      true,
      'top1',
    ]);
    expect(dataset.notes).toEqual([
      'Without a dataset.json: x_test.npy feeds "data" as it is, x_calib.npy calibrates it.',
      'Without a dataset.json: y_test.npy gives the classes, judged by top1.',
    ]);
    await dataset.close();
  });

  test('several inputs need files of their names', async () => {
    put('input_ids.npy', '<i8', [1, 2], BigInt64Array.of(1n, 2n));
    put('mask.npy', '<i8', [1, 2], BigInt64Array.of(1n, 1n));
    const inputs = [input('input_ids', 'int64', ['n', 's']), input('attention_mask', 'int64', ['n', 's'])];
    await expect(openDataset(dir, inputs)).rejects.toThrow(
      'no file in it could feed the model\'s input "attention_mask"',
    );
  });

  test('what is ambiguous is refused', async () => {
    put('a.npy', '<f4', [1, 2], Float32Array.of(1, 2));
    put('b.npy', '<f4', [1, 2], Float32Array.of(1, 2));
    await expect(openDataset(dir, one)).rejects.toThrow('several files (a.npy, b.npy)');
    await expect(openDataset(dir)).rejects.toThrow('has no dataset.json');
  });

  test('a folder above the described one is told which one was meant', async () => {
    mkdirSync(join(dir, 'eval'));
    writeFileSync(join(dir, 'eval', 'dataset.json'), '{}');
    await expect(openDataset(dir, one)).rejects.toThrow(`${join(dir, 'eval')} has one: give that folder`);
  });
});
