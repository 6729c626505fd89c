import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Batch, BatchOptions, Dataset } from '../../src/data/dataset.ts';
import { makeMetric } from '../../src/data/metrics/registry.ts';
import { openDataset } from '../../src/data/open-dataset.ts';
import { findImageDefaults } from '../../src/data/processor.ts';
import { type Tensor, tensorFrom, toNumbers } from '../../src/ir/tensor.ts';
import type { IoInfo } from '../../src/report/report.ts';

const fixture = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).pathname;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-kinds-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function put(name: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), content);
}
const describeAs = (json: Record<string, unknown>): void =>
  put('dataset.json', JSON.stringify({ schema: 'mlpack.dataset/1', ...json }));

async function read(options: BatchOptions = {}, inputs?: readonly IoInfo[], modelDir?: string) {
  const dataset = await openDataset(dir, inputs, { modelDir });
  const batches: Batch[] = [];
  for await (const batch of dataset.batches({ ...options, ...(inputs && { inputs }) })) batches.push(batch);
  await dataset.close();
  return { dataset, batches };
}

const rows = (tensor: Tensor | undefined): number[][] => {
  const [count = 0, width = 0] = tensor?.shape ?? [];
  const values = tensor ? toNumbers(tensor) : undefined;
  return Array.from({ length: count }, (_, row) => values!.slice(row * width, (row + 1) * width));
};

const colour = (red: number, size = 8): Promise<Uint8Array> =>
  sharp({ create: { width: size, height: size, channels: 3, background: { r: red, g: 0, b: 0 } } })
    .png()
    .toBuffer();

describe('texts', () => {
  const expected = JSON.parse(readFileSync(fixture('tokens.json'), 'utf8'));
  const lines = expected.texts.map((text: string, at: number) =>
    JSON.stringify({ text, other: expected.pairs[at], label: at % 2 }),
  );
  const textInputs = (more: object = {}) => ({
    input_ids: { text: 't.jsonl', ...more },
    attention_mask: { from: 'input_ids', take: 'attention_mask' },
    token_type_ids: { from: 'input_ids', take: 'token_type_ids' },
  });

  test.each(['words', 'bytes'])('%s are the tokens of Python transformers, padded', async (name) => {
    cpSync(fixture(name), join(dir, 'tok'), { recursive: true });
    put('t.jsonl', lines.join('\n'));
    describeAs({ inputs: textInputs({ tokenizer: 'tok' }), labels: { file: 't.jsonl', column: 'label' }, batch: 10 });
    put('config.json', '{"id2label": {"0": "no", "1": "yes"}}');
    const { dataset, batches } = await read();
    expect(dataset.labelNames).toEqual(['no', 'yes']);
    expect(batches[0]?.labels).toEqual([0, 1, 0, 1, 0]);
    for (const [key, wanted] of Object.entries(expected[name].single))
      expect(rows(batches[0]?.feeds.get(key))).toEqual(wanted);
  });

  test('another tokenizer is another preparation of the same samples', async () => {
    const prepared = async (): Promise<unknown> => (await read({}, undefined, join(dir, 'model'))).dataset.preparation;
    cpSync(fixture('words'), join(dir, 'model'), { recursive: true });
    put('t.jsonl', lines.join('\n'));
    describeAs({ inputs: { input_ids: textInputs().input_ids } });
    const before = await prepared();
    expect(await prepared()).toEqual(before);
    const config = JSON.parse(readFileSync(join(dir, 'model/tokenizer_config.json'), 'utf8')) as object;
    put('model/tokenizer_config.json', JSON.stringify({ ...config, model_max_length: 3 }));
    expect(await prepared()).not.toEqual(before);
  });

  test('pairs are cut from the longer text first', async () => {
    cpSync(fixture('words'), dir, { recursive: true });
    put('t.jsonl', lines.join('\n'));
    describeAs({ inputs: textInputs({ pair: 'other', maxLength: 8 }), batch: 10 });
    const { batches } = await read();
    for (const [key, wanted] of Object.entries(expected.words.pair8))
      expect(rows(batches[0]?.feeds.get(key))).toEqual(wanted);
  });

  test('pairs encoded separately stand behind each other', async () => {
    cpSync(fixture('words'), dir, { recursive: true });
    put('t.jsonl', lines.slice(0, 2).join('\n'));
    describeAs({ inputs: textInputs({ pair: 'other', encode: 'separately' }), batch: 10 });
    const { batches } = await read();
    expect(batches[0]?.size).toBe(2);
    expect(batches[0]?.feeds.get('input_ids')?.shape[0]).toBe(4);
  });

  test('a folder with a table alone is understood, the tokenizer comes from the model', async () => {
    put('test.jsonl', lines.join('\n'));
    const io = (name: string): IoInfo => ({ name, dtype: 'int64', shape: ['n', 'length'] });
    const { dataset, batches } = await read({}, ['input_ids', 'attention_mask'].map(io), fixture('words'));
    expect(rows(batches[0]?.feeds.get('input_ids'))).toEqual(expected.words.single.input_ids);
    expect(dataset.metric).toBe('top1');
    expect(dataset.notes.join()).toContain('"text" of test.jsonl feeds "input_ids"');
  });

  test('a missing tokenizer, column and product are named', async () => {
    put('t.jsonl', lines.join('\n'));
    describeAs({ inputs: { input_ids: { text: 't.jsonl' } } });
    await expect(openDataset(dir)).rejects.toThrow('There is no tokenizer.json in');
    cpSync(fixture('words'), dir, { recursive: true });
    describeAs({ inputs: { input_ids: { text: 't.jsonl', column: 'txt' } } });
    await expect(openDataset(dir)).rejects.toThrow('no column "txt" (did you mean "text"?)');
    describeAs({ inputs: { input_ids: { text: 't.jsonl' }, y: { from: 'input_ids', take: 'masks' } } });
    await expect(read()).rejects.toThrow('"take" names "masks"');
  });
});

