import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { programRunners } from '../../../src/cli/program-runners.ts';
import { buildBundle } from '../../../src/target/bundle.ts';
import { checkBundle } from '../../../src/target/check.ts';
import { type Manifest, parseManifest } from '../../../src/target/manifest.ts';
import type { Artifact } from '../../../src/target/target.ts';
import { mobile } from '../../../targets/mobile/index.ts';
import { classifier, classifierFeeds, makeArtifact } from '../support/artifact.ts';
import { syntaxError } from '../support/syntax.ts';
import { tempDir } from '../support/temp.ts';

const dir = await tempDir();

/** Text of every file below a folder, by path. */
async function texts(place: string): Promise<Map<string, string>> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(files.map(async (file) => [file.slice(place.length + 1), await readFile(file, 'utf8')] as const)),
  );
}

async function manifestOf(place: string): Promise<Manifest> {
  return parseManifest(await readFile(join(place, 'mlpack.json'), 'utf8'));
}

describe('a picture classifier with a dynamic batch', () => {
  const place = join(dir, 'bundle');
  let artifact: Artifact;
  let files: Map<string, string>;

  beforeAll(async () => {
    artifact = {
      ...(await makeArtifact(dir, classifier, classifierFeeds)),
      name: '2-tiny.Net_v1',
      labels: ['ant', 'b"ee$x', 'größe', '\\'],
    };
    await buildBundle(mobile, artifact, { fp16: true }, place);
    files = await texts(place);
  });

  it('holds both ORT forms, given, of fixed shapes and in half precision, and all answer', async () => {
    const programs = (await manifestOf(place)).programs?.map(({ path }) => path);
    const forms = ['model.ort', 'model.with_runtime_opt.ort'];
    expect(programs).toEqual(
      ['model/fp16', 'model', 'model/static'].flatMap((folder) => forms.map((file) => `${folder}/${file}`)),
    );
    for (const path of programs ?? []) {
      expect((await readFile(join(place, path))).subarray(4, 8).toString(), path).toBe('ORTM');
    }
    const { ok, replays, findings } = await checkBundle(place, { runners: programRunners });
    expect({ ok, findings, replays: replays.length }).toEqual({ ok: true, findings: [], replays: 6 });
  });

  it('fixes the shapes of the static file at those of the first case', async () => {
    const session = await ort.InferenceSession.create(join(place, 'model/static/model.ort'));
    const [input] = session.inputMetadata;
    expect(input?.isTensor && input.shape).toEqual([2, 1, 12, 12]);
    const half = await ort.InferenceSession.create(join(place, 'model/fp16/model.ort'));
    const [first] = half.inputMetadata;
    expect(first?.isTensor && first.type).toBe('float32');
  });

  it('lists the operators as the converter does', () => {
    const lines = (name: string) => files.get(`model/model.${name}`)?.split('\n').slice(2, -1);
    expect(lines('required_operators.config')).toEqual(['ai.onnx;13;Flatten,Gemm', 'com.microsoft;1;FusedConv']);
    expect(lines('required_operators_and_types.config')).toEqual([
      'ai.onnx;13;Flatten,Gemm{"inputs": {"0": ["float"]}}',
      'com.microsoft;1;FusedConv',
    ]);
    expect(lines('required_operators.with_runtime_opt.config')).toEqual([
      'ai.onnx;11;Conv',
      'ai.onnx;13;Flatten,Gemm',
      'ai.onnx;14;Relu',
      'com.microsoft;1;FusedConv',
    ]);
  });

  it('gives each provider a verdict, a file and numbers to compute in', () => {
    const report = JSON.parse(files.get('usability.json') ?? '{}');
    const rows = report.providers.map(
      ({ id, verdict, use, precision }: Record<string, unknown> & { precision: { make: unknown } }) => [
        id,
        verdict,
        use,
        precision.make,
      ],
    );
    const int8 = 'mlpack run model.onnx simplify fuse quantize-static --data eval/ -o model.int8.onnx';
    expect(rows).toEqual([
      ['coreml-mlprogram', 'maybe', expect.stringMatching('model/fp16/'), null],
      ['coreml-neuralnetwork', 'yes', 'model/static/model.with_runtime_opt.ort', null],
      ['nnapi', 'yes', 'model/static/model.with_runtime_opt.ort', int8],
      ['xnnpack', 'yes', 'model/model.with_runtime_opt.ort', null],
      ['qnn', 'yes', 'model/static/model.with_runtime_opt.ort', int8],
    ]);
  });

  it('brings code that real parsers read', async () => {
    const kinds = { '.kt': 'kotlin', '.kts': 'kotlin', '.swift': 'swift', '.ts': 'typescript' } as const;
    const parsed: string[] = [];
    for (const [path, text] of files) {
      const kind = Object.entries(kinds).find(([ending]) => path.endsWith(ending))?.[1];
      if (!kind) continue;
      parsed.push(path);
      expect(await syntaxError(kind, text), path).toBeUndefined();
      expect(text, path).not.toMatch(/__[A-Z]/);
    }
    expect(parsed.filter((path) => path.endsWith('.kt'))).toHaveLength(5);
    expect(parsed.filter((path) => path.endsWith('.swift'))).toHaveLength(6);
    expect(parsed.filter((path) => path.endsWith('.ts'))).toHaveLength(4);
    // The parser does refuse: a test that cannot fail says nothing.
    expect(await syntaxError('kotlin', 'fun f( {')).toContain('line 1');
    expect(await syntaxError('swift', 'func f( {')).toContain('line 1');
  });

  it('names things so that Kotlin, Swift and npm take them', () => {
    const all = [...files.keys()].join('\n');
    expect(all).toContain('kotlin/dev/mlpack/m_2_tiny_net_v1/Model.kt');
    expect(all).toContain('Sources/Model2TinyNetV1/Model.swift');
    expect(JSON.parse(files.get('react-native/package.json') ?? '').name).toBe('2-tiny-net-v1-model');
    const kotlin = [...files].find(([path]) => path.endsWith('Labels.kt'))?.[1] ?? '';
    expect(kotlin).toContain(String.raw`"b\"ee\$x",`);
    expect(kotlin).toContain(String.raw`"gr\u00f6\u00dfe",`);
    const swift = [...files].find(([path]) => path.endsWith('Labels.swift'))?.[1] ?? '';
    expect(swift).toContain(String.raw`"gr\u{f6}\u{df}e",`);
  });

  it('packs golden cases for the devices', async () => {
    const assets = join(place, 'android/src/androidTest/assets');
    const cases = JSON.parse(await readFile(join(assets, 'golden.json'), 'utf8'));
    expect(cases).toHaveLength(2);
    expect(cases[0].inputs[0]).toEqual({ name: 'image', type: 'FLOAT', shape: [2, 1, 12, 12], file: 'case0-in0.bin' });
    expect(existsSync(join(assets, 'case0-in0.bin'))).toBe(true);
    const [{ tolerance }] = artifact.golden as [Artifact['golden'][number]];
    expect(cases[0].outputs[0]).toMatchObject(tolerance);
  });

  it('splits many labels over methods, of which the JVM takes 64 kB each', async () => {
    const labels = Array.from({ length: 10_000 }, (_, i) => `class ${i}`);
    const to = join(dir, 'many-labels');
    await buildBundle(mobile, { ...artifact, labels }, {}, to);
    const paths = await readdir(to, { recursive: true });
    const kotlin = await readFile(join(to, paths.find((path) => path.endsWith('Labels.kt')) ?? ''), 'utf8');
    expect(await syntaxError('kotlin', kotlin)).toBeUndefined();
    const lists = kotlin.split('listOf(').slice(1);
    expect(lists.map((list) => list.match(/"class \d+"/g)?.length)).toEqual([4000, 4000, 2000]);
    expect(kotlin).toContain('val NAMES: List<String> = names0() + names1() + names2()');
    expect([...kotlin.matchAll(/"class (\d+)"/g)].map(([, i]) => Number(i))).toEqual(labels.map((_, i) => i));
  });

  it('holds each output on the device against its own tolerance', async () => {
    const own = { rtol: 0.5, atol: 0.25 };
    const golden = artifact.golden.map((one) => ({
      ...one,
      outputs: one.outputs.map((output) => ({ ...output, tolerance: own })),
    }));
    const to = join(dir, 'tolerances');
    await buildBundle(mobile, { ...artifact, golden }, {}, to);
    for (const at of ['android/src/androidTest/assets', 'ios/Tests/Model2TinyNetV1Tests/Golden']) {
      const [one] = JSON.parse(await readFile(join(to, at, 'golden.json'), 'utf8'));
      expect(one.outputs[0]).toMatchObject(own);
    }
  });

  it('has no golden test where the runtime of a platform cannot take part, and does not speak of one', async () => {
    const golden = artifact.golden.map((one) => ({
      ...one,
      outputs: one.outputs.map((output) => ({ ...output, dtype: 'bool' })),
    }));
    const all: string[] = [];
    let text = '';
    for await (const file of mobile.emit(
      { ...artifact, golden },
      { platform: 'arm', static: true, fp16: false, apps: true },
    )) {
      all.push(file.path);
      if (file.path === 'README.md' && 'bytes' in file) text = String(file.bytes);
      if (file.path === 'ios/Package.swift' && 'bytes' in file) expect(file.bytes).not.toContain('testTarget');
    }
    expect(all.filter((path) => /Golden|golden/.test(path) && path.startsWith('ios/'))).toEqual([]);
    expect(all.some((path) => path.endsWith('/GoldenTest.kt'))).toBe(true);
    expect(text).not.toContain('`xcodebuild test` replays');
    expect(text).toContain('`./gradlew connectedAndroidTest` replays the golden inputs on a device.');
  });
});

