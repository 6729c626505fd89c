import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import type { Report } from '../../src/report/report.ts';
import { judgementSentence } from '../../src/report/words.ts';
import { npyFile } from '../data/npy-file.ts';
import { tempDir } from '../targets/support/temp.ts';
import { runCli } from './support.ts';

it('optimize says of a label beyond the outputs before it builds anything', async () => {
  const dir = await tempDir();
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[n,2] x) => (float[n,3] y) <float[2,3] w = random(1)> { y = MatMul (x, w) }`);
  await writeFile(join(dir, 'model.onnx'), encodeModel(model));
  await writeFile(join(dir, 'x.npy'), npyFile('<f4', [4, 2], new Float32Array(8)));
  await writeFile(join(dir, 'labels.json'), JSON.stringify([0, 1, 3, 2]));
  await writeFile(
    join(dir, 'dataset.json'),
    JSON.stringify({
      schema: 'mlpack.dataset/1',
      name: 'd',
      inputs: { x: { file: 'x.npy' } },
      labels: { file: 'labels.json' },
      metric: 'top1',
    }),
  );
  const argv = ['optimize', join(dir, 'model.onnx'), '-d', dir, '-o', join(dir, 'out'), '--no-bench'];
  const { code, stderr } = await runCli(argv, { cwd: dir });
  expect(code).toBe(2);
  expect(stderr).toContain('A sample is labelled 3, but the output has only 3 classes.');
  expect(stderr).not.toMatch(/^build /m);
});

/** A detector's raw map, and eight pictures for it. */
async function detector(more: Readonly<Record<string, unknown>>): Promise<string> {
  const dir = await tempDir();
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[n,3,8,8] x) => (float[n,6,4,4] boxes, float[n,16,1] objects) <float[6,3,4,4] w = random(1), int64[3] flat = {0, 16, 1}> {
  boxes = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)
  one = ReduceMean <axes = [1]> (boxes)
  objects = Reshape (one, flat)
}`);
  await writeFile(join(dir, 'model.onnx'), encodeModel(model));
  const pixels = Float32Array.from({ length: 8 * 192 }, (_, at) => Math.sin(at * at));
  await writeFile(join(dir, 'x.npy'), npyFile('<f4', [8, 3, 8, 8], pixels));
  await writeFile(join(dir, 'labels.json'), JSON.stringify([0, 1, 0, 1, 0, 1, 0, 1]));
  const inputs = { x: { file: 'x.npy' } };
  await writeFile(
    join(dir, 'dataset.json'),
    JSON.stringify({ schema: 'mlpack.dataset/1', name: 'd', inputs, ...more }),
  );
  return dir;
}

it.each([{}, { output: 'objects' }])(
  'optimize holds outputs that no metric can read against those of the model itself: %j',
  async (more) => {
    const dir = await detector(more);
    const argv = ['optimize', join(dir, 'model.onnx'), '-d', dir, '-o', join(dir, 'out'), '--no-bench', '--json'];
    const { code, stdout, stderr } = await runCli([...argv, '-v', 'fp16', 'int4'], { cwd: dir });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(
      /no labels, and outputs that are no classes .*"boxes" \(float32 \[n, 6, 4, 4\]\).*reproduce them/,
    );
    const report = JSON.parse(stdout) as Report;
    expect(report.variants.every(({ accuracy }) => accuracy === null)).toBe(true);
    const fp16 = report.variants.find(({ name }) => name === 'fp16');
    expect(fp16).toMatchObject({ verdict: 'recommended' });
    expect(fp16?.fidelity?.sqnrDb).toBeGreaterThan(50);
    expect(judgementSentence(report)).toMatch(/without a metric: .* reproduce the original model at 30 dB/);
  },
);

