import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { saveModel } from '../../src/onnx/save.ts';
import type { Report } from '../../src/report/report.ts';
import { writePlanted } from '../support/planted.ts';
import { runCli } from './support.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-mixed-'));
  await writePlanted(dir, 200);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function optimize(...argv: string[]): Promise<Report> {
  const result = await runCli(['optimize', ...argv, '--no-bench', '--json', '-q'], { cwd: dir });
  expect(result.code, result.stdout.slice(0, 500) + result.stderr).toBe(0);
  return JSON.parse(result.stdout) as Report;
}

test('where int8 misses the floor a mix is searched for, judged like the others, and explained', async () => {
  const report = await optimize('model.onnx', '-d', dir, '--max-drop', '10%', '-o', 'out');
  const named = (name: string) => report.variants.find((one) => one.name === name);
  expect(named('int8-static')?.reasons.join(' ')).toMatch(/^top1 falls from 1\.0000/);
  const mixed = named('mixed');
  // Weights in 8 bits alone are smaller and keep this floor; how fast either is is not looked at here.
  expect(mixed?.verdict).toBe('accepted');
  expect(mixed?.accuracy?.drop).toBeLessThanOrEqual(0.1);
  const step = mixed?.steps.find(({ pass }) => pass === 'mixed-precision');
  expect(step?.options).toMatchObject({ maxDrop: '10%' });
  // A share of what base reaches: everything that is compared or shown is the difference it comes to.
  expect(report.limits.maxDrop).toBe(0.1);
  expect(step?.notes?.join('\n')).toContain('of 0.1 allowed');
  expect(step?.notes?.at(-1)).toMatch(/on the samples kept apart: .*100 samples/);
  expect(step?.notes?.at(-2)).toMatch(/^weights of this mix fitted to what the layers see: \d+\.\d dB for \d+\.\d/);

  const [int8] = report.sensitivity ?? [];
  expect(int8?.scheme).toBe('int8');
  const losses = (int8?.layers ?? []).toSorted((a, b) => (b.loss ?? 0) - (a.loss ?? 0));
  expect(losses[0]).toMatchObject({ node: 'planted', op: 'Conv' });
  expect(losses[0]?.loss).toBeGreaterThan(50 * (losses[1]?.loss ?? 0));
  const moved = step?.notes?.filter((note) => note.startsWith('planted: int8 → '));
  expect(moved).toHaveLength(1);
  const html = await readFile(join(dir, 'out/report.html'), 'utf8');
  expect(html).toContain('samples kept apart');

  // What cannot pay on the server's provider is named, not built.
  expect(report.notBuilt?.map(({ variant }) => variant)).toEqual(['uint8', 'int4-dq', 'q4f16']);
  expect(html).toContain('nsigned weights are the slower kernel on the CPU');
}, 240_000);

test('--naming transformers-js lays the files out as transformers.js asks for them', async () => {
  const intents = fileURLToPath(new URL('../../models/intents', import.meta.url));
  await optimize(intents, '-o', 'tjs', '--naming', 'transformers-js', '--samples', '40');
  const names = ['', '_fp16', '_quantized', '_int8', '_uint8', '_q4', '_q4f16', '_bnb4'].map(
    (end) => `model${end}.onnx`,
  );
  for (const name of names) expect([name, existsSync(join(dir, 'tjs/onnx', name))]).toEqual([name, true]);
  const [q4, variant] = await Promise.all(
    ['tjs/onnx/model_q4.onnx', 'tjs/variants/int4/model.onnx'].map((path) => readFile(join(dir, path))),
  );
  expect(q4?.equals(variant ?? Buffer.alloc(0))).toBe(true);

  // A bundle of one variant holds those that stand beside it, and makes none of weights that are rounded already.
  const argv = ['bundle', 'tjs/variants/int8/model.onnx', '--target', 'transformers-js', '-o', 'packed', '-q'];
  const packed = await runCli(argv, { cwd: dir });
  expect(packed.code, packed.stdout + packed.stderr).toBe(0);
  const own = await Promise.all(
    ['packed/onnx/model_int8.onnx', 'packed/onnx/model_q4.onnx'].map((path) => readFile(join(dir, path))),
  );
  expect(own[1]?.equals(q4 ?? Buffer.alloc(0))).toBe(true);
  expect(own[0]?.equals(await readFile(join(dir, 'tjs/variants/int8/model.onnx')))).toBe(true);
}, 240_000);

test('a search behind a step that lost something is held to what that left of the floor, on all samples', async () => {
  const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));
  const thin = ['prune-weights:sparsity=0.7,score=magnitude'];
  const variants = { thin, both: [...thin, 'mixed-precision:formats=int8'] };
  await writeFile(join(dir, 'mlpack.config.json'), JSON.stringify({ variants }));
  const argv = ['-d', join(digits, 'eval'), '-c', 'mlpack.config.json', '--max-drop', '0.2', '-o', 'own'];
  const report = await optimize(join(digits, 'model.onnx'), ...argv);
  const [alone, both] = ['thin', 'both'].map((name) => report.variants.find((one) => one.name === name));
  const lost = alone?.accuracy?.drop ?? 0;
  expect(lost).toBeGreaterThan(0.001);
  expect(lost).toBeLessThan(0.2);
  const notes = both?.steps.at(-1)?.notes ?? [];
  expect(notes).toContain(
    `of the allowed drop (0.2) what was done to the model before left ${(0.2 - lost).toFixed(4)}: that is what this mix may lose`,
  );
  expect(both?.accuracy?.drop).toBeLessThanOrEqual(0.2);
  // One search: its layers are those of the model that it went on from.
  expect(report.sensitivity?.map(({ scheme }) => scheme)).toEqual(['int8']);
}, 240_000);

test('outputs that are the same whatever goes in recommend nothing that may have lost something', async () => {
  const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,64] x) => (float[N,64] y)
< float[64,64] w = random(1) >
{
  h = MatMul (x, w)
  z = Sub (h, h)
  y = Sigmoid (z)
}`;
  // Away from the data of the others.
  await mkdir(join(dir, 'alone'));
  await saveModel(parseModel(text), join(dir, 'alone', 'same.onnx'), {});
  const report = await optimize('alone/same.onnx', '-v', 'fp16', '-o', 'same');
  const half = report.variants.find(({ name }) => name === 'fp16');
  expect(half?.verdict).toBe('rejected');
  expect(half?.reasons.join()).toMatch(/^the outputs of the model are the same on all \d+ made-up inputs/);
  expect(report.recommendations[0]?.variant).toBe('base');
  const search = await runCli(['mixed-precision', 'alone/same.onnx', '-o', 'mixed.onnx', '--synthetic'], { cwd: dir });
  expect([search.code, search.stderr]).toEqual([
    2,
    expect.stringMatching(/the outputs of the model are the same on all/),
  ]);
  expect(existsSync(join(dir, 'mixed.onnx'))).toBe(false);
});
