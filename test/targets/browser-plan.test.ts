import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { datasetSchema, parseDatasetSpec } from '../../src/data/dataset-format.ts';
import { resolveTargetOptions } from '../../src/target/plan.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import { browser } from '../../targets/browser/index.ts';
import { assess } from '../../targets/browser/knowledge.ts';
import { taskOf } from '../../targets/browser/task.ts';
import { imageTask } from '../../targets/browser/task-image.ts';
import { indexTypes } from '../../targets/browser/types.ts';
import { planWays, type Way } from '../../targets/browser/ways.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const source = join(dir, 'model.onnx');
await writeFile(source, new Uint8Array(1000));

function artifact(change: Partial<Artifact> = {}): Artifact {
  return {
    name: 'm',
    variant: 'v',
    files: [{ name: 'model.onnx', source, bytes: 1000, sha256: '0'.repeat(64) }],
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 3, 224, 224] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: ['batch', 10] }],
    irVersion: 8,
    opsets: { '': 17 },
    ops: { Conv: 3 },
    golden: [],
    labels: undefined,
    preprocessing: undefined,
    license: undefined,
    ...change,
  };
}

const large = [{ name: 'model.onnx', source: '/nowhere/model.onnx', bytes: 90_000_000, sha256: '0'.repeat(64) }];

describe('which provider goes first', () => {
  it.each<[string, Partial<Artifact>, string[], RegExp | undefined]>([
    ['a small float model', {}, ['wasm', 'webgpu'], undefined],
    ['a large float model', { files: large }, ['webgpu', 'wasm'], undefined],
    ['static int8', { ops: { QuantizeLinear: 2, DequantizeLinear: 5, Conv: 1 } }, ['wasm'], undefined],
    ['dynamic int8', { files: large, ops: { MatMulInteger: 2, DynamicQuantizeLinear: 1 } }, ['wasm'], undefined],
    [
      'dynamic int8 Conv with signed weights',
      { ops: { ConvInteger: 1 }, weightBytes: { int8: 9 } },
      ['wasm'],
      /5 times slower/,
    ],
    [
      'dynamic int8 Conv with unsigned weights',
      { ops: { ConvInteger: 1 }, weightBytes: { uint8: 9 } },
      ['wasm'],
      undefined,
    ],
    [
      '4-bit blocks',
      { ops: { 'com.microsoft:MatMulNBits': 4 } },
      ['webgpu', 'wasm'],
      /MatMulNBits runs on WebAssembly, 11 to 15 times slower/,
    ],
    ['an LSTM', { files: large, ops: { LSTM: 1 } }, ['wasm'], undefined],
    ['trees', { ops: { 'ai.onnx.ml:TreeEnsembleClassifier': 1 } }, ['wasm'], undefined],
    ['halves', { weightBytes: { float16: 10 } }, ['webgpu', 'wasm'], undefined],
  ])('%s', (_, change, providers, note) => {
    const result = assess(artifact(change), { provider: 'auto', gpuFrom: 8 });
    expect(result.providers).toEqual(providers);
    if (note) expect(result.notes.join(' ')).toMatch(note);
    else expect(result.notes).toEqual([]);
  });

  it('does what is asked, and says what it costs', () => {
    const blocks = artifact({ ops: { 'com.microsoft:MatMulNBits': 4 } });
    expect(assess(artifact({}), { provider: 'auto', gpuFrom: 0 }).providers).toEqual(['webgpu', 'wasm']);
    expect(assess(artifact({}), { provider: 'auto', gpuFrom: 8 }).providers).toEqual(['wasm', 'webgpu']);
    expect(assess(blocks, { provider: 'wasm', gpuFrom: 8 })).toMatchObject({
      providers: ['wasm'],
      notes: [expect.stringContaining('is meant for WebGPU')],
    });
    const int8 = assess(artifact({ ops: { QLinearConv: 1 } }), { provider: 'webgpu', gpuFrom: 8 });
    expect(int8).toMatchObject({
      providers: ['webgpu', 'wasm'],
      notes: [expect.stringContaining('run on the CPU also under WebGPU')],
    });
  });

  it('asks for shader-f16 with halves, and folds weights that are only dequantized', () => {
    expect(assess(artifact({ weightBytes: { float16: 1 } }), { provider: 'auto', gpuFrom: 8 }).webgpuFeatures).toEqual([
      'shader-f16',
    ]);
    expect(assess(artifact({ weightBytes: { float32: 1 } }), { provider: 'auto', gpuFrom: 8 }).webgpuFeatures).toEqual(
      [],
    );
    expect(
      assess(artifact({ ops: { DequantizeLinear: 1, MatMul: 1 } }), { provider: 'auto', gpuFrom: 8 }).foldWeights,
    ).toBe(true);
    expect(
      assess(artifact({ ops: { DequantizeLinear: 1, QuantizeLinear: 1 } }), { provider: 'auto', gpuFrom: 8 })
        .foldWeights,
    ).toBe(false);
  });
});