describe('pictures', () => {
  const spec = { images: 'pics', size: [2, 2] };
  test('folders are classes, found without a dataset.json; the model’s processor prepares', async () => {
    put('cat/1.png', await colour(255));
    put('dog/a.png', await colour(51));
    put('dog/._a.png', 'resource fork');
    put(
      'preprocessor_config.json',
      JSON.stringify({
        image_mean: [0.5, 0.5, 0.5],
        image_std: [0.25, 0.5, 0.5],
        size: { height: 2, width: 2 },
        resample: 2,
      }),
    );
    const { dataset, batches } = await read({}, [{ name: 'x', dtype: 'float32', shape: ['n', 3, 2, 2] }]);
    expect(dataset.labelNames).toEqual(['cat', 'dog']);
    expect(batches[0]?.labels).toEqual([0, 1]);
    const [cat, dog] =
      rows(batches[0]?.feeds.get('x')).flatMap(() => []).length === 0
        ? [toNumbers(batches[0]!.feeds.get('x')!)!.slice(0, 12), toNumbers(batches[0]!.feeds.get('x')!)!.slice(12)]
        : [];
    // (1 − 0.5) / 0.25, (0 − 0.5) / 0.5; (0.2 − 0.5) / 0.25
    for (const [at, value] of [2, 2, 2, 2, -1, -1, -1, -1, -1, -1, -1, -1].entries())
      expect(cat![at]).toBeCloseTo(value, 5);
    expect(dog![0]).toBeCloseTo(-1.2, 5);
    expect(dataset.sampleName('eval', 1)).toBe('dog/a.png');
  });

  test('a letterbox keeps proportions, and boxes find their way back', async () => {
    const wide = sharp({ create: { width: 40, height: 20, channels: 3, background: { r: 255, g: 255, b: 255 } } });
    put('pics/1.png', await wide.png().toBuffer());
    describeAs({ inputs: { x: { ...spec, size: [8, 8], crop: 'letterbox', pad: 100 } } });
    const { batches } = await read();
    const values = toNumbers(batches[0]!.feeds.get('x')!)!.slice(0, 64);
    expect(values.slice(0, 16)).toEqual(Array.from({ length: 16 }, () => 100));
    expect(values.slice(16, 48)).toEqual(Array.from({ length: 32 }, () => 255));
    expect(batches[0]?.geometry?.[0]).toEqual({
      width: 40,
      height: 20,
      scaleX: 0.2,
      scaleY: 0.2,
      left: 0,
      top: 2,
      fedWidth: 8,
      fedHeight: 8,
    });
  });

  test('a few damaged files are left out and counted; many are an error', async () => {
    for (let at = 0; at < 7; at++) put(`pics/${at}.png`, at === 2 ? 'no picture' : await colour(at));
    put('labels.json', JSON.stringify([0, 1, 2, 3, 4, 5, 6]));
    describeAs({ inputs: { x: spec }, labels: { file: 'labels.json' }, batch: 3, maxBad: 0.2 });
    const { dataset, batches } = await read();
    expect(batches.map(({ first, size, labels, indices }) => [first, size, labels, indices])).toEqual([
      [0, 2, [0, 1], [0, 1]],
      [2, 3, [3, 4, 5], [3, 4, 5]],
      [5, 1, [6], [6]],
    ]);
    expect(dataset.bad.count).toBe(1);
    expect(dataset.bad.examples[0]).toContain('2.png cannot be decoded');
    // Samples taken before do not count against a part, nor does its size.
    for await (const batch of dataset.batches({ samples: 3, skip: 2, seed: 1 })) expect(batch.size).toBeLessThan(4);
    expect((await read({ samples: 3 })).batches.map(({ size }) => size)).toEqual([2]);
    put('dataset.json', `\uFEFF${readFileSync(join(dir, 'dataset.json'), 'utf8')}`);
    expect((await read()).batches).toHaveLength(3);
    describeAs({ inputs: { x: spec }, batch: 3, maxBad: 0.1 });
    await expect(read()).rejects.toThrow('more than 10 % of the samples');
  });

  test.each([
    [
      { size: { shortest_edge: 384 }, crop_pct: 1 },
      { size: [384, 384], crop: 'none' },
    ],
    [
      { size: { shortest_edge: 224 }, crop_pct: 0.95 },
      { size: [224, 224], resize: 235, crop: 'center' },
    ],
  ])('ConvNeXT prepares by %o', async (config, wanted) => {
    put('preprocessor_config.json', JSON.stringify({ image_processor_type: 'ConvNextImageProcessor', ...config }));
    expect((await findImageDefaults([dir]))?.defaults).toEqual({ ...wanted, scale: 1 / 255 });
  });

  test('a picture that is cut short is no sample', async () => {
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * 7919) % 251);
    const jpeg = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer();
    for (let at = 0; at < 5; at++) put(`pics/${at}.jpg`, at === 4 ? jpeg.subarray(0, jpeg.length / 2) : jpeg);
    describeAs({ inputs: { x: spec }, maxBad: 0.2 });
    const { dataset, batches } = await read();
    expect([batches.length, dataset.bad.count]).toEqual([4, 1]);
  });

  test('labels that are words have the numbers that the model gives them, where it names them all', async () => {
    put('x.csv', 'v,label\n1,hen\n2,ox\n3,hen\n');
    describeAs({ inputs: { x: { file: 'x.csv', columns: ['v'] } }, labels: { file: 'x.csv' } });
    const config = (names: object): void => put('model/config.json', JSON.stringify({ id2label: names }));
    const seen = async (): Promise<unknown[]> => {
      const { dataset, batches } = await read({}, undefined, join(dir, 'model'));
      return [batches.flatMap(({ labels }) => labels), dataset.labelNames, dataset.notes.join(' ')];
    };
    expect(await seen()).toEqual([[0, 1, 0], ['hen', 'ox'], '']);
    config({ 0: 'OX', 2: 'Hen', 1: 'cow' });
    expect(await seen()).toEqual([
      [2, 0, 2],
      ['ox', 'cow', 'hen'],
      expect.stringMatching(/numbered as .*config\.json/),
    ]);
    config({ 0: 'ox', 3: 'hen' });
    expect(await seen()).toEqual([[3, 0, 3], ['ox', 'class 1', 'class 2', 'hen'], expect.stringContaining('id2label')]);
    config({ 0: 'ox', 1: 'goose' });
    expect(await seen()).toEqual([[0, 1, 0], ['hen', 'ox'], expect.stringContaining('"hen" is none of the classes')]);
  });

  test('labels by a table; a file named twice or not at all is refused', async () => {
    for (const name of ['a', 'b']) put(`pics/${name}.png`, await colour(1));
    const labels = { file: 'l.csv', column: 'class', id: 'file' };
    describeAs({ inputs: { x: spec }, labels });
    put('l.csv', 'file,class\nb.png,hen\na.png,ox\n');
    const { dataset, batches } = await read();
    expect(dataset.labelNames).toEqual(['hen', 'ox']);
    expect(batches.map(({ labels: own }) => own)).toEqual([[1], [0]]);
    put('l.csv', 'file,class\nb.png,hen\nb.png,ox\n');
    await expect(openDataset(dir)).rejects.toThrow('names "b.png" twice');
    put('l.csv', 'file,class\nb.png,hen\n');
    await expect(openDataset(dir)).rejects.toThrow('no label for the file a.png');
    put('l.json', '{"a.png": 1, "b.png": 0, "a.png": 0}');
    describeAs({ inputs: { x: spec }, labels: { file: 'l.json' } });
    await expect(openDataset(dir)).rejects.toThrow('names "a.png" twice');
  });
});

