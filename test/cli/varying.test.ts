import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { tempDir } from '../targets/support/temp.ts';
import { runCli } from './support.ts';

const cwd = await tempDir();

// As speech synthesis does: noise is added on the way.
const noisy = `<ir_version: 8, opset_import: ["" : 17]>
main (float[1,8] x) => (float[1,8] y) { noise = RandomNormalLike (x) y = Add (x, noise) }`;
writeFileSync(join(cwd, 'noisy.onnx'), encodeModel(parseModel(noisy)));

it('records nothing of a model that draws random numbers, and says so', async () => {
  const { code, stderr } = await runCli(['bundle', 'noisy.onnx', '-t', 'triton', '-o', 'triton'], { cwd });
  expect(stderr).toContain('output "y" differs from run to run on the same inputs');
  expect(code).toBe(0);
  expect(JSON.parse(readFileSync(join(cwd, 'triton/mlpack.json'), 'utf8'))).toMatchObject({ golden: [] });
  const checked = await runCli(['check', 'triton'], { cwd });
  expect(checked.stdout).toContain('no golden cases: it is started, and nothing is compared');
  expect(checked.code).toBe(0);
});
