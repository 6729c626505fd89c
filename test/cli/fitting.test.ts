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
g (float[n,3,8,8] x) => (float[n,6,4,4] boxes, float[n,16,1] objects) <float[6,3,2,2] w = random(1), int64[3] flat = {0, 16, 1}> {
  boxes = Conv <strides = [2, 2]> (x, w)
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
