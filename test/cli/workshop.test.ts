import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createWorkshop } from '../../src/cli/workshop.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { tempDir } from '../targets/support/temp.ts';

it('reads weights in a file beside the model in what ONNX Runtime saved of it', async () => {
  const file = join(await tempDir(), 'model.onnx');
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
m (float[N,2] x) => (float[N,2] y)
<
  float[2,2] w = {1, 2, 3, 4}
>
{
  y = MatMul (x, w)
}`);
  await saveModel(model, file, { externalData: 'always', threshold: 0 });
  const { savedGraph } = createWorkshop(file, 0, new AbortController().signal);
  const { graph } = await savedGraph({ level: 'basic', config: {} });
  const weights = [...graph.initializers].map(({ tensor }) => [
    ...new Float32Array(tensor?.bytes().slice().buffer ?? new ArrayBuffer(0)),
  ]);
  expect(weights).toEqual([[1, 2, 3, 4]]);
});