describe('the browser target', () => {
  const files = async (change: Partial<Artifact>, options: Record<string, unknown> = {}) => {
    const all: BundleFile[] = [];
    for await (const file of browser.emit(artifact(change), resolveTargetOptions(browser, options))) all.push(file);
    return all;
  };
  const paths = async (change: Partial<Artifact>, options: Record<string, unknown> = {}) =>
    (await files(change, options)).map(({ path }) => path).filter((path) => /\.wasm(\.\d+)?$/.test(path));
  const runtime = (build: string) => `mlpack-model/runtime/ort-wasm-simd-threaded${build}.wasm`;

  it('ships the WebAssembly files that can be used, and no others', async () => {
    expect(await paths({ ops: { QLinearConv: 1 } })).toEqual([runtime('')]);
    expect(await paths({})).toEqual([runtime(''), runtime('.jspi')]);
    expect(await paths({}, { provider: 'wasm' })).toEqual([runtime('')]);
    expect(await paths({}, { webgpuRuntime: 'both' })).toEqual([
      runtime(''),
      runtime('.jspi'),
      `${runtime('.asyncify')}.000`,
      `${runtime('.asyncify')}.001`,
    ]);
  });

  it('takes them from the stable release', async () => {
    const script = (await files({})).find(({ path }) => path.endsWith('ort.wasm.min.mjs'));
    expect(script && 'from' in script ? script.from : '').toMatch(/onnxruntime-web/);
    expect(browser.runtime).toEqual({ package: 'onnxruntime-web', version: ortVersion });
  });

  it('warns of limits of hosts and refuses what no browser can load', () => {
    const support = (change: Partial<Artifact>, options: Record<string, unknown> = {}) =>
      browser.supports(artifact(change), resolveTargetOptions(browser, options));
    const file = (bytes: number) => ({ files: [{ ...artifact().files[0], bytes }] }) as Partial<Artifact>;
    expect(support(file(30_000_000)).because.join(' ')).toContain('over 25 MiB and is cut into pieces');
    expect(support(file(30_000_000), { host: 'github' }).because.join(' ')).not.toContain('MiB');
    expect(support(file(120_000_000), { host: 'github' }).because.join(' ')).toContain('over 100 MiB');
    expect(support({}, { host: 'github' }).because.join(' ')).toContain('GitHub Pages sets no headers');
    expect(support({}, { webgpuRuntime: 'both' }).because).toEqual([]);
    expect(support(file(2_100_000_000))).toMatchObject({ ok: false, because: [expect.stringContaining('2.1 GB')] });
    expect(support({ ops: { QLinearConv: 1 } })).toEqual({
      ok: true,
      because: [],
      providers: ['web-wasm'],
      byVariant: { v: ['web-wasm'] },
    });
  });
});

describe('several variants', () => {
  const options = resolveTargetOptions(browser, {});
  const sized = (bytes: number) => [{ name: 'model.onnx', source, bytes, sha256: '0'.repeat(64) }];
  const base = artifact({ variant: 'base', files: sized(40_000_000) });
  const int8 = artifact({ variant: 'int8', files: sized(10_000_000), ops: { MatMulInteger: 4 } });
  const q4 = artifact({ variant: 'int4', files: sized(6_000_000), ops: { 'com.microsoft:MatMulNBits': 4 } });
  const q4f16 = { ...q4, variant: 'q4f16', files: sized(5_000_000), weightBytes: { float16: 9 } };
  const fp16 = artifact({ variant: 'fp16', files: sized(20_000_000), weightBytes: { float16: 9 } });
  const names = (all: readonly Artifact[] | undefined) => all?.map(({ variant }) => variant);

  it('puts beside int8 what a GPU wants, with and without halves, where the model is large', () => {
    expect(names(browser.beside?.(int8, [base, q4, q4f16, fp16], options))).toEqual(['int4', 'q4f16']);
    expect(names(browser.beside?.(int8, [base, fp16], options))).toEqual(['base', 'fp16']);
    const tiny = (one: Artifact) => ({ ...one, files: sized(1000) });
    expect(names(browser.beside?.(tiny(int8), [base, q4].map(tiny), options))).toEqual([]);
  });

  it('orders the ways: GPU by download, then WebAssembly without blocks; measured times decide where both are known', () => {
    const way = ({ variant, provider, features }: Way) => [variant, provider, ...features].join(' ');
    const ways = (one: Artifact) => planWays(one, options).ways.map(way);
    expect(ways({ ...int8, others: [base, q4, q4f16] })).toEqual([
      'q4f16 webgpu shader-f16',
      'int4 webgpu',
      'base webgpu',
      'int8 wasm',
      'base wasm',
    ]);
    const timed = (one: Artifact, provider: string, p50Ms: number): Artifact => ({
      ...one,
      evidence: {
        latency: [{ provider, p50Ms, ratioToBase: 1, ratioCi: [1, 1] }],
        base: { bytes: 40_000_000 },
      } as never,
    });
    const slowGpu = { ...timed(int8, 'web-wasm', 5), others: [timed(q4, 'web-webgpu', 9)] };
    expect(ways(slowGpu)).toEqual(['int8 wasm', 'int4 webgpu']);
    const fastGpu = { ...timed(int8, 'web-wasm', 5), others: [timed(q4, 'web-webgpu', 2)] };
    expect(ways(fastGpu)).toEqual(['int4 webgpu', 'int8 wasm']);
  });

  it('says in the types which variants, inputs and labels there are', () => {
    const types = indexTypes({ ...int8, labels: ['a', 'b"'], others: [q4] });
    expect(types).toContain('export type VariantName = "int8" | "int4";');
    expect(types).toContain('"x": Feed<Float32Array | readonly number[]>;');
    expect(types).toContain('export type Label = "a" | "b\\"";');
    expect(types).not.toContain('own types');
  });
});