describe('one set parted', () => {
  const values = (batches: readonly Batch[]): number[] => batches.flatMap((batch) => toNumbers(batch.feeds.get('x')!)!);
  test('no sample is in both parts, the same seed gives the same parts', async () => {
    put('x.csv', `v\n${Array.from({ length: 20 }, (_, at) => at).join('\n')}`);
    const as = (split: object): void =>
      describeAs({
        inputs: { x: { file: 'x.csv', columns: ['v'] } },
        labels: { file: 'x.csv', column: 'v' },
        split,
        batch: 7,
      });
    as({ calibration: 6, seed: 3 });
    const { dataset, batches } = await read();
    const calibration = values((await read({ split: 'calibration' })).batches);
    expect([dataset.samples, dataset.calibrationSamples]).toEqual([14, 6]);
    expect(batches.flatMap(({ labels }) => labels)).toEqual(values(batches));
    expect([...values(batches), ...calibration].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, at) => at),
    );
    expect(values((await read({ split: 'calibration' })).batches)).toEqual(calibration);
    as({ calibration: 6, seed: 4 });
    expect(values((await read({ split: 'calibration' })).batches)).not.toEqual(calibration);
    as({ calibration: 0.25 });
    expect((await read()).dataset.calibrationSamples).toBe(5);
    as({ calibration: 20 });
    await expect(openDataset(dir)).rejects.toThrow('none is left to evaluate on');
  });
});

