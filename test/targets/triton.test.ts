import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { fromHalf } from '../../src/kernels/f16.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import type { Artifact } from '../../src/target/target.ts';
import { kserve } from '../../targets/kserve/index.ts';
import { mlflow } from '../../targets/mlflow/index.ts';
import { modelConfig } from '../../targets/triton/config.ts';
import { triton } from '../../targets/triton/index.ts';
import { preparation } from '../../targets/triton/prepare.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const tiny = await makeArtifact(dir, classifier, classifierFeeds);
const types = await makeArtifact(await tempDir(), everyType, everyTypeFeeds);
const options = {
  maxBatch: 0,
  delayUs: 500,
  instances: 2,
  threads: 1,
  kind: 'cpu',
  ensemble: true,
  ort: '1.27',
} as const;

/** Has protoc parse the text as Triton's own ModelConfig, and gives what it understood. */
function parsed(config: string): string {
  const args = [`--proto_path=${import.meta.dirname}/support`];
  const file = 'triton_model_config.proto';
  const encoded = execFileSync('protoc', [...args, '--encode=inference.ModelConfig', file], { input: config });
  return execFileSync('protoc', [...args, '--decode=inference.ModelConfig', file], {
    input: encoded,
    encoding: 'utf8',
  });
}

describe('config.pbtxt', () => {
  it.skipIf(!has('protoc'))('is what protoc takes for a ModelConfig, for every element type', () => {
    const text = parsed(modelConfig(tiny, options, 8));
    expect(text).toMatch(/^name: "tiny"$/m);
    expect(text).toMatch(/^max_batch_size: 8$/m);
    expect(text).toMatch(/input \{\s+name: "image"\s+data_type: TYPE_FP32\s+dims: 1\s+dims: 12\s+dims: 12\s+\}/);
    expect(text).toMatch(/label_filename: "labels.txt"/);
    expect(text).toMatch(/dynamic_batching \{\s+preferred_batch_size: 8\s+max_queue_delay_microseconds: 500/);
    expect(text).toMatch(/batch_size: 2\s+inputs \{\s+key: "image"[\s\S]*input_data_file: "input-0"/);
    for (const batch of [0, 1, 8]) {
      const all = parsed(modelConfig(types, options, batch));
      expect(all.match(/data_type: TYPE_(BOOL|STRING|FP16|FP32|FP64|U?INT\d+)/g)?.length).toBeGreaterThan(26);
      expect(/dynamic_batching/.test(all)).toBe(batch > 1);
    }
    expect(() => parsed('name: "x"\nsurprise: 1\n')).toThrow();
  });

  it('is parsed by protoc where it is there', () => {
    if (!has('protoc')) note('no protoc on this machine (Debian: protobuf-compiler): config.pbtxt is not parsed by it');
  });

  it('leaves the first dimension out only where Triton batches, and writes scalars as it wants them', () => {
    const scalar: Artifact = { ...tiny, inputs: [{ name: 'x', dtype: 'int64', shape: [] }], golden: [] };
    expect(modelConfig(scalar, options, 0)).toContain('dims: [1]\n    reshape { shape: [] }');
    expect(modelConfig(tiny, options, 0)).toContain('dims: [-1, 1, 12, 12]');
    expect(modelConfig(tiny, options, 1)).toContain('dims: [1, 12, 12]');
  });
});

describe('Triton repository', () => {
  it('holds what Triton looks for, external data in a folder of the file', async () => {
    const out = join(dir, 'triton');
    await buildBundle(triton, tiny, { maxBatch: 4 }, out);
    const config = await readFile(join(out, 'repository/tiny/config.pbtxt'), 'utf8');
    expect(config).toContain('max_batch_size: 4');
    expect(await readFile(join(out, 'repository/tiny/labels.txt'), 'utf8')).toBe('ant\nbee\ncat\ndog\n');
    expect(await readFile(join(out, 'repository/tiny/warmup/input-0'))).toHaveLength(2 * 144 * 4);
    expect(await readFile(join(out, 'repository/tiny/1/model.onnx'))).toHaveLength(tiny.files[0]?.bytes ?? 0);
  });

  it('writes one line for each label, whatever is in it', async () => {
    const out = join(dir, 'labels');
    await buildBundle(triton, { ...tiny, labels: ['ant\nand bee', 'cat\r\n', ' dog', 'eel'] }, { maxBatch: 4 }, out);
    const text = await readFile(join(out, 'repository/tiny/labels.txt'), 'utf8');
    expect(text).toBe('ant and bee\ncat \n dog\neel\n');
  });

  it('writes batch, instances and threads as measured, unless they are given', async () => {
    const asked: unknown[] = [];
    const workshop = {
      ...(tiny.workshop as NonNullable<Artifact['workshop']>),
      bestBatch: async () => 16,
      bestSplit: async (...of: unknown[]) => {
        asked.push(of);
        return { instances: 1, threads: 2 };
      },
    };
    const configOf = async (given: object): Promise<string> => {
      const place = join(await tempDir(), 'bundle');
      await buildBundle(triton, { ...tiny, workshop }, given, place);
      return readFile(join(place, 'repository/tiny/config.pbtxt'), 'utf8');
    };
    const measured = await configOf({});
    expect(measured).toContain('max_batch_size: 16');
    expect(measured).toContain('preferred_batch_size: [16]\n  max_queue_delay_microseconds: 1000');
    expect(measured).toMatch(/KIND_CPU\n {4}count: 1[\s\S]*"intra_op_thread_count" value: \{ string_value: "2"/);
    expect(asked).toEqual([[16, 2]]);
    expect(await configOf({ threads: 2, maxBatch: 4 })).toMatch(/count: 1[\s\S]*string_value: "2"/);
    expect(await configOf({ instances: 3, threads: 5 })).toMatch(/count: 3[\s\S]*string_value: "5"/);
    expect(await configOf({ kind: 'gpu' })).toMatch(/KIND_GPU\n {4}count: 1/);
    expect(asked).toHaveLength(1);
  });

  it('says what Triton would not do', async () => {
    const fixed = { ...tiny, inputs: [{ name: 'image', dtype: 'float32', shape: [1, 1, 12, 12] }] };
    const build = (artifact: Artifact, given: object): Promise<unknown> =>
      buildBundle(triton, artifact, given as Record<string, unknown>, join(dir, `refused-${Math.random()}`));
    await expect(build(fixed, { maxBatch: 8 })).rejects.toThrow('"image" has no first dimension that varies');
    await expect(build({ ...tiny, outputs: [{ name: 'y', dtype: 'bfloat16', shape: [1] }] }, {})).rejects.toThrow(
      'bfloat16',
    );
    const mixed = { ...tiny, ops: { DynamicQuantizeLinear: 1 } };
    expect(triton.supports(mixed, options).because.join()).toContain('takes its scale over all rows');
  });
});

describe('ensemble', () => {
  const out = join(dir, 'ensemble');
  const config = (model: string): Promise<string> => readFile(join(out, 'repository', model, 'config.pbtxt'), 'utf8');

  it('prepares pixels as dataset.json says, and hands them to the model', async () => {
    await buildBundle(triton, tiny, { maxBatch: 4 }, out);
    const prepare = await ort.InferenceSession.create(join(out, 'repository/tiny-prepare/1/model.onnx'));
    const pixels = Uint8Array.from({ length: 2 * 144 }, (_, i) => (i * 37) % 256);
    const { prepared } = await prepare.run({ pixels: new ort.Tensor('uint8', pixels, [2, 12, 12, 1]) });
    expect(prepared?.dims).toEqual([2, 1, 12, 12]);
    for (const [i, value] of (prepared?.data as Float32Array).entries())
      expect(value).toBeCloseTo((pixels[i] ?? 0) / 255, 6);
    const main = await ort.InferenceSession.create(join(out, 'repository/tiny/1/model.onnx'));
    expect((await main.run({ image: prepared as ort.Tensor })).scores?.dims).toEqual([2, 4]);
  });

  it('names each tensor as the step before calls it', async () => {
    const text = await config('tiny-pictures');
    expect(text).toMatch(/name: "pixels"\s+data_type: TYPE_UINT8\s+dims: \[12, 12, 1\]/);
    expect(text).toContain('input_map { key: "image" value: "prepared" }');
    expect(await config('tiny-prepare')).toMatch(/name: "prepared"\s+data_type: TYPE_FP32\s+dims: \[1, 12, 12\]/);
    expect(await readFile(join(out, 'repository/tiny-pictures/labels.txt'), 'utf8')).toBe('ant\nbee\ncat\ndog\n');
    if (!has('protoc')) return;
    expect(parsed(text)).toMatch(/ensemble_scheduling \{\s+step \{\s+model_name: "tiny-prepare"\s+model_version: -1/);
    expect(parsed(await config('tiny-prepare'))).toContain('max_batch_size: 4');
  });

  it.each([
    ['NCHW', 'RGB', 'float16', [1, 3, 8, 9]],
    ['NCHW', 'BGR', 'float32', [1, 3, 8, 9]],
    ['NHWC', 'BGR', 'float32', [1, 8, 9, 3]],
    ['NHWC', 'GRAY', 'float32', [1, 8, 9, 1]],
  ] as const)('takes mean, deviation and order of %s %s %s', async (layout, channels, dtype, shape) => {
    const count = channels === 'GRAY' ? 1 : 3;
    const [mean, std] = [[120, 110, 100].slice(0, count), [50, 60, 70].slice(0, count)];
    const preprocessing = { x: { images: 'p', size: [8, 9], mean, std, layout, channels } };
    const known = preparation({ ...tiny, preprocessing, inputs: [{ name: 'x', dtype, shape: [...shape] }] });
    if (typeof known === 'string') throw new Error(known);
    expect(known.pixels).toEqual([8, 9, count]);
    const session = await ort.InferenceSession.create(encodeModel(known.model));
    const pixels = Uint8Array.from({ length: 72 * count }, (_, i) => (i * 11) % 256);
    const { prepared } = await session.run({ pixels: new ort.Tensor('uint8', pixels, [1, 8, 9, count]) });
    expect([prepared?.type, prepared?.dims]).toEqual([dtype, shape]);
    const got = Array.from(prepared?.data as Float32Array, (value) => (dtype === 'float16' ? fromHalf(value) : value));
    for (let place = 0; place < 72; place++) {
      for (let c = 0; c < count; c++) {
        // The mean of a channel is that of the channel as fed, as in src/data/image-source.ts.
        const pixel = pixels[place * count + (channels === 'BGR' ? 2 - c : c)] ?? 0;
        const expected = (pixel - (mean[c] ?? 0)) / (std[c] ?? 1);
        const value = got[layout === 'NCHW' ? c * 72 + place : place * count + c] ?? Number.NaN;
        expect(Math.abs(value - expected)).toBeLessThan(dtype === 'float16' ? 4e-3 : 1e-5);
      }
    }
  });

  it('is left out with a reason where preparing is no model, or nobody wants it', async () => {
    const readmeOf = async (artifact: Artifact, given: object): Promise<string> => {
      const place = join(await tempDir(), 'bundle');
      await buildBundle(triton, artifact, given, place);
      expect(await readdir(join(place, 'repository'))).toEqual(['tiny']);
      return readFile(join(place, 'README.md'), 'utf8');
    };
    expect(await readmeOf(tiny, { ensemble: false })).toContain('since ensemble=false');
    expect(await readmeOf({ ...tiny, preprocessing: undefined }, {})).toContain('mlpack bundle --data');
    expect(await readmeOf({ ...tiny, preprocessing: { ids: { text: 't.csv' } } }, {})).toContain(
      'tokenizer is no ONNX',
    );
    expect(await readmeOf({ ...tiny, preprocessing: { image: { file: 'x.npy' } } }, {})).toContain('go in as they are');
  });
});

describe('KServe and MLflow', () => {
  it('an InferenceService points at the repository with the runtime that serves it', async () => {
    const out = join(dir, 'kserve');
    await buildBundle(kserve, tiny, { storageUri: 's3://bucket/models' }, out);
    const service = parse(await readFile(join(out, 'inferenceservice.yaml'), 'utf8'));
    expect(service).toMatchObject({
      apiVersion: 'serving.kserve.io/v1beta1',
      kind: 'InferenceService',
      metadata: { name: 'tiny' },
      spec: {
        predictor: {
          model: { modelFormat: { name: 'onnx' }, protocolVersion: 'v2', storageUri: 's3://bucket/models' },
        },
      },
    });
    await expect(buildBundle(kserve, tiny, { storageUri: 'models/' }, join(dir, 'never'))).rejects.toThrow(
      '"models/" is not',
    );
    // For oci:// KServe starts the image with `sh -c "ln -sf … && sleep infinity"`.
    const image = await readFile(join(out, 'Dockerfile'), 'utf8');
    expect(image).toMatch(/^ARG BASE_IMAGE=busybox:.*\nFROM \$\{BASE_IMAGE\}\nCOPY models \/models$/m);
  });

  it('an MLmodel has both flavours and the signature as JSON', async () => {
    const out = join(dir, 'mlflow');
    await buildBundle(mlflow, tiny, {}, out);
    const model = parse(await readFile(join(out, 'MLmodel'), 'utf8')) as {
      flavors: Record<string, { data: string }>;
      signature: { inputs: string; outputs: string };
    };
    expect(Object.keys(model.flavors).sort()).toEqual(['onnx', 'python_function']);
    expect(model.flavors.onnx?.data).toBe('model.onnx');
    // mlflow.onnx.load_model has onnx check the file, so it must be one that reads what ONNX Runtime 1.30 does: opset 26, IR 13.
    const [, minor] = /^onnx==1\.(\d+)\./m.exec(await readFile(join(out, 'requirements.txt'), 'utf8')) ?? [];
    expect(Number(minor)).toBeGreaterThanOrEqual(21);
    expect(JSON.parse(model.signature.inputs)).toEqual([
      { name: 'image', type: 'tensor', 'tensor-spec': { dtype: 'float32', shape: [-1, 1, 12, 12] } },
    ]);
  });
});
