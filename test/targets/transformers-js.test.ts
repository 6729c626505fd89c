import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import { resolveTargetOptions } from '../../src/target/plan.ts';
import type { Artifact } from '../../src/target/target.ts';
import { configJson } from '../../targets/transformers-js/config.ts';
import { transformersJs } from '../../targets/transformers-js/index.ts';
import { placeAll } from '../../targets/transformers-js/place.ts';
import { runCli } from '../cli/support.ts';
import { startHostile } from './support/hostile-server.ts';

const models = join(import.meta.dirname, '../../models');

describe('a folder for transformers.js', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mlpack-hf-'));
    const made = await runCli([
      'bundle',
      join(models, 'intents'),
      '-t',
      'transformers-js',
      '-v',
      'fp16,int8,q4f16',
      '-o',
      join(dir, 'intents'),
    ]);
    expect(made.code, made.stderr).toBe(0);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('has every dtype under its name, and says which one a device takes', async () => {
    expect((await readdir(join(dir, 'intents/onnx'))).sort()).toEqual([
      'model.onnx',
      'model_fp16.onnx',
      'model_int8.onnx',
      'model_q4f16.onnx',
      'model_quantized.onnx',
    ]);
    const config = JSON.parse(await readFile(join(dir, 'intents/config.json'), 'utf8'));
    expect(config['transformers.js_config']).toEqual({
      device_config: { wasm: { dtype: 'q8' }, webgpu: { dtype: 'fp16' }, cpu: { dtype: 'q8' } },
    });
    expect(config.model_type).toBe('distilbert');
  });

  it('opens with a pipeline, which answers as the labels say, with each dtype', async () => {
    const { env, pipeline } = await import('@huggingface/transformers');
    env.allowRemoteModels = false;
    env.localModelPath = dir;
    const question = 'what time is my lesson';
    for (const dtype of [undefined, 'fp32', 'q8', 'q4f16'] as const) {
      const classify = await pipeline('text-classification', 'intents', { device: 'cpu', ...(dtype && { dtype }) });
      const [answer] = (await classify(question)) as { label: string; score: number }[];
      expect(answer?.label, dtype).toBe('calendar_show');
      await classify.dispose();
    }
  });

  it.skipIf(findChromium() === undefined)('opens in a browser, on WebAssembly and on WebGPU', async () => {
    const library = join(import.meta.dirname, '../../node_modules/@huggingface/transformers/dist');
    const runtime = join(import.meta.dirname, '../../node_modules/onnxruntime-web/dist');
    await cp(join(library, 'transformers.min.js'), join(dir, 'transformers.js'));
    for (const name of ['mjs', 'wasm'])
      await cp(
        join(runtime, `ort-wasm-simd-threaded.asyncify.${name}`),
        join(dir, `ort-wasm-simd-threaded.asyncify.${name}`),
      );
    await writeFile(join(dir, 'index.html'), '<!doctype html>');
    const server = await startHostile(dir);
    const chrome = await launchChromium();
    try {
      const page = await chrome.newPage();
      await page.goto(server.url);
      // q4f16 asks for shader-f16, which the software adapter lacks.
      for (const [device, dtype] of [['wasm'], ['webgpu', 'fp32']] as const) {
        const label = await page.evaluate<string>(`import('/transformers.js').then(async ({ env, pipeline }) => {
          Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: '/', useBrowserCache: false });
          env.backends.onnx.wasm.wasmPaths = '/';
          const classify = await pipeline('text-classification', 'intents', ${JSON.stringify({ device, dtype })});
          const [{ label }] = await classify('what time is my lesson');
          await classify.dispose();
          return label;
        })`);
        expect(label, device).toBe('calendar_show');
      }
      expect(server.sent.some(({ path }) => path.endsWith('onnx/model_quantized.onnx'))).toBe(true);
    } finally {
      await chrome.close();
      await server.close();
    }
  });

  it('is checked by opening every file with the library', async () => {
    const checked = await runCli(['check', join(dir, 'intents')]);
    expect(checked.code, checked.stdout).toBe(0);
    expect(checked.stdout).toContain('model_q4f16.onnx, @huggingface/transformers, dtype q4f16: 4 golden cases');
  });

  it('leaves out a variant that has no name there, and bundles the others', async () => {
    const argv = ['bundle', join(models, 'intents'), '-t', 'transformers-js', '-v', 'fp16,clustered'];
    const made = await runCli([...argv, '-o', join(dir, 'left')]);
    expect(made.code, made.stderr).toBe(0);
    expect(made.stdout).toContain('clustered has no name in transformers.js and is left out');
    expect((await readdir(join(dir, 'left/onnx'))).sort()).toEqual(['model.onnx', 'model_fp16.onnx']);
  });

  it('takes the files that stand beside the model', async () => {
    const source = join(dir, 'given');
    await cp(join(models, 'intents'), source, { recursive: true });
    await cp(join(dir, 'intents/onnx/model_q4f16.onnx'), join(source, 'onnx/model_q4f16.onnx'));
    const made = await runCli(['bundle', source, '-t', 'transformers-js', '-o', join(dir, 'again')]);
    expect(made.code, made.stderr).toBe(0);
    expect((await readdir(join(dir, 'again/onnx'))).sort()).toEqual(['model.onnx', 'model_q4f16.onnx']);
  });
});