describe('other models', () => {
  it('takes pictures as the data says', async () => {
    const own = join(dir, 'fixed');
    await mkdir(own);
    const given = await makeArtifact(own, classifier.replaceAll('batch', '1'), [
      { image: new ort.Tensor('float32', new Float32Array(144).fill(0.5), [1, 1, 12, 12]) },
    ]);
    const place = join(own, 'bundle');
    await buildBundle(
      mobile,
      { ...given, preprocessing: { image: { file: 'x.npy', scale: 1 / 255, bias: -0.5 } } },
      {},
      place,
    );
    const files = await texts(place);
    const kotlin = [...files].find(([path]) => path.endsWith('Preprocess.kt'))?.[1] ?? '';
    const swift = [...files].find(([path]) => path.endsWith('Preprocess.swift'))?.[1] ?? '';
    expect(kotlin).toContain('floatArrayOf(0.003921568859368563f)');
    expect(swift).toContain('offset: [Float] = [-0.5]');
    expect(await syntaxError('kotlin', kotlin)).toBeUndefined();
    expect(await syntaxError('swift', swift)).toBeUndefined();
    expect([...files.keys()].some((path) => path.includes('static/'))).toBe(false);
  });

  it('cuts the middle where the shorter side is brought to a size, and prepares floats only', async () => {
    const own = join(dir, 'placed');
    await mkdir(own);
    const given = await makeArtifact(own, classifier.replaceAll('batch', '1'), [
      { image: new ort.Tensor('float32', new Float32Array(144).fill(0.5), [1, 1, 12, 12]) },
    ]);
    const image = { images: 'i', size: [12, 12], resize: 16, crop: 'none', channels: 'GRAY', pad: 127.5 };
    const code = async (change: Partial<Artifact>) => {
      const found = new Map<string, string>();
      const artifact = { ...given, preprocessing: { image }, ...change };
      for await (const file of mobile.emit(artifact, { platform: 'arm', static: false, fp16: false, apps: true }))
        if (/Preprocess\.(kt|swift)$/.test(file.path) && 'bytes' in file)
          found.set(file.path.split('.').at(-1) ?? '', String(file.bytes));
      return found;
    };
    const floats = await code({});
    expect(floats.get('kt')).toContain('16f / minOf(width, height)');
    expect(floats.get('swift')).toContain('16.0 / min(width, height)');
    expect(floats.get('kt')).toContain('Color.rgb(127, 127, 127)');
    expect(floats.get('swift')).toContain('127.0 / 255.0');
    const bytes = given.inputs.map((input) => ({ ...input, dtype: 'uint8' }));
    expect([...(await code({ inputs: bytes })).keys()]).toEqual([]);
  });

  it('leaves the apps out where they are not wanted', async () => {
    const own = join(dir, 'bare');
    await mkdir(own);
    const artifact = await makeArtifact(own, classifier, classifierFeeds);
    await buildBundle(mobile, { ...artifact, golden: [] }, { apps: false }, join(own, 'bundle'));
    const paths = [...(await texts(join(own, 'bundle'))).keys()];
    expect(paths.filter((path) => /^(android|ios|react-native)\//.test(path))).toEqual([]);
    expect(paths).toContain('model/model.ort');
  });

  it('refuses what the format cannot hold', async () => {
    const own = join(dir, 'large');
    await mkdir(own);
    const artifact = await makeArtifact(own, classifier, classifierFeeds);
    const files = artifact.files.map((file) => ({ ...file, bytes: 3e9 }));
    await expect(buildBundle(mobile, { ...artifact, files }, {}, join(own, 'bundle'))).rejects.toThrow('at most 2 GB');
  });
});
