import { copyFile, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { npyFile } from '../data/npy-file.ts';
import { plantedLayers, writePlanted } from '../support/planted.ts';
import { runCli } from './support.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-planted-'));
  await writePlanted(dir, 300);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const model = (): string => join(dir, 'model.onnx');

async function json<T>(argv: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await runCli([...argv, '--json', '-q'], { cwd: dir });
  expect(code, stdout.slice(0, 500) + stderr).toBe(0);
  return JSON.parse(stdout) as T;
}

interface Sensitivity {
  readonly source: string;
  readonly samples: number;
  readonly layers: readonly {
    readonly label: string;
    readonly op: string;
    readonly macs: number;
    readonly timeShare?: number;
    readonly formats: readonly {
      readonly format: string;
      readonly sqnrDb: number;
      readonly kl: number;
      readonly bytes: number;
    }[];
    readonly left: readonly { readonly format: string; readonly why: string }[];
  }[];
}

interface Run {
  readonly output: { readonly sha256: string };
  readonly steps: readonly {
    readonly skipped: readonly { readonly rule: string; readonly node: string; readonly why: string }[];
    readonly notes: readonly string[];
  }[];
}

describe('a metric that the data brings', () => {
  it('is searched by where --allow-modules lets it run, in every command that searches', async () => {
    const own = await mkdtemp(join(tmpdir(), 'mlpack-own-metric-'));
    onTestFinished(() => rm(own, { recursive: true, force: true }));
    await cp(dir, own, { recursive: true });
    const described = JSON.parse(await readFile(join(own, 'dataset.json'), 'utf8'));
    await writeFile(join(own, 'dataset.json'), JSON.stringify({ ...described, metric: './margin.mjs' }));
    await writeFile(
      join(own, 'margin.mjs'),
      'export default { name: "margin", higherIsBetter: true, needs: "labels", score: ({ output, size, labels }) => Array.from({ length: size }, (_, i) => output.data[i * output.shape[1] + labels[i]]) };',
    );
    const out = ['-o', join(dir, 'own.onnx'), '--force'];
    const refused = await runCli(['mixed-precision', model(), '-d', own, ...out], { cwd: dir });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('say --allow-modules')]);
    const searched = 'every layer in its cheapest format: margin ';
    for (const [says, ...command] of [
      [searched, 'mixed-precision', model(), ...out],
      [searched, 'run', model(), 'mixed-precision:trials=1', ...out],
      ['✔ layer  Conv "conv0"', 'explain', model(), 'mixed-precision'],
    ] as const) {
      const { code, stdout, stderr } = await runCli([...command, '-d', own, '--allow-modules'], { cwd: dir });
      expect(code, stderr).toBe(0);
      expect(stdout + stderr, command[0]).toContain(says);
    }
    // Variants of a bundle are searched for in the same way; that the code runs is seen by how it ends.
    await writeFile(join(own, 'ends.mjs'), 'throw new Error("it ran");');
    await writeFile(join(own, 'dataset.json'), JSON.stringify({ ...described, metric: './ends.mjs' }));
    const bundle = ['bundle', model(), '-t', 'browser', '-v', 'mixed', '-d', own, '-o', join(dir, 'page'), '--force'];
    expect((await runCli(bundle, { cwd: dir })).stderr).toContain('say --allow-modules');
    expect((await runCli([...bundle, '--allow-modules'], { cwd: dir })).stderr).toContain('cannot be loaded: it ran');
  });
});