it.each([
  [{ labels: { file: 'labels.json' }, metric: 'accuracy', output: 'label' }, /no output "label"/],
  [
    { metric: 'agreement' },
    /holds no scores of classes\. The model gives "boxes".*dataset\.json"?\), another "metric"/,
  ],
])('optimize says before it builds what a metric that was asked for does not find: %j', async (more, sentence) => {
  const dir = await detector(more);
  const argv = ['optimize', join(dir, 'model.onnx'), '-d', dir, '-o', join(dir, 'out'), '--no-bench'];
  const { code, stderr } = await runCli(argv, { cwd: dir });
  expect(code).toBe(2);
  expect(stderr).toMatch(sentence);
  expect(stderr).not.toMatch(/^build /m);
});

/** A small classifier with pictures of this shape, in a folder of its own. */
async function classifier(shape: readonly number[], numbers: (at: number) => number): Promise<string> {
  const dir = await tempDir();
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[n,4,8] x) => (float[n,32] y) <float[32,32] w = random(1), int64[2] flat = {-1, 32}> {
  f = Reshape (x, flat)
  y = MatMul (f, w)
}`);
  await writeFile(join(dir, 'model.onnx'), encodeModel(model));
  const pixels = Float32Array.from({ length: 40 * 32 }, (_, at) => numbers(at));
  await writeFile(join(dir, 'x.npy'), npyFile('<f4', [40, ...shape], pixels));
  await writeFile(join(dir, 'labels.json'), JSON.stringify(Array.from({ length: 40 }, (_, at) => at % 3)));
  const inputs = { x: { file: 'x.npy' } };
  const labels = { file: 'labels.json' };
  const dataset = { schema: 'mlpack.dataset/1', name: 'd', inputs, labels, split: { calibration: 8 } };
  await writeFile(join(dir, 'dataset.json'), JSON.stringify(dataset));
  return dir;
}

it('numbers of another shape are other samples, also where calibration was counted before', async () => {
  const cache = await tempDir();
  const run = async (dir: string) =>
    await runCli(['quantize-static', join(dir, 'model.onnx'), '-d', dir, '--place', 'all', '-o', join(dir, 'q.onnx')], {
      cwd: dir,
      env: { XDG_CACHE_HOME: cache },
    });
  expect((await run(await classifier([4, 8], Math.sin))).code).toBe(0);
  const again = await run(await classifier([4, 8], Math.sin));
  expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('8 samples, as counted before')]);
  const turned = await run(await classifier([8, 4], Math.sin));
  expect([turned.code, turned.stderr]).toEqual([2, expect.stringMatching(/the model takes \[n, 4, 8\], but .*8, 4\]/)]);
});

it('optimize says where the model itself gives no numbers', async () => {
  const dir = await classifier([4, 8], (at) => (at % 101 === 0 ? Number.NaN : Math.sin(at)));
  const argv = ['optimize', join(dir, 'model.onnx'), '-d', dir, '-o', join(dir, 'out'), '--no-bench', '--json'];
  const { code, stdout, stderr } = await runCli([...argv, '-v', 'fp32'], { cwd: dir });
  expect(code, stderr).toBe(0);
  expect((JSON.parse(stdout) as Report).warnings?.[0]).toMatch(
    /^The model itself gives NaN or infinite outputs on \d+ of 32 samples \(\d+(, \d+)+, …\): look at what goes in/,
  );
});

it.each([
  [
    'an opset of the future',
    { opset: 99, output: 'float[n,3] y' },
    /is of opset 99, which this version does not know yet/,
  ],
  ['no outputs', { opset: 17, output: '' }, /The model has no outputs, so there is nothing to run it for/],
])('a model of %s is told in a sentence', async (_, { opset, output }, sentence) => {
  const dir = await tempDir();
  const model = parseModel(`<ir_version: 8, opset_import: ["" : ${opset}]>
g (float[n,2] x) => (${output}) <float[2,3] w = random(1)> { y = MatMul (x, w) }`);
  await writeFile(join(dir, 'model.onnx'), encodeModel(model));
  const { code, stderr } = await runCli(['optimize', 'model.onnx', '-o', 'out', '--no-bench'], { cwd: dir });
  expect([code, stderr]).toEqual([2, expect.stringMatching(sentence)]);
});
