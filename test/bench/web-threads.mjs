/**
 * Which functions of onnxruntime-web's WebAssembly module run for threads' sake: on two threads and not on one, over models and repetitions, with all that
 * they call directly. Prints targets/browser/thread-functions.ts, for the version that is installed. Let other programs use the cores meanwhile, so that threads wait
 * for each other in every way.
 *
 *   node test/bench/web-threads.mjs <browser bundle…> > targets/browser/thread-functions.ts
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { webFunctionsRun } from '../../dist/src/engine/web-profile.js';
import { dtypeBits } from '../../dist/src/ir/dtype.js';
import { tensorFromBytes } from '../../dist/src/ir/tensor.js';
import { parseModule } from '../../dist/src/wasm/module.js';
import { readAllCode } from '../../dist/src/wasm/reach.js';

const repetitions = 4;
const dist = fileURLToPath(new URL('../../node_modules/onnxruntime-web/dist/', import.meta.url));
const runtime = {
  script: join(dist, 'ort.node.min.mjs'),
  mjs: join(dist, 'ort-wasm-simd-threaded.mjs'),
  wasm: join(dist, 'ort-wasm-simd-threaded.wasm'),
};

function feedOf({ name, dtype, shape }) {
  const dims = (shape ?? [1]).map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : 20));
  const count = dims.reduce((product, dim) => product * dim, 1);
  const bytes =
    dtype === 'float32'
      ? new Uint8Array(Float32Array.from({ length: count }, (_, n) => Math.sin(n)).buffer)
      : new Uint8Array((count * dtypeBits(dtype)) / 8);
  return [name, tensorFromBytes(dtype, dims, bytes)];
}

const found = new Set();
for (const bundle of process.argv.slice(2)) {
  const { inputs, variants } = JSON.parse(readFileSync(join(bundle, 'mlpack-model/model.json'), 'utf8'));
  const file = join(bundle, 'mlpack-model', variants[0].files[0].pieces[0].url);
  const model = { file, extra: {}, feeds: [new Map(inputs.map(feedOf))], others: [] };
  const run = (threads) => webFunctionsRun(runtime, [model], new AbortController().signal, [threads]);
  const alone = new Set(await run(1));
  for (let n = 0; n < repetitions; n++) for (const one of await run(2)) if (!alone.has(one)) found.add(one);
}
const bytes = new Uint8Array(readFileSync(runtime.wasm));
const module = parseModule(bytes);
const code = readAllCode(module);
// Items that are added while the set is gone through are gone through, too.
for (const one of found) {
  for (const { what, index } of code[one].references)
    if (what === 'function' && index >= module.importedFunctions) found.add(index - module.importedFunctions);
}
const numbers = [...found].sort((a, b) => a - b);
console.log(`/**
 * Defined functions of onnxruntime-web's WebAssembly module that run for the sake of threads, with all that they call directly. Which of them run
 * hangs on who waits for whom, so they are in the first part of the runtime for every model. Made by test/bench/web-threads.mjs.
 */
export const threadFunctions: { readonly sha256: string; readonly numbers: readonly number[] } = {
  sha256: '${createHash('sha256').update(bytes).digest('hex')}',
  numbers: [${numbers.join(', ')}],
};`);