describe('sounds', () => {
  test('are resampled, padded to the longest and described by their folder', async () => {
    for (const name of ['yes/1.wav', 'no/1.wav'])
      cpSync(fixture('pcm16.wav'), join(dir, 'clips', name), { recursive: true });
    describeAs({ inputs: { x: { audio: 'clips', sampleRate: 16000 } }, labels: { folders: true }, batch: 2 });
    const { dataset, batches } = await read();
    expect(batches[0]?.feeds.get('x')?.shape).toEqual([2, 1600]);
    expect([dataset.labelNames, batches[0]?.labels]).toEqual([
      ['no', 'yes'],
      [0, 1],
    ]);
    describeAs({ inputs: { x: { audio: 'clips', sampleRate: 8000, length: 500 } }, batch: 2 });
    expect((await read()).batches[0]?.feeds.get('x')?.shape).toEqual([2, 500]);
  });

  test('go through a feature extractor, found by a table', async () => {
    cpSync(fixture('pcm16.wav'), join(dir, 'a.wav'));
    put('list.csv', 'file,text\na.wav,hello\n');
    put(
      'fe/preprocessor_config.json',
      JSON.stringify({
        feature_extractor_type: 'WhisperFeatureExtractor',
        chunk_length: 2,
        feature_size: 80,
        hop_length: 160,
        n_fft: 400,
        n_samples: 32000,
        nb_max_frames: 200,
        sampling_rate: 16000,
      }),
    );
    describeAs({ inputs: { input_features: { audio: 'list.csv', features: 'fe' } }, texts: { file: 'list.csv' } });
    const { batches } = await read();
    expect(batches[0]?.feeds.get('input_features')?.shape).toEqual([1, 80, 200]);
    expect(batches[0]?.truths).toEqual(['hello']);
    expect(toNumbers(batches[0]!.feeds.get('input_features')!)!.every(Number.isFinite)).toBe(true);
  });
});