describe('texts and sounds as input', () => {
  const companions = [{ name: 'tokenizer.json', source, bytes: 1 }];
  const ids = (name: string) => ({ name, dtype: 'int64', shape: ['batch', 'seq'] });

  it('reads token ids with a tokenizer beside them, whatever says what they are', () => {
    const inputs = [ids('input_ids'), ids('attention_mask'), ids('token_type_ids')];
    const sections = {
      input_ids: { text: 't.csv', maxLength: 64 },
      token_type_ids: { constant: 0, like: 'input_ids' },
    };
    expect(taskOf(artifact({ inputs, companions, preprocessing: sections }))).toEqual({
      kind: 'text',
      feeds: {
        input_ids: { field: 'ids', dtype: 'int64' },
        attention_mask: { field: 'mask', dtype: 'int64' },
        token_type_ids: { field: 0, dtype: 'int64' },
      },
      pair: false,
      maxLength: 64,
      length: null,
    });
    const fields = (of: object) => {
      const task = taskOf(artifact({ inputs, companions, preprocessing: { input_ids: { text: 't.csv' }, ...of } }));
      return task?.kind === 'text' ? Object.values(task.feeds).map(({ field }) => field) : [];
    };
    expect(fields({ attention_mask: { from: 'input_ids', notEqual: 7 } })).toEqual(['ids', { notEqual: 7 }, 'types']);
    expect(fields({ token_type_ids: { from: 'input_ids', positions: true } })).toEqual(['ids', 'mask', 'range']);
    expect(taskOf(artifact({ inputs }))).toBeUndefined();
    expect(taskOf(artifact({ inputs: [...inputs, ids('past')], companions }))).toBeUndefined();
  });

  it('asks for two texts only where they are one row, and fills rows up to what the tokenizer says', async () => {
    const place = join(await tempDir(), 'tokenizer_config.json');
    await writeFile(place, JSON.stringify({ model_max_length: 96 }));
    const all = [...companions, { name: 'tokenizer_config.json', source: place, bytes: 1 }];
    const task = (section: object) =>
      taskOf(
        artifact({
          inputs: [ids('input_ids')],
          companions: all,
          preprocessing: { input_ids: { text: 't.csv', ...section } },
        }),
      );
    expect(task({ pair: 'b' })).toMatchObject({ pair: true, length: null });
    expect(task({ pair: 'b', encode: 'separately' })).toMatchObject({ pair: false });
    expect(task({ padding: 'max' })).toMatchObject({ length: 96, maxLength: 96 });
    expect(task({ padding: 'max', maxLength: 64 })).toMatchObject({ length: 64, maxLength: 64 });
  });

  it('reads a wave, or the log-mel frames that Whisper makes of it, and no other features', async () => {
    const inputs = [{ name: 'wave', dtype: 'float32', shape: ['batch', 16000] }];
    const wave = (section: object) => taskOf(artifact({ inputs, preprocessing: { wave: section } }));
    expect(wave({ audio: 'sounds' })).toEqual({
      ...{ kind: 'audio', input: 'wave', dtype: 'float32', sampleRate: 16_000, length: 16_000, features: null },
    });
    expect(wave({ audio: 'sounds', features: 'extractor' })).toBeUndefined();
    const source = join(await tempDir(), 'preprocessor_config.json');
    const companions = [{ name: 'preprocessor_config.json', source, bytes: 1 }];
    const frames = async (config: object, section: object = {}) => {
      await writeFile(source, JSON.stringify(config));
      const fed = [{ name: 'mel', dtype: 'float32', shape: [1, 80, 3000] }];
      const preprocessing = { mel: { audio: 'sounds', features: 'extractor', ...section } };
      return taskOf(artifact({ inputs: fed, preprocessing, companions }));
    };
    expect(await frames({ feature_extractor_type: 'WhisperFeatureExtractor' })).toEqual({
      ...{ kind: 'audio', input: 'mel', dtype: 'float32', sampleRate: 16_000, length: null },
      features: { mels: 80, window: 400, hop: 160, samples: 480_000, frames: 3000 },
    });
    expect(await frames({ feature_extractor_type: 'WhisperFeatureExtractor' }, { sampleRate: 8000 })).toBeUndefined();
    expect(await frames({ feature_extractor_type: 'ClapFeatureExtractor' })).toBeUndefined();
  });
});

