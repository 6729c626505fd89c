import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import type { Artifact } from '../../src/target/target.ts';
import { cBundle } from '../../targets/edge/c.ts';
import { edge } from '../../targets/edge/index.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { makeOrtHome } from './support/ort-home.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('edge') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');
let artifact: Artifact;

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], input = '', env: Record<string, string> = {}): Answer {
  return spawnSync(process.execPath, ['run.mjs', ...args], {
    cwd: bundle,
    encoding: 'utf8',
    input,
    env: { ...process.env, ...env },
  });
}

function lines({ stdout }: Answer): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

beforeAll(async () => {
  artifact = await makeArtifact(dir, classifier, classifierFeeds);
  await buildBundle(edge, artifact, {}, bundle);
  if (modules !== '') await symlink(modules, join(bundle, 'node_modules'));
});

describe.skipIf(modules === '')('the runner', () => {
  const flat = Array.from({ length: 144 }, (_, i) => i / 144);
  const nested = [Array.from({ length: 12 }, (_, r) => flat.slice(r * 12, r * 12 + 12))];

  it('is pruned to this platform by its own install', async () => {
    const [api] = await readdir(join(modules, 'onnxruntime-node/bin'));
    const systems = await readdir(join(modules, 'onnxruntime-node/bin', api ?? ''));
    expect(systems).toEqual([process.platform]);
    expect(await readdir(join(modules, 'onnxruntime-node/bin', api ?? '', process.platform))).toEqual([process.arch]);
  });

  it('takes a row without its first dimension, flat or nested, a batch, and the bare value, and answers bad lines', () => {
    const given = [
      { image: nested },
      { image: flat },
      flat,
      { image: [nested, nested] },
      { image: [1, 2] },
      { wrong: 1 },
      { image: 'x' },
      {},
    ];
    const answer = run(['predict', '-'], `${given.map((one) => JSON.stringify(one)).join('\n')}\n{broken\n\n`);
    expect([answer.status, answer.stderr]).toEqual([0, '']);
    const [one, two, three, batch, ...bad] = lines(answer);
    expect(one?.scores).toHaveLength(4);
    expect(two).toEqual(one);
    expect(three).toEqual(one);
    expect(batch).toEqual({ scores: [one?.scores, one?.scores] });
    expect(bad.map(({ error }) => error)).toEqual([
      'input "image" has shape [2], and the model takes [batch, 1, 12, 12]',
      'the model has no input "wrong"; it has "image"',
      expect.stringContaining('has shape []'),
      'input "image" is missing',
      expect.stringMatching(/^not JSON: /),
    ]);
  });

  it('reads .npy, .bin, .json and .jsonl, and refuses others with one sentence', async () => {
    const bytes = Buffer.from(Float32Array.from(flat).buffer);
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 12, 12), }".padEnd(117);
    const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]);
    const files = {
      'x.npy': Buffer.concat([start, Buffer.from(`${header}\n`, 'latin1'), bytes]),
      'x.bin': bytes,
      'x.json': JSON.stringify({ image: flat }),
      'x.jsonl': `\ufeff${JSON.stringify(flat)}\n`,
      'bad.bin': bytes.subarray(4),
      'f8.npy': Buffer.concat([start, Buffer.from(`${header.replace('f4', 'f8')}\n`, 'latin1'), bytes]),
      'x.png': 'x',
    };
    for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
    const at = (name: string): string => join(dir, name);
    const answers = lines(run(['predict', at('x.json'), at('x.jsonl'), at('x.bin'), at('x.npy')]));
    const scores = answers.map((one) => [one.scores].flat(2));
    expect(scores).toHaveLength(4);
    for (const one of scores) expect(one).toEqual(scores[0]);
    for (const [name, why] of [
      ['bad.bin', 'take 576 bytes, and there are 572'],
      ['f8.npy', 'elements of type FP64, and input "image" takes FP32'],
      ['x.png', 'only .json, .jsonl, .npy and .bin are read'],
      ['none.json', 'cannot be read (ENOENT)'],
    ]) {
      const answer = run(['predict', at(name ?? '')]);
      expect([answer.status, answer.stderr.split('\n').length], name).toEqual([2, 2]);
      expect(answer.stderr).toContain(why);
    }
  });

  it('proves itself, and says when it cannot', async () => {
    const good = run(['selftest']);
    expect([good.status, lines(good)[0]]).toEqual([0, expect.objectContaining({ ok: true, cases: 2, problems: [] })]);
    const [name, own] = ['golden/1/output-0.bin', join(bundle, 'mlpack.json')];
    const [whole, manifest] = [await readFile(join(bundle, name)), await readFile(own, 'utf8')];
    const other = Buffer.from(Float32Array.from({ length: 8 }, () => 9).buffer);
    const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(bundle, name), other);
    const damaged = run(['selftest']);
    // A model that answers otherwise than it did: what was recorded is whole.
    await writeFile(own, manifest.replaceAll(digest(whole), digest(other)));
    const bad = run(['selftest']);
    await writeFile(join(bundle, name), whole);
    await writeFile(own, manifest);
    expect(damaged).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^golden\/1\/output-0\.bin is not the file .*\n$/),
    });
    expect([bad.status, lines(bad)[0]]).toEqual([
      1,
      expect.objectContaining({ ok: false, problems: [expect.stringMatching(/^case 1, output "scores" has /)] }),
    ]);
  });

  it('holds every output to its own tolerance', async () => {
    const place = join(dir, 'narrow');
    const golden = artifact.golden.map((one) => ({
      ...one,
      tolerance: { rtol: 0, atol: 9 },
      outputs: one.outputs.map((output) => ({
        ...output,
        bytes: new Uint8Array(Float32Array.from({ length: output.bytes.length / 4 }, () => 2).buffer),
        tolerance: { rtol: 0, atol: 0.01 },
      })),
    }));
    await buildBundle(edge, { ...artifact, golden }, {}, place);
    await symlink(modules, join(place, 'node_modules'));
    expect(spawnSync(process.execPath, ['run.mjs', 'selftest'], { cwd: place }).status).toBe(1);
    const files = new Map<string, unknown>();
    for (const file of cBundle({ ...artifact, golden })) files.set(file.path, 'bytes' in file ? file.bytes : '');
    expect(files.get('test/cases.h')).toContain(', 0, 0.01}');
  });

  it('refuses a wrong command and a wrong setting with one sentence', () => {
    expect(run(['sreve'])).toMatchObject({ status: 2, stderr: expect.stringContaining('not "sreve"') });
    expect(run(['serve'], '', { PORT: 'x' })).toMatchObject({
      status: 2,
      stderr: 'PORT must be a whole number from 0 to 65535, and is "x"\n',
    });
    expect(run(['serve', '--port', '9000'])).toMatchObject({
      status: 2,
      stderr:
        'serve takes no arguments, and "--port" is one: settings are in the environment, as in PORT=9000 node run.mjs serve\n',
    });
    for (const args of [
      ['selftest', '-v'],
      ['unit', 'x'],
      ['watch', 'queue', '--poll', '9'],
    ])
      expect(run(args)).toMatchObject({ status: 2, stderr: expect.stringContaining('takes no arguments') });
    expect(run(['predict', '-'], '', { THREADS: '0' })).toMatchObject({
      status: 2,
      stderr: 'THREADS must be a whole number from 1 to 1024, and is "0"\n',
    });
  });

  async function started(args: readonly string[], ready: () => Promise<boolean>, env: Record<string, string> = {}) {
    const child: ChildProcess = spawn(process.execPath, ['run.mjs', ...args], {
      cwd: bundle,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    while (!(await ready()) && child.exitCode === null) await sleep(20);
    return { stop: () => (child.kill('SIGTERM'), ended) };
  }

  it('serves the protocol on loopback and ends cleanly', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/v2`;
    const ok = (): Promise<boolean> =>
      fetch(`${url}/health/ready`).then(
        (response) => response.ok,
        () => false,
      );
    const server = await started(['serve'], ok, { PORT: String(port), BODY_LIMIT_BYTES: '100000' });
    const about = (await (await fetch(`${url}/models/tiny`)).json()) as object;
    expect(about).toMatchObject({
      name: 'tiny',
      inputs: [{ name: 'image', datatype: 'FP32', shape: [-1, 1, 12, 12] }],
    });
    const infer = (body: string): Promise<Response> => fetch(`${url}/models/tiny/infer`, { method: 'POST', body });
    const good = { inputs: [{ name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: flat }] };
    const answers = await Promise.all(Array.from({ length: 8 }, () => infer(JSON.stringify(good))));
    const bodies = (await Promise.all(answers.map((one) => one.json()))) as { outputs: unknown }[];
    expect(bodies[0]).toMatchObject({ outputs: [{ name: 'scores', shape: [1, 4] }] });
    for (const body of bodies) expect(body).toEqual(bodies[0]);
    const statuses = [
      await infer('{'),
      await infer('x'.repeat(100_001)),
      await fetch(`${url}/models/other/infer`, { method: 'POST', body: '{}' }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([400, 413, 404]);
    expect(await server.stop()).toBe(0);
  });

  it('answers what is put into a watched folder', async () => {
    const root = join(dir, 'spool');
    const ready = (): Promise<boolean> => Promise.resolve(existsSync(join(root, 'failed')));
    const watcher = await started(['watch', root], ready, { POLL_MS: '10' });
    for (const [name, text] of [
      ['a.jsonl', `${JSON.stringify(flat)}\n${JSON.stringify({ image: nested })}\n`],
      ['b.json', '{"image": 3}'],
    ] as const) {
      await writeFile(join(root, 'in', `.${name}`), text);
      await rename(join(root, 'in', `.${name}`), join(root, 'in', name));
    }
    await writeFile(join(root, 'in/c.json.part'), 'half');
    while (!existsSync(join(root, 'failed/b.json'))) await sleep(10);
    expect(await watcher.stop()).toBe(0);
    const out = (await readFile(join(root, 'out/a.jsonl.jsonl'), 'utf8')).trim().split('\n');
    expect(out).toHaveLength(2);
    expect(out[1]).toBe(out[0]);
    expect(await readdir(join(root, 'done'))).toEqual(['a.jsonl']);
    expect(await readFile(join(root, 'failed/b.json.error.txt'), 'utf8')).toContain('input "image" has shape []');
    expect(await readdir(join(root, 'in'))).toEqual(['c.json.part']);
  });

  it('goes on where a file of a watched folder is taken away before its turn', async () => {
    const root = join(dir, 'shared');
    const { watch } = (await import(join(bundle, 'lib/watch.mjs'))) as {
      watch(model: object, root: string, how: object): Promise<void>;
    };
    await mkdir(join(root, 'in'), { recursive: true });
    for (const name of ['a.json', 'b.json', 'c.json']) await writeFile(join(root, 'in', name), '{"x": 1}');
    const stop = new AbortController();
    const said: string[] = [];
    const x = { name: 'x', dtype: 'float32', datatype: 'FP32', shape: [] };
    const run = async () => {
      await rm(join(root, 'in/b.json'), { force: true });
      return { x: { dims: [], data: [1] } };
    };
    const say = (text: string) => {
      if (said.push(text) === 3) stop.abort();
    };
    await watch({ info: { inputs: [x], outputs: [x] }, run }, root, { pollMs: 1, signal: stop.signal, say });
    expect(said).toEqual(['a.json: answered', 'b.json: gone', 'c.json: answered']);
  });

  it('reads lines of any text, and arrays with values that are missing', async () => {
    // Outputs NaN in any place: the input goes through, and the answer, which has no form in JSON, is refused.
    const bytes = Buffer.from(Float32Array.from(flat, (value, i) => (i === 3 ? Number.NaN : value)).buffer);
    await writeFile(join(dir, 'missing.bin'), bytes);
    expect(run(['predict', join(dir, 'missing.bin')]).stderr).toBe('output "scores": NaN has no form in JSON\n');
    const input = `\ufeff{"image":${JSON.stringify(flat)}}\n{"no\u2028ne":1}\r\n\n{"image":3}`;
    expect(lines(run(['predict', '-'], input))).toEqual([
      { scores: expect.any(Array) },
      { error: expect.stringContaining('the model has no input "no\u2028ne"') },
      { error: expect.stringContaining('has shape []') },
    ]);
  });

  it('refuses a body that is much too large with the reason', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/v2`;
    const ok = (): Promise<boolean> =>
      fetch(`${url}/health/ready`).then(
        (response) => response.ok,
        () => false,
      );
    const server = await started(['serve'], ok, { PORT: String(port), BODY_LIMIT_BYTES: '100000' });
    const answer = await fetch(`${url}/models/tiny/infer`, { method: 'POST', body: 'x'.repeat(3_000_000) });
    expect([answer.status, await answer.json()]).toEqual([413, { error: 'the body has more than 100000 bytes' }]);
    expect(await server.stop()).toBe(0);
  });

  it('writes a unit that systemd takes, with a limit above what was measured', async ({ skip }) => {
    const { status, stdout } = run(['unit']);
    expect(status).toBe(0);
    const peak = Number(stdout.match(/on this device: (\d+) MiB/)?.[1]) * 2 ** 20;
    expect(Number(stdout.match(/^MemoryMax=(\d+)$/m)?.[1])).toBeGreaterThan(1.9 * peak);
    if (!has('systemd-analyze')) {
      note('no systemd-analyze on this machine: the unit is not verified');
      return skip();
    }
    const place = join(dir, 'tiny.service');
    await writeFile(place, stdout);
    const verified = spawnSync('systemd-analyze', ['verify', place], { encoding: 'utf8' });
    expect([verified.status, verified.stderr]).toEqual([0, '']);
  });

  it('hands every element type through', async () => {
    const own = join(dir, 'types');
    await mkdir(own);
    const place = join(own, 'bundle');
    await buildBundle(edge, await makeArtifact(own, everyType, everyTypeFeeds), {}, place);
    await symlink(modules, join(place, 'node_modules'));
    const answer = spawnSync(process.execPath, ['run.mjs', 'selftest'], { cwd: place, encoding: 'utf8' });
    expect([answer.status, answer.stderr]).toEqual([0, '']);
  });
});