describe('states and wildcards', () => {
  test('states start at zero, constants fill the batch', async () => {
    put('x.csv', 'v\n1\n2\n3\n');
    describeAs({
      inputs: {
        x: { file: 'x.csv', columns: ['v'] },
        'past.*.key': { constant: 0, shape: ['batch', 2, 0, 4], dtype: 'float32' },
        h: { state: 'h_out', shape: [1, 2], dtype: 'float32' },
      },
      restart: 2,
    });
    const shapes: IoInfo[] = [
      { name: 'x', dtype: 'float64', shape: ['n', 1] },
      { name: 'past.0.key', dtype: 'float32', shape: ['n', 2, 'past', 4] },
      { name: 'past.1.key', dtype: 'float32', shape: ['n', 2, 'past', 4] },
      { name: 'h', dtype: 'float32', shape: [1, 2] },
    ];
    const { batches } = await read({ batch: 3, seed: 5 }, shapes);
    expect(batches).toHaveLength(3);
    expect(batches.map(({ startsAnew }) => startsAnew)).toEqual([true, false, true]);
    expect(batches.map(({ indices }) => indices)).toEqual([[0], [1], [2]]);
    expect(Object.fromEntries(batches[0]!.states)).toEqual({ h: 'h_out' });
    expect(batches[1]?.feeds.get('past.1.key')?.shape).toEqual([1, 2, 0, 4]);
    expect(toNumbers(batches[1]!.feeds.get('h')!)).toEqual([0, 0]);
  });
});

