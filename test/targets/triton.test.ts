import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildBundle } from '../../src/target/bundle.ts';
import type { Artifact } from '../../src/target/target.ts';
import { kserve } from '../../targets/kserve/index.ts';
import { mlflow } from '../../targets/mlflow/index.ts';
import { modelConfig } from '../../targets/triton/config.ts';
import { triton } from '../../targets/triton/index.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const tiny = await makeArtifact(dir, classifier, classifierFeeds);
const types = await makeArtifact(await tempDir(), everyType, everyTypeFeeds);
const options = { maxBatch: 0, delayUs: 500, instances: 2, threads: 1, kind: 'cpu' } as const;

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
    expect(JSON.parse(model.signature.inputs)).toEqual([
      { name: 'image', type: 'tensor', 'tensor-spec': { dtype: 'float32', shape: [-1, 1, 12, 12] } },
    ]);
  });
});
