import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
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
