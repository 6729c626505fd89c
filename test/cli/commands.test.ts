import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { constantOf } from '../../src/ir/constant.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { type RunOptions, type RunResult, runCli } from './support.ts';

const models = fileURLToPath(new URL('../../models', import.meta.url));
const digits = join(models, 'digits');
const intents = join(models, 'intents');

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

/** Runs in the scratch folder, and expects exit code 0. */
async function ok(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await runCli(argv, { cwd, ...options });
  expect(result.code, result.stdout.slice(0, 500) + result.stderr).toBe(0);
  return result;
}

/** The one JSON document that `--json` prints. */
async function json<T>(argv: readonly string[]): Promise<T> {
  return JSON.parse((await ok([...argv, '--json', '-q'])).stdout) as T;
}

describe('inspect', () => {
  it('counts what is in the model', async () => {
    const facts = await json<Record<string, unknown>>(['inspect', digits, '--hash', '--nodes']);
    expect(facts).toMatchObject({ irVersion: 7, opsets: { 'ai.onnx': 13 }, parameters: 167_006, macsUnknown: 0 });
    expect(facts.macs).toBeGreaterThan(1e6);
    expect(facts.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(facts.inputs).toEqual([{ name: 'image', type: 'float32[batch, 1, 28, 28]' }]);
    expect((facts.nodeList as unknown[]).length).toBe(facts.nodes);
  });

  it('reads a folder in the Hugging Face layout, and binds symbols for MACs', async () => {
    const short = await json<{ macs: number }>(['inspect', intents, '--input-shape', 'batch=1,sequence=8']);
    const long = await json<{ macs: number }>(['inspect', intents, '--input-shape', 'batch=1,sequence=32']);
    expect(await json(['inspect', intents, '--input-shape', 'input_ids=1x32'])).toMatchObject({ macs: long.macs });
    expect(long.macs).toBeGreaterThan(3.9 * short.macs);
  });

  it('counts MACs at the shape of an input whose dimensions have no names', async () => {
    const text = `<ir_version: 7, opset_import: ["" : 13]>
main (float[1,3,?,?] x) => (float y)
< float[2,3,1,1] w = random(1, -1, 1) >
{ y = Conv (x, w) }`;
    writeFileSync(join(cwd, 'open.onnx'), encodeModel(parseModel(text)));
    expect(await json(['inspect', 'open.onnx', '--input-shape', 'x=1x3x5x7'])).toMatchObject({ macs: 5 * 7 * 6 });
    const said = async (...argv: string[]): Promise<string> => (await ok(['inspect', ...argv])).stdout;
    expect(await said('open.onnx')).toMatch(/MACs +6 at the smallest inputs; --input-shape/);
    expect(await said('open.onnx', '--input-shape', 'x=1x3x5x7')).toMatch(/MACs +210 at the inputs given$/m);
    writeFileSync(join(cwd, 'closed.onnx'), encodeModel(parseModel(text.replace('?,?', '5,7'))));
    expect(await said('closed.onnx')).toMatch(/MACs +210$/m);
  });

  it('--text prints what can be read', async () => {
    expect((await ok(['inspect', digits, '--text'])).stdout).toMatch(/^<ir_version: 7, opset_import: \["" : 13\]/);
  });
});

describe('run and the pass commands', () => {
  it('applies steps with options and presets, and says what it did', async () => {
    const { stdout, stderr } = await ok([
      'run',
      digits,
      'fp32',
      'quantize-weights:bits=8',
      '-o',
      'w8.onnx',
      '--verify',
    ]);
    expect(stdout).toMatch(/^simplify +\d+ → \d+ nodes/m);
    expect(stdout).toMatch(/^quantize-weights/m);
    expect(stdout).toMatch(/^w8\.onnx {2}678 kB → \d+ kB/m);
    expect(stdout).toMatch(/^verified on 4 seeded inputs: at least [\d.]+ dB holds$/m);
    expect(stderr).toMatch(/^write · w8\.onnx$/m);
  });

  it.each(['simplify', 'fuse', 'to-fp16', 'quantize-dynamic', 'quantize-weights', 'prune-weights'])(
    '%s is a command, keeps its promise, and is the same as the step',
    async (pass) => {
      const result = await json<{ ok: boolean; output: { sha256: string }; verify: { ok: boolean } }>([
        ...[pass, intents, '-o', `${pass}.onnx`, '--verify'],
      ]);
      expect(result).toMatchObject({ ok: true, verify: { ok: true } });
      const step = await json<{ output: { sha256: string } }>(['run', intents, pass, '-o', `${pass}-step.onnx`]);
      expect(step.output.sha256).toBe(result.output.sha256);
    },
  );

  it('replaces its own input with --force', async () => {
    await ok(['simplify', digits, '-o', 'own.onnx']);
    await ok(['to-fp16', 'own.onnx', '-o', 'own.onnx', '--force']);
    expect((await json<{ weightBytesByType: object }>(['inspect', 'own.onnx'])).weightBytesByType).toHaveProperty(
      'float16',
    );
  });
});

describe('explain', () => {
  it('lists rules that fired and nodes that were left, with the reason', async () => {
    const { stdout } = await ok(['explain', intents, 'quantize-dynamic']);
    expect(stdout).toMatch(/^✔ /m);
    expect(stdout).toMatch(/^– .*\n {4}\S/m);
  });

  it('narrows to a node, an operator or a rule', async () => {
    const all = await json<{ applied: { rule: string }[] }>(['explain', digits, 'simplify']);
    const rule = all.applied[0]?.rule ?? '';
    const one = await json<{ applied: { rule: string }[] }>(['explain', digits, 'simplify', rule]);
    expect(one.applied.length).toBeGreaterThan(0);
    expect(one.applied.every((entry) => entry.rule === rule)).toBe(true);
  });

  it('gives a search behind lossy steps what those left of the floor', async () => {
    const before = ['--after', 'prune-weights:sparsity=0.95,score=magnitude', '-d', join(digits, 'eval')];
    const { skipped } = await json<{ skipped: { why: string }[] }>(['explain', digits, 'mixed-precision', ...before]);
    expect(skipped.map(({ why }) => why).join()).toMatch(
      /^what was done to the model before has lost .* nothing is left to spend$/,
    );
  });
});

describe('compare', () => {
  it('finds a model identical with itself', async () => {
    const { outputs } = await json<{ outputs: { sqnrDb: number | null }[] }>(['compare', digits, digits]);
    expect(outputs.map((one) => one.sqnrDb)).toEqual([null]);
  });

  it('--layers names the first layer that a damaged weight spoils; --min-sqnr makes it exit code 1', async () => {
    const model = await loadModel(join(digits, 'model.onnx'));
    const convs = [...model.graph.nodes].filter((node) => node.op === 'Conv');
    const broken = convs[2];
    const weight = broken?.input(1);
    const tensor = constantOf(weight);
    if (!broken || !weight || !tensor) throw new Error('the digits model has changed');
    const bytes = tensor.bytes();
    const numbers = new Float32Array(bytes.slice().buffer);
    model.graph.setInitializer(
      weight,
      tensorFrom(
        'float32',
        tensor.shape,
        numbers.map((x, at) => (at % 2 ? -x : x)),
      ),
    );
    await saveModel(model, join(cwd, 'broken.onnx'), {});
    const argv = ['compare', digits, 'broken.onnx', '--layers', '--min-sqnr', '30', '--samples', '4'];
    const { code, stdout } = await runCli(argv, { cwd });
    expect(code).toBe(1);
    expect(stdout).toContain(`first bad layer: "${broken.output().name}"`);
    expect(stdout).toMatch(/^below the 30 dB asked for/m);
  });
});

describe('eval', () => {
  it.each([
    ['digits', 0.95],
    ['intents', 0.9],
  ])('%s: the task metric on the data beside the model', async (name, floor) => {
    const result = await json<{ metric: string; value: number; samples: number }>(['eval', join(models, name)]);
    expect(result.metric).toBe('top1');
    expect(result.value).toBeGreaterThan(floor);
    expect(result.samples).toBeGreaterThanOrEqual(400);
  });

  it('--metric and --samples', async () => {
    const result = await json<object>(['eval', digits, '--metric', 'top5', '--samples', '30']);
    expect(result).toMatchObject({ metric: 'top5', samples: 30 });
  });
});

const oneInput = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x) => (float[N,4] y)
{
  y = Neg (x)
}`;

describe('bench', () => {
  it('times several models, interleaved, against the first', async () => {
    await ok(['to-fp16', digits, '-o', 'half.onnx']);
    const { results } = await json<{
      results: { provider: string; models: { name: string; latency: { p50: number; ratioToBase: number } }[] }[];
    }>(['bench', digits, 'half.onnx', '--seconds', '0.05']);
    expect(results.map((one) => one.provider)).toEqual(['cpu']);
    expect(results[0]?.models.map((one) => one.name)).toEqual([digits, 'half.onnx']);
    expect(results[0]?.models[0]?.latency.ratioToBase).toBe(1);
    for (const { latency } of results[0]?.models ?? []) expect(latency.p50).toBeGreaterThan(0);
  });

  it('leaves out cold starts when told so, with options of the provider too', async () => {
    const argv = ['bench', digits, '--seconds', '0.05', '--threads', '1', '--no-cold'];
    const { results } = await json<{ results: { provider: string; cold: object }[] }>(argv);
    expect(results).toMatchObject([{ provider: 'cpu:threads=1', cold: {} }]);
    expect(Object.keys(results[0]?.cold ?? {})).toEqual([]);
  });

  it('sweeps batch sizes and threads, counts several processes, and writes a trace', async () => {
    const { results } = await json<{
      results: {
        provider: string;
        batch: number;
        noise: { margin: number };
        cold: Record<string, { sessionMs: number; firstMs: number; peakRssBytes: number }>;
        ops: Record<string, { op: string }[]>;
        throughput: Record<string, { batch: number; concurrency: number; inferencesPerSecond: number }[]>;
      }[];
    }>([
      ...['bench', digits, '--seconds', '0.05', '--batch', '1,4', '--threads', '1', '--concurrency', '1,2'],
      ...['--trace', 'trace.json'],
    ]);
    expect(results.map(({ provider, batch }) => [provider, batch])).toEqual([
      ['cpu:threads=1', 1],
      ['cpu:threads=1', 4],
    ]);
    const [first] = results;
    expect(first?.noise.margin).toBeGreaterThanOrEqual(0.02);
    expect(first?.cold[digits]?.peakRssBytes).toBeGreaterThan(20e6);
    // In order of time, which on a disturbed machine is not always the same.
    expect(first?.ops[digits]?.map(({ op }) => op)).toContain('Conv');
    expect(first?.throughput[digits]?.map((one) => [one.batch, one.concurrency])).toEqual([
      [1, 1],
      [1, 2],
      [4, 1],
      [4, 2],
    ]);
    const trace = JSON.parse(readFileSync(join(cwd, 'trace.json'), 'utf8')) as { ph: string }[];
    expect(trace.some(({ ph }) => ph === 'X')).toBe(true);
  });

  it.each([
    [['--provider', 'nosuch'], /no provider "nosuch"/],
    [['--provider', 'cpu:threads=x'], /provider cpu has no option "threads=x"/],
    [['--seq', '8'], /no input of the model has an open sequence dimension/],
    [['--trace', 'no/where/t.json'], /the folder of "no\/where\/t.json" does not exist/],
    [['--provider', 'cuda'], /cuda does not work here: .*(NVIDIA|library)/],
  ])('says in a sentence what it cannot do: %j', async (flags, why) => {
    if (flags.includes('cuda') && existsSync('/proc/driver/nvidia')) return;
    const { code, stderr } = await runCli(['bench', digits, '--seconds', '0.05', '-q', ...flags], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(why);
  });

  it('refuses models that do not take the same inputs, by name', async () => {
    const { code, stderr } = await runCli(['bench', digits, intents, '--seconds', '0.05', '-q'], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /intents.* takes other inputs than .*digits.*: "input_ids" \[.*\], which .* does not have\. .* bench each by itself/,
    );
    writeFileSync(join(cwd, 'fixed.onnx'), encodeModel(parseModel(oneInput.replace('N', '3'))));
    writeFileSync(join(cwd, 'open.onnx'), encodeModel(parseModel(oneInput)));
    const sizes = await runCli(['bench', 'open.onnx', 'fixed.onnx', '--seconds', '0.05', '-q'], { cwd });
    expect([sizes.code, sizes.stderr]).toEqual([
      2,
      expect.stringMatching(/fixed.onnx takes .*"x" \[3, 4\], where open.onnx is fed \[1, 4\]\. .*--batch/),
    ]);
    const batch = await runCli(
      ['bench', 'open.onnx', 'fixed.onnx', '--batch', '3', '--seconds', '0.05', '--no-cold', '-q'],
      { cwd },
    );
    expect([batch.code, batch.stdout]).toEqual([0, expect.stringContaining('fixed.onnx')]);
  });
});

describe('bundle and check', () => {
  it.each(['server', 'browser'])('%s: written whole, verified, and tampering is found', async (target) => {
    const dir = `bundle-${target}`;
    await ok(['bundle', digits, '-t', target, '-o', dir]);
    const good = await ok(['check', dir, '--no-start']);
    expect(good.stdout).toMatch(/^ok {2}/m);
    const files = readdirSync(join(cwd, dir), { recursive: true, encoding: 'utf8' });
    const model = files.find((name) => name.endsWith('.onnx')) ?? '';
    await appendFile(join(cwd, dir, model), 'x');
    const bad = await runCli(['check', dir, '--no-start', '--json'], { cwd });
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.stdout)).toMatchObject({ ok: false, findings: [{ file: model.replaceAll('\\', '/') }] });
    const again = await runCli(['bundle', digits, '-t', target, '-o', dir], { cwd });
    expect(again).toMatchObject({ code: 2, stdout: '' });
    expect(again.stderr).toMatch(/exists; give another --out, or --force/);
  });
});

describe('report', () => {
  it('renders html, md and json, on stdout or into a file', async () => {
    await ok(['optimize', digits, '-o', 'r', '-v', 'fp16', '--no-bench', '--samples', '20', '-q']);
    const file = join('r', 'report.json');
    expect((await ok(['report', file])).stdout).toMatch(/^## mlpack: /);
    const printed = await json<object>(['report', file, '--format', 'json']);
    expect(printed).toEqual(JSON.parse(readFileSync(join(cwd, file), 'utf8')));
    const inJson = await json<{ format: string; text: string }>(['report', file, '--format', 'html']);
    expect(inJson.text).toMatch(/^<!doctype html>/);
    await ok(['report', file, '--format', 'html', '-o', 'page.html']);
    const page = await readFile(join(cwd, 'page.html'), 'utf8');
    expect(page.trimEnd()).toBe(inJson.text.trimEnd());
    expect(page).not.toMatch(/(src|href)="https?:/);
  });
});

describe('settings', () => {
  it('a config gives variants and targets; a flag wins over it', async () => {
    const config = {
      model: digits,
      out: 'from-config',
      variants: { mine: ['simplify', { pass: 'quantize-weights', bits: 8 }], other: ['to-fp16'] },
      targets: { server: { from: 'mine' } },
    };
    writeFileSync(join(cwd, 'recipe.json'), JSON.stringify(config));
    const argv = ['optimize', '-c', 'recipe.json', '--no-bench', '--samples', '20'];
    const report = await json<{ variants: { name: string }[]; bundles: { variant: string }[] }>(argv);
    expect(report.variants.map((one) => one.name)).toEqual(['base', 'mine', 'other']);
    expect(report.bundles.map((one) => one.variant)).toEqual(['mine']);
    const flagged = await json<{ bundles: { target: string; variant: string }[] }>([
      ...[...argv, '-o', 'by-flag', '-v', 'mine', '-t', 'server'],
    ]);
    expect(flagged.bundles.map((one) => one.variant)).toEqual(['mine']);
    expect(readdirSync(cwd)).toEqual(expect.arrayContaining(['from-config', 'by-flag']));
  });

  it('several names may follow a flag, before and behind the model', async () => {
    const flags = ['--no-bench', '--samples', '10'];
    const behind = await json<{ targets: string[] }>([
      ...['optimize', digits, ...flags, '-v', 'fp16', '-t', 'server', 'edge', '-o', 'two'],
    ]);
    expect(behind.targets).toEqual(['server', 'edge']);
    const before = await json<{ variants: { name: string }[] }>([
      ...['optimize', ...flags, '-o', 'three', '-t', 'server', '-v', 'fp16', 'base', digits],
    ]);
    expect(before.variants.map((one) => one.name)).toEqual(['base', 'fp16']);
  });
});

describe('terminal', () => {
  it('colours and a live line on a terminal, cut to its width; neither with NO_COLOR or without one', async () => {
    const argv = ['eval', digits, '--samples', '40'];
    const live = await ok(argv, { terminal: 24 });
    expect(live.stdout).toContain('\u001b[1m');
    for (const line of live.stderr.split('\r\u001b[2K'))
      expect(line.replaceAll(/\u001b\[\d+m/g, '').length).toBeLessThan(24);
    const plain = await ok(argv, { terminal: 80, env: { NO_COLOR: '1' } });
    expect(plain.stdout).not.toContain('\u001b');
    const piped = await ok(argv);
    expect(piped.stdout + piped.stderr).not.toContain('\u001b');
    expect(piped.stderr).toMatch(/^evaluate/m);
    expect((await ok([...argv, '-q'])).stderr).toBe('');
  });
});