describe('names', () => {
  const one = (variant: string, change: Partial<Artifact> = {}): Artifact => ({
    name: 'm',
    variant,
    files: [{ name: 'model.onnx', source: '/m', bytes: 1, sha256: '0'.repeat(64) }],
    inputs: [],
    outputs: [],
    irVersion: 8,
    opsets: { '': 17 },
    ops: {},
    golden: [],
    labels: undefined,
    preprocessing: undefined,
    license: undefined,
    ...change,
  });
  const names = (...all: Artifact[]): string[] =>
    placeAll({ ...(all[0] as Artifact), others: all.slice(1) }).placed.map(
      ({ path, artifact }) => `${basename(path)} ${artifact.variant} ${dirname(path)}`,
    );

  it('takes unsigned weights for convolutions, signed ones elsewhere', () => {
    expect(names(one('base'), one('int8'), one('uint8'))).toContain('model_quantized.onnx int8 onnx');
    expect(names(one('base', { ops: { Conv: 1 } }), one('int8'), one('uint8'))).toContain(
      'model_quantized.onnx uint8 onnx',
    );
  });

  it('leaves out what has no name, and says so; refuses weights under a name that nobody looks for', () => {
    const options = resolveTargetOptions(transformersJs, {});
    const support = (artifact: Artifact) => transformersJs.supports(artifact, options);
    expect(support(one('base', { others: [one('pruned')] })).because.join(' ')).toContain(
      'pruned has no name in transformers.js',
    );
    expect(support(one('pruned'))).toMatchObject({ ok: false });
    const data = { name: 'weights.bin', source: '/w', bytes: 1, sha256: '0'.repeat(64) };
    const two = one('base', { files: [...one('base').files, data] });
    expect(support(two).because.join(' ')).toContain('keeps its weights in "weights.bin"');
    const good = one('base', { files: [...one('base').files, { ...data, name: 'model.onnx_data' }] });
    expect(support(good).ok).toBe(true);
  });
});

it('says of files what is in this folder, whatever the model came from said', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-hf-config-'));
  const source = join(dir, 'config.json');
  const theirs = {
    dtype: 'q4',
    use_external_data_format: { 'model.onnx': 2 },
    kv_cache_dtype: { fp16: 'float16' },
    device_config: { webgpu: { dtype: 'q4f16', free_dimension_overrides: { batch: 1 } }, webnn: { dtype: 'q4' } },
  };
  await writeFile(source, JSON.stringify({ model_type: 'bert', 'transformers.js_config': theirs }));
  const one = {
    variant: 'base',
    ops: {},
    files: [{ name: 'model.onnx' }],
    companions: [{ name: 'config.json', source, bytes: 1 }],
  } as unknown as Artifact;
  const made = JSON.parse(configJson(one, placeAll(one).placed)) as Record<string, unknown>;
  await rm(dir, { recursive: true, force: true });
  expect(made['transformers.js_config']).toEqual({
    kv_cache_dtype: { fp16: 'float16' },
    device_config: {
      wasm: { dtype: 'fp32' },
      webgpu: { dtype: 'fp32', free_dimension_overrides: { batch: 1 } },
      cpu: { dtype: 'fp32' },
      webnn: {},
    },
  });
});
