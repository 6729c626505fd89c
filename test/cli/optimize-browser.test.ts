import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Graph, Model } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { saveModel } from '../../src/onnx/save.ts';
import type { Report } from '../../src/report/report.ts';
import { runCli } from './support.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** y = x · W₁ · W₂ with weights that four bits hold exactly: blocks of the numbers −8 to 7. */
function fourBitModel(): Model {
  const width = 1024;
  const graph = new Graph('g');
  let value = graph.addInput('x', tensorType('float32', [1, width]));
  for (const name of ['w1', 'w2']) {
    const data = Float32Array.from({ length: width * width }, (_, at) => {
      const [row, column] = [Math.floor(at / width), at % width];
      return (((row * 7 + column * 5) % 16) - 8) / 256;
    });
    const weight = graph.addInitializer(name, tensorFrom('float32', [width, width], data));
    const output = `y_${name}`;
    const type = tensorType('float32', [1, width]);
    value = graph.append('MatMul', { inputs: [value, weight], outputs: [output], types: [type] }).output();
  }
  graph.addOutput(value);
  return new Model(graph, 17, 8);
}

test('a browser is not sent what is slow on WebAssembly, however fast the CPU runs it', async () => {
  const path = join(dir, 'model.onnx');
  const out = join(dir, 'out');
  await saveModel(fourBitModel(), path, {});
  const result = await runCli([
    ...['optimize', path, '-o', out, '-t', 'server', 'browser', '-v', 'int4', '--seconds', '0.3', '--json', '-q'],
  ]);
  expect(result.stderr).toBe('');
  expect(result.code, result.stdout.slice(0, 1000)).toBe(0);
  const report = JSON.parse(await readFile(join(out, 'report.json'), 'utf8')) as Report;

  const [base, int4] = report.variants;
  expect(int4?.name).toBe('int4');
  for (const variant of [base, int4]) expect(Object.keys(variant?.latency ?? {})).toEqual(['cpu', 'web-wasm']);
  // Measured at 11 to 15; on a busy machine the figure wanders, the verdict must not.
  expect(int4?.latency['web-wasm']?.ratioToBase).toBeGreaterThan(2);
  expect(int4?.reasons.join(' ')).toMatch(/slower than base on web-wasm: ×\d/);

  expect(report.recommendations.find((one) => one.target === 'browser')).toMatchObject({
    provider: 'web-wasm',
    variant: 'base',
  });
  expect(report.bundles.find((one) => one.target === 'browser')?.variant).toBe('base');
}, 240_000);

test('a provider that cannot be measured is refused before any work', async () => {
  const path = join(dir, 'model.onnx');
  const { code, stderr } = await runCli(['optimize', path, '-o', join(dir, 'none'), '--provider', 'nosuch', '-q']);
  expect(code).toBe(2);
  expect(stderr).toContain('no provider "nosuch"');
});