describe('boxes', () => {
  /** Detections of one picture as the output of a model, in the coordinates that it sees (40 × 40 out of 200 × 100). */
  const coco = JSON.parse(readFileSync(fixture('coco.json'), 'utf8'));
  const { detections, map, map50, classes } = JSON.parse(readFileSync(fixture('coco-detections.json'), 'utf8'));
  const ids = [3, 7, 9];
  interface Detection {
    readonly image_id: number;
    readonly category_id: number;
    readonly bbox: [number, number, number, number];
    readonly score: number;
  }

  async function openBoxes(crop: string): Promise<Dataset> {
    const wide = await sharp({ create: { width: 200, height: 100, channels: 3, background: 'black' } })
      .png()
      .toBuffer();
    for (const { file_name: name } of coco.images) put(`pics/${name}`, wide);
    put('coco.json', JSON.stringify(coco));
    describeAs({ inputs: { x: { images: 'pics', size: [40, 40], crop } }, boxes: 'coco.json', batch: 5 });
    return openDataset(dir);
  }

  async function evaluateBoxes(
    dataset: Dataset,
    settings: object,
    make: (own: Detection[], at: (box: Detection['bbox']) => number[]) => { shape: number[]; values: number[] },
  ) {
    const metric = await makeMetric({ name: 'map', settings: { nms: 1, ...settings } });
    const records: unknown[] = [];
    for await (const batch of dataset.batches()) {
      const made = batch.indices.map((index, sample) => {
        const { scaleX, scaleY, left, top } = batch.geometry![sample]!;
        const own = detections.filter((one: Detection) => one.image_id === index + 1);
        return make(own, ([x, y, w, h]) => [x * scaleX + left, y * scaleY + top, w * scaleX, h * scaleY]);
      });
      const output = tensorFrom(
        'float32',
        [made.length, ...made[0]!.shape],
        Float32Array.from(made.flatMap(({ values }) => values)),
      );
      records.push(...metric.score({ ...batch, output, reference: undefined }));
    }
    return { value: metric.fold(records)(), classes: metric.classes!(records) };
  }
  /** Rows up to the longest list; empty ones score nothing. */
  const most = Math.max(
    ...coco.images.map(({ id }: { id: number }) => detections.filter((one: Detection) => one.image_id === id).length),
  );

  test('mean average precision is that of pycocotools, whatever way pictures come to their size', async () => {
    const dataset = await openBoxes('letterbox');
    expect(dataset.labelNames).toEqual(['car', 'train', 'boat']);
    const rows6 = (own: Detection[], at: (box: Detection['bbox']) => number[]) => ({
      shape: [most, 6],
      values: Array.from({ length: most }, (_, row) => {
        const one = own[row];
        if (!one) return [0, 0, 0, 0, 0, 0];
        const [x = 0, y = 0, w = 0, h = 0] = at(one.bbox);
        return [x, y, x + w, y + h, one.score, ids.indexOf(one.category_id)];
      }).flat(),
    });
    const whole = await evaluateBoxes(dataset, { decode: 'end-to-end' }, rows6);
    expect(whole.value).toBeCloseTo(map, 6);
    expect(whole.classes.ids).toEqual([0, 1, 2]);
    for (const [at, value] of Array.from(whole.classes.values()).entries()) expect(value).toBeCloseTo(classes[at], 6);
    expect((await evaluateBoxes(dataset, { decode: 'end-to-end', iou: 0.5 }, rows6)).value).toBeCloseTo(map50, 6);
    const stretched = await openBoxes('none');
    const yolo8 = (own: Detection[], at: (box: Detection['bbox']) => number[]) => {
      const columns = Array.from({ length: most }, (_, row) => {
        const one = own[row];
        const [x = 0, y = 0, w = 0, h = 0] = one ? at(one.bbox) : [];
        return [x + w / 2, y + h / 2, w, h, ...ids.map((id) => (id === one?.category_id ? one.score : 0))];
      });
      return {
        shape: [7, most],
        values: Array.from({ length: 7 }, (_, column) => columns.map((row) => row[column]!)).flat(),
      };
    };
    expect((await evaluateBoxes(stretched, { decode: 'yolov8' }, yolo8)).value).toBeCloseTo(map, 6);
  });

  test('weaker twins are dropped, logits go through softmax with nothing as last class', async () => {
    const wide = await sharp({ create: { width: 100, height: 100, channels: 3, background: 'black' } })
      .png()
      .toBuffer();
    put('pics/1.png', wide);
    const one = {
      images: [{ id: 1, file_name: '1.png' }],
      categories: [
        { id: 1, name: 'a' },
        { id: 2, name: 'b' },
      ],
    };
    put(
      'coco.json',
      JSON.stringify({ ...one, annotations: [{ id: 1, image_id: 1, category_id: 2, bbox: [10, 20, 30, 40] }] }),
    );
    describeAs({ inputs: { x: { images: 'pics', size: [50, 50], crop: 'none' } }, boxes: 'coco.json' });
    const dataset = await openDataset(dir);
    const detr = await makeMetric({ name: 'map', settings: { decode: 'detr', boxes: 'b', scores: 's' } });
    const yolo = await makeMetric({ name: 'map', settings: { decode: 'yolov5' } });
    for await (const batch of dataset.batches()) {
      const boxes = tensorFrom('float32', [1, 2, 4], Float32Array.from([0.25, 0.4, 0.3, 0.4, 0.9, 0.9, 0.1, 0.1]));
      const scores = tensorFrom('float32', [1, 2, 3], Float32Array.from([0, 5, 1, 0, 0, 9]));
      const outputs = new Map([
        ['b', boxes],
        ['s', scores],
      ]);
      expect(detr.fold(detr.score({ ...batch, output: boxes, outputs, reference: undefined }))()).toBeCloseTo(1, 12);
      // cx cy w h objectness a b: the right box, a twin with a better class score but less objectness, and another place.
      const rows5 = tensorFrom(
        'float32',
        [1, 3, 7],
        Float32Array.from([12.5, 20, 15, 20, 0.9, 0, 0.9, 13, 20, 15, 20, 0.2, 0, 1, 45, 45, 5, 5, 0.1, 0, 0.5]),
      );
      expect(yolo.fold(yolo.score({ ...batch, output: rows5, reference: undefined }))()).toBeCloseTo(1, 12);
    }
  });

  test('labels that do not fit are refused', async () => {
    put('pics/1.png', await colour(1));
    const good = {
      images: [{ id: 1, file_name: '1.png' }],
      categories: [{ id: 1, name: 'a' }],
      annotations: [] as object[],
    };
    describeAs({ inputs: { x: { images: 'pics', size: [4, 4] } }, boxes: 'coco.json' });
    const refuse = async (json: object, message: string): Promise<void> => {
      put('coco.json', JSON.stringify(json));
      await expect(openDataset(dir)).rejects.toThrow(message);
    };
    await refuse({ ...good, images: [...good.images, { id: 1, file_name: '2.png' }] }, 'two pictures have the id 1');
    await refuse({ ...good, images: [] }, 'does not list the picture 1.png');
    await refuse(
      { ...good, annotations: [{ image_id: 1, category_id: 9, bbox: [0, 0, 1, 1] }] },
      'category 9, which is not listed',
    );
    await refuse(
      { ...good, annotations: [{ image_id: 1, category_id: 1, bbox: [0, 0, 1] }] },
      'no bbox of four numbers',
    );
    await refuse([], 'needs the lists');
  });
});