describe('what stands beside the runner', () => {
  it('is a model package: one shared copy, named by the digest of its folder, and variants in confined paths', async () => {
    const root = join(bundle, 'tiny.ortpackage');
    const manifest = JSON.parse(await readFile(join(root, 'manifest.json'), 'utf8')) as Record<string, object>;
    expect(Object.keys(manifest).sort()).toEqual(['components', 'package_name', 'package_version', 'schema_version']);
    const [asset = ''] = await readdir(join(root, 'shared_assets'));
    const model = createHash('sha256')
      .update(await readFile(join(root, 'shared_assets', asset, 'model.onnx')))
      .digest('hex');
    expect(asset).toBe(`sha256-${createHash('sha256').update(`${model}  model.onnx\n`).digest('hex')}`);
    const component = join(root, 'models/tiny');
    const { variants } = JSON.parse(await readFile(join(component, 'component.json'), 'utf8')) as {
      variants: Record<string, { ep: string; variant_directory: string; executor_info: { ort: string } }>;
    };
    expect(Object.keys(variants)).toEqual(expect.arrayContaining(['cpu', 'cuda', 'tensorrt', 'openvino-cpu']));
    // The batch varies and nothing is quantized, so two are left out.
    expect(Object.keys(variants)).not.toContain('qnn');
    expect(Object.keys(variants)).not.toContain('openvino-npu');
    for (const { ep, variant_directory: folder, executor_info: info } of Object.values(variants)) {
      expect(ep).toMatch(/ExecutionProvider$/);
      const ort = JSON.parse(await readFile(join(component, folder, info.ort), 'utf8')) as { model_file: string };
      expect(ort.model_file).toBe(`${asset.replace('-', ':')}/model.onnx`);
    }
  });

  it('names no plan file, and shapes for what varies', async () => {
    const text = await readFile(join(bundle, 'ACCELERATORS.md'), 'utf8');
    expect(text).toContain("--minShapes='image:1x1x12x12'");
    expect(text).toContain("--optShapes='image:2x1x12x12'");
    expect((await readdir(bundle, { recursive: true })).some((path) => /\.(plan|engine)$/.test(path))).toBe(false);
  });

  it('has a C++ runner that compiles and answers as recorded', async ({ skip }) => {
    if (!has('g++') || process.platform !== 'linux') {
      note('no g++ for Linux on this machine: the C++ runner is not compiled');
      return skip();
    }
    const home = await makeOrtHome(dir);
    const binary = join(dir, 'cpp-run');
    const flags = ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-I', join(home, 'include')];
    const library = ['-L', join(home, 'lib'), '-lonnxruntime', `-Wl,-rpath,${join(home, 'lib')}`];
    execFileSync('g++', [...flags, join(bundle, 'runners/cpp/main.cpp'), ...library, '-o', binary], { stdio: 'pipe' });
    const one = artifact.golden[0];
    const input = join(dir, 'row.bin');
    await writeFile(input, one?.inputs[0]?.bytes.subarray(0, 576) ?? '');
    const printed = execFileSync(binary, [input], { cwd: bundle, encoding: 'utf8' }).trim().split(' ');
    const want = new Float32Array(new Uint8Array(one?.outputs[0]?.bytes ?? []).buffer).slice(0, 4);
    expect(printed[0]).toBe('scores');
    for (const [i, value] of want.entries()) expect(Number(printed[i + 1])).toBeCloseTo(value, 5);
  });
});

