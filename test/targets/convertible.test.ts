import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { resolveTargetOptions } from '../../src/target/plan.ts';
import type { Artifact } from '../../src/target/target.ts';
import { coreml } from '../../targets/coreml/index.ts';
import { tflite } from '../../targets/tflite/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

const model = (constants: string, body: string): string =>
  `<ir_version: 8, opset_import: ["" : 17]>\ng (float[1,32,8,8] x) => (float[n,c,h,w] y) <${constants}> { ${body} }`;

const feeds = [
  {
    x: new ort.Tensor(
      Float32Array.from({ length: 2048 }, (_, i) => Math.sin(i)),
      [1, 32, 8, 8],
    ),
  },
];

/** optimize asks first and chooses after the answers: what only `emit` refuses ends the whole run. */
describe.each([
  ['coreml', (artifact: Artifact) => coreml.supports(artifact, resolveTargetOptions(coreml, {}))],
  ['tflite', (artifact: Artifact) => tflite.supports(artifact, resolveTargetOptions(tflite, {}))],
])('%s', (_, supports) => {
  const support = async (text: string) => supports(await makeArtifact(dir, text, feeds));

  it('takes what quantize-dynamic makes of large convolutions: weights of 8 bits, cast', async () => {
    const text = model(
      'int8[64,32,3,3] q = random(1, -127, 127), float[64,1,1,1] s = random(2, 0.001, 0.002), float[64] b = random(3)',
      'c = Cast <to = 1> (q)  w = Mul (c, s)  y = Conv <pads = [1,1,1,1]> (x, w, b)',
    );
    expect(await support(text)).toMatchObject({ ok: true });
  });

  it('says before anything is written what it has no form for', async () => {
    const text = model('', 'y = MaxPool <kernel_shape = [2,2], dilations = [2,2]> (x)').replace('<>', '');
    const { ok, because } = await support(text);
    expect(ok).toBe(false);
    expect(because.join()).toMatch(/MaxPool ".*" cannot become .*: .*dilations/);
  });
});