describe('the rank of the model', () => {
  const shapeOf = async (columns: string[], shape: readonly (number | string)[]) => {
    put('x.csv', 'u,v,w,city\n1,2,3,rome\n4,5,6,oslo\n');
    describeAs({ inputs: { x: { file: 'x.csv', columns } }, batch: 2 });
    const dtype = columns[0] === 'city' ? 'string' : 'float32';
    const { batches } = await read({}, [{ name: 'x', dtype, shape: [...shape] }]);
    return batches[0]?.feeds.get('x')?.shape;
  };

  test('is met where only dimensions of 1 differ', async () => {
    expect(await shapeOf(['city'], ['n'])).toEqual([2]);
    expect(await shapeOf(['u'], ['n'])).toEqual([2]);
    expect(await shapeOf(['u'], ['n', 1])).toEqual([2, 1]);
    expect(await shapeOf(['u'], ['n', 1, 1])).toEqual([2, 1, 1]);
    expect(await shapeOf(['u', 'v', 'w'], ['n', 1, 'width'])).toEqual([2, 1, 3]);
  });

  test('and refused where more does', async () => {
    await expect(shapeOf(['u', 'v', 'w'], ['n'])).rejects.toThrow('the model takes [n], but the samples');
    await expect(shapeOf(['u', 'v', 'w'], ['n', 1, 2])).rejects.toThrow('the model takes [n, 1, 2]');
    await expect(shapeOf(['u', 'v'], ['n', 'a', 'b'])).rejects.toThrow('the model takes [n, a, b]');
  });
});