type Dims = readonly (number | string | null)[];
type ReadValues = (
  info: { readonly inputs: readonly object[] },
  given: object,
) => { readonly feeds: readonly { readonly shape: readonly number[] }[]; readonly row: boolean };

describe('values of requests', () => {
  let readValues: ReadValues;
  beforeAll(async () => {
    ({ readValues } = (await import(pathToFileURL(join(bundle, 'lib/values.mjs')).href)) as { readValues: ReadValues });
  });
  const shapeOf = (shape: Dims, past: unknown): [readonly number[], boolean] => {
    const info = { inputs: [{ name: 'past', dtype: 'float32', datatype: 'FP32', shape }] };
    const { feeds, row } = readValues(info, { past });
    return [feeds[0]?.shape ?? [], row];
  };
  const past = ['batch', 2, 'length', 24];

  it('an empty past is as the model has it behind its dimension of 0', () => {
    expect(shapeOf(past, [[], []])).toEqual([[1, 2, 0, 24], true]);
    expect(shapeOf(past, [[[], []]])).toEqual([[1, 2, 0, 24], false]);
    expect(shapeOf(['batch', 'length', 24], [])).toEqual([[1, 0, 24], true]);
    expect(shapeOf(['batch', 'length', 24], [[], []])).toEqual([[2, 0, 24], false]);
  });

  it('lists that end where the model has a number are refused', () => {
    expect(() => shapeOf(past, [[], [], []])).toThrow(
      'input "past" has shape [3, 0], and the model takes [batch, 2, length, 24]',
    );
    expect(() => shapeOf(['batch', 3, 24], [[]])).toThrow('has shape [1, 0], and the model takes [batch, 3, 24]');
    expect(() => shapeOf(['batch', 3, 24], [])).toThrow('has shape [0], and the model takes [batch, 3, 24]');
  });

  it('rows, one row and a flat list are what they were', () => {
    expect(
      shapeOf(
        ['batch', 2],
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ),
    ).toEqual([[3, 2], false]);
    expect(shapeOf(['batch', 2], [1, 2])).toEqual([[1, 2], true]);
    expect(shapeOf(['batch', 1, 2], [1, 2])).toEqual([[1, 1, 2], true]);
    expect(shapeOf(['batch', 'length'], [])).toEqual([[1, 0], true]);
  });
});
