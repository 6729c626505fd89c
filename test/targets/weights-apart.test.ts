import { existsSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { weightsApart } from '../../src/cli/weights-apart.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import type { Manifest } from '../../src/target/manifest.ts';
import type { ApartFiles, Artifact, Target } from '../../src/target/target.ts';
import { functions } from '../../targets/functions/index.ts';
import { lambda } from '../../targets/lambda/index.ts';
import { server } from '../../targets/server/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { tempDir } from './support/temp.ts';

/** 1.2 MB of weights in one matrix, and a second one that is too small to be worth a page. */
const wide = `<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,144] x) => (float[batch,4] scores)
<
  float[144,2048] w = random(1, -0.5, 0.5),
  float[2048,4] v = random(2, -0.2, 0.2)
>
{
  h = MatMul (x, w)
  r = Relu (h)
  scores = MatMul (r, v)
}`;
const rows = Float32Array.from({ length: 144 }, (_, i) => Math.sin(i));
const dir = await tempDir();

/** The artifact as the command makes it, and what `apart` has given out. */
async function packable(text: string, feeds: Parameters<typeof makeArtifact>[2]): Promise<[Artifact, ApartFiles[]]> {
  const artifact = await makeArtifact(await tempDir(), text, feeds);
  const given: ApartFiles[] = [];
  const apart = async (): Promise<ApartFiles | undefined> => {
    const made = await weightsApart(artifact.files[0]?.source ?? '');
    if (made) given.push(made);
    return made;
  };
  return [{ ...artifact, workshop: { ...(artifact.workshop as NonNullable<Artifact['workshop']>), apart } }, given];
}

async function packed(target: Target, artifact: Artifact, out: string, options = {}): Promise<Manifest> {
  await buildBundle(target, artifact, options, join(dir, out));
  return JSON.parse(await readFile(join(dir, out, 'mlpack.json'), 'utf8')) as Manifest;
}

it('functions have large weights in a file of their own, others where that is asked for', async () => {
  const [artifact, given] = await packable(wide, [{ x: new ort.Tensor('float32', rows, [1, 144]) }]);
  const names = async (target: Target, out: string, options = {}): Promise<string[]> =>
    (await packed(target, artifact, out, options)).model.files.map(({ path }) => path);
  const both = ['model/model.onnx', 'model/model.onnx.data'];
  expect(await names(lambda as unknown as Target, 'lambda')).toEqual(both);
  expect(await names(functions as unknown as Target, 'functions')).toEqual(both);
  expect(await names(server as unknown as Target, 'server')).toEqual(['model/model.onnx']);
  expect(await names(server as unknown as Target, 'apart', { weights: 'apart' })).toEqual(both);
  expect(given).toHaveLength(3);
  for (const { files } of given) for (const { source } of files) expect(existsSync(source)).toBe(false);
  const bytes = await readFile(join(dir, 'lambda/model/model.onnx'));
  expect(bytes.length).toBeLessThan(40_000);
});

it('a model with few weights, or with weights that lie apart already, stays as it is', async () => {
  const [small] = await packable(classifier, classifierFeeds);
  expect((await packed(lambda as unknown as Target, small, 'small')).model.files).toHaveLength(1);
  expect(await weightsApart(join(dir, 'lambda/model/model.onnx'))).toBeUndefined();
});

const modules = installedModules('lambda');
it.skipIf(modules === undefined)('a function answers from weights that are mapped', async () => {
  const [artifact] = await packable(wide, [{ x: new ort.Tensor('float32', rows, [1, 144]) }]);
  await packed(lambda, artifact, 'answers');
  await symlink(modules ?? '', join(dir, 'answers/node_modules'));
  const { handler } = (await import(pathToFileURL(join(dir, 'answers/index.mjs')).href)) as {
    handler: (event: unknown) => Promise<{ outputs: { data: number[] }[] }>;
  };
  const { outputs } = await handler({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 144], data: [...rows] }],
  });
  const want = artifact.golden[0]?.outputs[0]?.bytes.slice();
  expect(outputs[0]?.data).toEqual([...new Float32Array(want?.buffer ?? new ArrayBuffer(0))]);
});