describe('mlpack sensitivity', () => {
  it('ranks the layer that 8 bits ruin first, far ahead of the others', async () => {
    const { layers, samples, source } = await json<Sensitivity>(['sensitivity', model(), '-d', dir]);
    expect(source).toBe('data');
    expect(samples).toBe(64);
    const heavy = layers.filter(({ op }) => op === 'Conv' || op === 'Gemm');
    expect(heavy.map(({ label }) => label).toSorted()).toEqual([...plantedLayers, 'head'].toSorted());
    const int8 = (label: string): number =>
      heavy.find((layer) => layer.label === label)?.formats.find(({ format }) => format === 'int8')?.sqnrDb ??
      Number.NaN;
    expect(layers[0]?.label).toBe('planted');
    const others = plantedLayers.filter((label) => label !== 'planted').map(int8);
    expect(Math.min(...others) - int8('planted')).toBeGreaterThan(15);
    expect(layers[0]?.macs).toBe(32 * 32 * 9 * 256);
    expect(heavy.some(({ timeShare }) => timeShare !== undefined && timeShare > 0)).toBe(true);
    // A format that a layer does not have is named with its reason.
    expect(layers[0]?.left.find(({ format }) => format === 'int4')?.why).toMatch(/\w+ \w+/);
  });

  it('prints a table, and says what the figures rest on without data', async () => {
    const { code, stdout } = await runCli(['sensitivity', model(), '-d', dir, '--formats', 'int8', '--no-time'], {
      cwd: dir,
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^layer +op +weights +int8 dB +KL +flips\n(\S+) +Conv/);
    const alone = await mkdtemp(join(tmpdir(), 'mlpack-nodata-'));
    try {
      await copyFile(model(), join(alone, 'm.onnx'));
      const result = await runCli(['sensitivity', 'm.onnx', '--formats', 'int8', '--no-time', '-q'], { cwd: alone });
      expect(result.code, result.stderr).toBe(0);
      expect(result.stdout).toMatch(/on 8 made-up inputs \(no data: expect other ranks on real ones\)/);
    } finally {
      await rm(alone, { recursive: true, force: true });
    }
  });

  it('refuses a format that does not exist with the nearest name', async () => {
    const { code, stderr } = await runCli(['sensitivity', model(), '-d', dir, '--formats', 'int88'], { cwd: dir });
    expect(code).toBe(2);
    expect(stderr).toMatch(/no format "int88".*int8/);
  });
});

describe('mlpack mixed-precision', () => {
  const mixed = (): string[] => ['mixed-precision', model(), '-d', dir, '--formats', 'int8', '--max-drop', '0.1'];

  it('leaves exactly the planted layer in float, with the reason, and keeps the floor on samples it did not search', async () => {
    const run = await json<Run>([...mixed(), '-o', 'mixed.onnx']);
    const [step] = run.steps;
    const left = step?.skipped.filter(({ rule }) => rule === 'float') ?? [];
    expect(left.map(({ node }) => node)).toEqual(['Conv "planted"']);
    expect(left[0]?.why).toMatch(
      /^alone in int8 it takes the outputs to \d+\.\d dB; in float32 it takes away \d+ % of the noise$/,
    );
    expect(step?.notes[0]).toBe('search on 150 samples, verdict on 150 others; formats int8');
    expect(step?.notes.at(-1)).toMatch(/1 fp32; on the samples kept apart: .*150 samples; .*kept$/);
    // What was chosen, and what it costs, is the answer: it must not stand in --json alone.
    const { stdout } = await runCli([...mixed(), '-o', 'shown.onnx', '-q'], { cwd: dir });
    for (const note of step?.notes ?? []) expect(stdout).toContain(note);
    const written = await loadModel(join(dir, 'mixed.onnx'));
    const planted = [...written.graph.nodes].find(({ name }) => name === 'planted');
    expect(planted?.input(1)?.initializer?.dtype).toBe('float32');
    const quantized = [...written.graph.nodes].filter(
      (node) => node.op === 'Conv' && node.input(1)?.producer?.op === 'DequantizeLinear',
    );
    expect(quantized).toHaveLength(4);
  });

  it('stores weights of the layer that stays in float in 8 bits where that is asked for, and the samples kept apart confirm it', async () => {
    const run = await json<Run>([...mixed(), '--stored', '-o', 'stored.onnx']);
    const [step] = run.steps;
    expect(step?.skipped.filter(({ rule }) => rule === 'float').map(({ node }) => node)).toEqual(['Conv "planted"']);
    expect(step?.notes.at(-1)).toMatch(
      /^weights of 1 of 1 layers in float stored in 8 bits; on the samples kept apart: .*150 samples; .*kept$/,
    );
    const dtypes = async (file: string): Promise<Map<string, string | undefined>> => {
      const { graph } = await loadModel(join(dir, file));
      return new Map([...graph.initializers].map(({ name, initializer }) => [name, initializer?.dtype]));
    };
    expect((await dtypes('mixed.onnx')).get('planted_w')).toBe('float32');
    const stored = await dtypes('stored.onnx');
    expect(stored.get('planted_w')).toBeUndefined();
    expect(stored.get('planted_w_quantized')).toBe('int8');
    expect((await stat(join(dir, 'stored.onnx'))).size).toBeLessThan(0.75 * (await stat(join(dir, 'mixed.onnx'))).size);
  });

  it('gives the same bytes again, and other samples with another seed', async () => {
    const again = await json<Run>([...mixed(), '-o', 'again.onnx']);
    const first = await readFile(join(dir, 'mixed.onnx'));
    expect((await readFile(join(dir, 'again.onnx'))).equals(first)).toBe(true);
    const other = await json<Run>([...mixed(), '--seed', '3', '-o', 'other.onnx']);
    expect(other.steps[0]?.notes).not.toEqual(again.steps[0]?.notes);
  });

  it('says where the formats that it chose change nothing in the whole model', async () => {
    const small = await mkdtemp(join(tmpdir(), 'mlpack-nothing-'));
    try {
      const text = `<ir_version: 8, opset_import: ["" : 17]>
g (float[n,40] x) => (float[n,32] y) <float[40,32] w = random(1)> { y = MatMul (x, w) }`;
      await writeFile(join(small, 'model.onnx'), encodeModel(parseModel(text)));
      const rows = Float32Array.from({ length: 64 * 40 }, (_, at) => Math.sin(at * at));
      await writeFile(join(small, 'x.npy'), npyFile('<f4', [64, 40], rows));
      const inputs = { x: { file: 'x.npy' } };
      const dataset = { schema: 'mlpack.dataset/1', name: 'd', inputs, split: { calibration: 16 } };
      await writeFile(join(small, 'dataset.json'), JSON.stringify(dataset));
      const argv = ['mixed-precision', join(small, 'model.onnx'), '-d', small, '--formats', 'int8', '-o', 'same.onnx'];
      const { code, stdout } = await runCli([...argv, '-q'], { cwd: small });
      expect(code, stdout).toBe(0);
      expect(stdout).toContain('(nothing to change)');
      expect(stdout).toContain('24 samples; the same outputs), kept');
      expect(stdout).toMatch(/left model: the formats chosen \(1 int8\) change nothing: .*--place all/);
      expect(stdout).not.toMatch(/layer ×1|Infinity/);
    } finally {
      await rm(small, { recursive: true, force: true });
    }
  });

  it('says what it needs', async () => {
    const { code, stderr } = await runCli(
      ['mixed-precision', model(), '-d', dir, '--formats', 'int9', '-o', 'x.onnx'],
      { cwd: dir },
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/--formats names "int9"; there are int8, int8-dynamic, int8-weights, int4, fp16/);
  });
});
