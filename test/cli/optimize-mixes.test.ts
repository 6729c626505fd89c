import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSession } from '../../src/engine/session.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { loadModel } from '../../src/onnx/load.ts';
import type { Report } from '../../src/report/report.ts';
import { writePlantedRows } from '../support/planted-rows.ts';
import { runCli } from './support.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-mixes-'));
  await writePlantedRows(dir, 400);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function optimize(out: string, ...argv: string[]): Promise<Report> {
  const web = ['--target', 'browser', '--provider', 'web-wasm', '--max-drop', '0.1', '--no-bench', '--no-cache'];
  const result = await runCli(['optimize', 'model.onnx', '-d', dir, ...web, ...argv, '-o', out, '--json', '-q'], {
    cwd: dir,
  });
  expect(result.code, result.stdout.slice(0, 500) + result.stderr).toBe(0);
  return JSON.parse(result.stdout) as Report;
}

test('uint8 and int4-dq that miss the floor each lead to a mix that keeps it, the layer that hurts in float', async () => {
  const report = await optimize('out');
  const named = (name: string) => report.variants.find((one) => one.name === name);
  for (const [variant, mix, pass] of [
    ['uint8', 'mixed-wasm', 'MatMulInteger'],
    ['int4-dq', 'mixed-dq', 'DequantizeLinear'],
  ] as const) {
    expect(named(variant)?.verdict).toBe('rejected');
    // Its mix is in the table, so nothing has to be said of it here.
    expect(named(variant)?.reasons).toHaveLength(1);
    const mixed = named(mix);
    expect([mix, mixed?.verdict]).not.toEqual([mix, 'rejected']);
    expect(mixed?.accuracy?.drop).toBeLessThanOrEqual(0.1);
    expect(mixed?.bytes).toBeLessThan(0.7 * (named('base')?.bytes ?? 0));
    expect(mixed?.ops[pass]).toBeGreaterThan(0);
    const left = mixed?.steps.at(-1)?.skipped.filter(({ rule }) => rule === 'float') ?? [];
    expect(left.map(({ node }) => node)).toContain('MatMul "planted"');
    expect(mixed?.steps.at(-1)?.notes?.join('\n')).toMatch(/planted: \S+ → fp32, takes away \d+ % of the noise/);

    const shown = report.sensitivity?.find(({ measure }) => measure.includes(`in the search of ${mix}`));
    const losses = shown?.layers.toSorted((a, b) => (b.loss ?? 0) - (a.loss ?? 0));
    expect(losses?.[0]).toMatchObject({ node: 'planted', kept: expect.stringContaining('in float32 it takes away') });

    const file = join(dir, 'out', mixed?.file ?? '');
    const weights = [...(await loadModel(file)).graph.nodes].find(({ name }) => name === 'planted')?.input(1);
    expect(weights?.initializer?.dtype).toBe('float32');
    const session = await openSession(file, { label: mix });
    const rows = await session.run(new Map([['x', tensorFrom('float32', [3, 64], new Float32Array(192).fill(0.5))]]));
    expect(rows.get('logits')?.shape).toEqual([3, 8]);
    await session.dispose();
  }
  const html = await readFile(join(dir, 'out/report.html'), 'utf8');
  expect(html).toContain('in the search of mixed-dq');
  expect(html).toContain('kept in higher precision');

  // By their names, alone and without the cache: the same bytes.
  const again = await optimize('again', '--variant', 'mixed-wasm', 'mixed-dq', 'int4-dq');
  for (const name of ['mixed-wasm', 'mixed-dq'])
    expect([name, again.variants.find((one) => one.name === name)?.sha256]).toEqual([name, named(name)?.sha256]);
}, 480_000);

test('where pruning holds the floor and its integers do not, the mix goes on from the pruned model with what that left to lose', async () => {
  const wide = join(dir, 'wide');
  await writePlantedRows(wide, 400, 256, 96);
  const run = async (out: string, ...more: string[]): Promise<Report> => {
    const argv = ['optimize', 'model.onnx', '-d', wide, '--max-drop', '0.2', '--no-bench', '--no-cache', ...more];
    const result = await runCli([...argv, '-o', out, '--json', '-q'], { cwd: wide });
    expect(result.code, result.stdout.slice(0, 500) + result.stderr).toBe(0);
    return JSON.parse(result.stdout) as Report;
  };
  const report = await run('out');
  const named = (name: string) => report.variants.find((one) => one.name === name);
  const [pruned, integers, mixed] = ['pruned', 'pruned-int8', 'pruned-mixed'].map(named);
  expect(integers?.verdict).toBe('rejected');
  expect(mixed?.verdict).not.toBe('rejected');
  expect(mixed?.bytes).toBeLessThan(0.6 * (pruned?.bytes ?? 0));
  const lost = pruned?.accuracy?.drop ?? 0;
  expect(lost).toBeGreaterThan(0);
  expect(mixed?.accuracy?.drop).toBeLessThanOrEqual(0.2);
  const step = mixed?.steps.at(-1);
  expect(step?.notes).toContain(
    `of the allowed drop (0.2) what was done to the model before left ${(0.2 - lost).toFixed(4)}: that is what this mix may lose`,
  );
  expect(step?.skipped.filter(({ rule }) => rule === 'float').map(({ node }) => node)).toContain('MatMul "planted"');
  // Pruning, the long part, was done once.
  const search = mixed?.steps.find(({ pass }) => pass === 'prune-search');
  expect(search?.ms).toBe(pruned?.steps.find(({ pass }) => pass === 'prune-search')?.ms);
  // What the chart shows are layers of the pruned model.
  const shown = report.sensitivity?.find(({ measure }) => measure.includes('in the search of pruned-mixed'));
  const bytesOf = (layers: typeof shown): number | undefined =>
    layers?.layers.find(({ node }) => node === 'first')?.bytes;
  expect(bytesOf(shown)).toBeLessThan(256 * 256 * 4);

  const again = await run('again', '--variant', 'pruned-mixed');
  expect(again.variants.find(({ name }) => name === 'pruned-mixed')?.sha256).toBe(mixed?.sha256);
}, 480_000);
