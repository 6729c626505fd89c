/** Bundles to measure, with their packages, and a request for each. */
import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');

/** node_modules of a bundle, by its own lock file. */
export function installed(target) {
  const cache = join(root, `node_modules/.cache/mlpack-bench-${target}`);
  execFileSync('mkdir', ['-p', cache]);
  const files = join(root, 'targets', target, 'files');
  execFileSync('cp', [join(files, 'package.json'), join(files, 'package-lock.json'), cache]);
  execFileSync('cp', [join(files, 'dot-npmrc'), join(cache, '.npmrc')]);
  execFileSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], { cwd: cache, stdio: 'ignore' });
  return join(cache, 'node_modules');
}

/** Makes a bundle as a user would. */
export function bundle(model, target, dir, modules) {
  execFileSync(process.execPath, [join(root, 'dist/bin/mlpack.js'), 'bundle', model, '-t', target, '-o', dir], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  symlinkSync(modules, join(dir, 'node_modules'));
  return { dir, manifest: JSON.parse(readFileSync(join(dir, 'mlpack.json'), 'utf8')) };
}

/**
 * A classifier of small pictures by dense layers: 42 MB of weights are read for each run, however many rows it has. None of
 * the shared picture models gains from batches (convolutions use their weights often enough in one picture).
 */
export async function denseModel(path) {
  const { parseModel } = await import(join(root, 'dist/src/ir/text/parse.js'));
  const { encodeModel } = await import(join(root, 'dist/src/onnx/encode.js'));
  const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,3,32,32] image) => (float[batch,10] scores)
<float[3072,2048] w1 = random(1, -0.02, 0.02), float[2048,2048] w2 = random(2, -0.02, 0.02), float[2048,10] w3 = random(3, -0.02, 0.02)>
{
  flat = Flatten (image)
  a = MatMul (flat, w1)
  b = Relu (a)
  c = MatMul (b, w2)
  d = Relu (c)
  scores = MatMul (d, w3)
}`;
  writeFileSync(path, encodeModel(parseModel(text)));
  return path;
}

const datatypes = { float32: 'FP32', int64: 'INT64', int32: 'INT32', uint8: 'UINT8', float16: 'FP16', float64: 'FP64' };

/** The first golden case as a binary request, `times` over along its first dimension: { headers, body }. */
export function request({ dir, manifest }, times = 1) {
  const [{ inputs }] = manifest.golden;
  const parts = inputs.map(({ file }) => Buffer.concat(Array(times).fill(readFileSync(join(dir, file)))));
  const head = Buffer.from(
    JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: inputs.map(({ name, dtype, shape: [first, ...others] }, i) => ({
        name,
        shape: [first * times, ...others],
        datatype: datatypes[dtype],
        parameters: { binary_data_size: parts[i].length },
      })),
    }),
  );
  return { headers: { 'inference-header-content-length': String(head.length) }, body: Buffer.concat([head, ...parts]) };
}