describe('pictures as input', () => {
  const grey = [{ name: 'x', dtype: 'float32', shape: ['batch', 1, 28, 28] }];
  const of = (spec: unknown, change: Partial<Artifact> = {}) =>
    imageTask(artifact({ preprocessing: { x: spec }, ...change }), { x: spec });
  /** The form is that of dataset.json: its reader must understand it too. */
  const described = (spec: object): unknown => {
    const text = JSON.stringify({ schema: datasetSchema, inputs: { x: spec } });
    return (parseDatasetSpec(text, 'data').preprocessing as { x: unknown }).x;
  };

  it('reads stored pixels', () => {
    expect(of(described({ file: 'x.npy', scale: 1 / 255, bias: 0 }), { inputs: grey })).toEqual({
      kind: 'image',
      input: 'x',
      dtype: 'float32',
      height: 28,
      width: 28,
      resize: null,
      crop: 'center',
      pad: 114,
      anchor: 'center',
      interpolation: 'bilinear',
      channels: 'GRAY',
      layout: 'NCHW',
      factor: [1 / 255],
      offset: [0],
      drawn: true,
    });
    expect(of(described({ file: 'x.npy', scale: [1, 2, 3], bias: -1 }))).toMatchObject({
      channels: 'RGB',
      factor: [1, 2, 3],
      offset: [-1, -1, -1],
    });
  });

  it('reads decoded pictures: (pixel − mean) · scale / std', () => {
    const spec = { images: 'images', size: [224, 224], mean: [10, 20, 30], std: 2, scale: 4, channels: 'BGR' };
    expect(of(described(spec))).toMatchObject({
      channels: 'BGR',
      factor: [2, 2, 2],
      offset: [-20, -40, -60],
      height: 224,
      width: 224,
    });
    const nhwc = [{ name: 'x', dtype: 'uint8', shape: [1, 96, 64, 3] }];
    expect(of(described({ images: 'i', size: [96, 64], layout: 'NHWC' }), { inputs: nhwc })).toMatchObject({
      layout: 'NHWC',
      height: 96,
      width: 64,
      dtype: 'uint8',
    });
    const open = [{ name: 'x', dtype: 'float32', shape: ['n', 3, 'h', 'w'] }];
    expect(of(described({ images: 'i', size: [50, 40] }), { inputs: open })).toMatchObject({
      height: 50,
      width: 40,
      factor: [1, 1, 1],
    });
  });

  it.each<[string, unknown, Partial<Artifact>]>([
    ['without a description', undefined, {}],
    ['whose numbers nobody explains', { file: 'x.npy' }, {}],
    ['with a factor of nothing', { file: 'x.npy', scale: 0 }, {}],
    ['with factors for other channels', { file: 'x.npy', scale: [1, 2] }, {}],
    ['of another rank', { file: 'x.npy', scale: 1 }, { inputs: [{ name: 'x', dtype: 'float32', shape: ['n', 12] }] }],
    [
      'with five channels',
      { file: 'x.npy', scale: 1 },
      { inputs: [{ name: 'x', dtype: 'float32', shape: [1, 5, 28, 28] }] },
    ],
    [
      'with a fixed batch',
      { file: 'x.npy', scale: 1 },
      { inputs: [{ name: 'x', dtype: 'float32', shape: [8, 1, 28, 28] }] },
    ],
    [
      'beside a second input',
      { file: 'x.npy', scale: 1 },
      { inputs: [...grey, { name: 'y', dtype: 'float32', shape: [1] }] },
    ],
  ])('leaves inputs %s to the general form', (_, spec, change) => {
    expect(of(spec, change)).toBeUndefined();
  });
});
