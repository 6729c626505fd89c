// Holds a refactoring to the byte: records what the passes make of many models, and compares afterwards.
//
//   npm run replay -- --record [FOLDER OF MODELS…]     before
//   npm run replay [FOLDER OF MODELS…]                 after: exit code 1, and the first difference in full, where a byte is another
//
// Models: the golden cases, 300 random graphs, the shared models where they lie beside the checkout, and every .onnx file of the folders
// named. What was recorded lies in the cache folder (MLPACK_CACHE, or --file PATH), by model and steps: a hash, and the model's text as long
// as it is short, so that a difference can be shown.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { parseStep } from '../../src/cli/steps.ts';
import { createCompute } from '../../src/engine/compute.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { readCases } from '../support/golden.ts';
import { blockPrograms, buildBlocks } from '../support/random-blocks.ts';
import { buildProgram, programs } from '../support/random-graph.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { record: { type: 'boolean', default: false }, file: { type: 'string' } },
});
const place = values.file ?? join(process.env['MLPACK_CACHE'] ?? join(homedir(), '.cache', 'mlpack'), 'replay.json');

/** What is replayed: the rewrites at both levels, and the quantizers that need no data. */
const recipes = [
  ['simplify'],
  ['simplify', 'fuse', 'simplify'],
  ['simplify', 'fuse:level=runtime'],
  ['simplify', 'fuse', 'quantize-dynamic'],
  ['simplify', 'to-fp16'],
];

/** Texts above this are told apart by their hash alone. */
const longest = 4000;

function* files(path) {
  if (path.endsWith('.onnx')) yield path;
  else if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) yield* files(join(path, name));
}

async function* subjects() {
  for (const golden of readCases()) yield [`golden ${golden.pass}/${golden.name}`, parseModel(golden.before)];
  for (const [number, program] of fc.sample(programs, { numRuns: 200, seed: 7 }).entries())
    yield [`random graph ${number}`, buildProgram(program)];
  for (const [number, program] of fc.sample(blockPrograms, { numRuns: 100, seed: 7 }).entries())
    yield [`random block ${number}`, buildBlocks(program)];
  const shared = fileURLToPath(new URL('../../../shared/models', import.meta.url));
  for (const folder of [...(existsSync(shared) ? [shared] : []), ...positionals.map((path) => resolve(path))])
    for (const path of files(folder)) yield [path.slice(dirname(folder).length + 1), await loadModel(path)];
}

async function outcome(model, recipe) {
  const context = { compute: createCompute(), activations: undefined, signal: new AbortController().signal, seed: 0 };
  try {
    await runSteps(model, recipe.flatMap((step) => parseStep(step)), { context });
  } catch (error) {
    return { hash: `refused: ${error.message}` };
  }
  const text = printModel(model, { elements: 4 });
  return {
    hash: createHash('sha256').update(encodeModel(model)).digest('hex'),
    ...(text.length <= longest && { text }),
  };
}

const known = values.record ? {} : JSON.parse(readFileSync(place, 'utf8'));
const made = {};
let different = 0;
let fresh = 0;
for await (const [name, model] of subjects()) {
  for (const recipe of recipes) {
    const key = `${name} | ${recipe.join(' ')}`;
    const now = await outcome(cloneModel(model), recipe);
    made[key] = now;
    if (values.record) continue;
    const before = known[key];
    if (!before) fresh++;
    else if (before.hash !== now.hash) {
      if (++different === 1) console.log(`${key}\n--- recorded\n${before.text ?? before.hash}\n--- now\n${now.text ?? now.hash}\n`);
      else console.log(key);
    }
  }
}
const count = Object.keys(made).length;
if (values.record) {
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, JSON.stringify(made));
  console.log(`${count} outcomes recorded in ${place}`);
} else {
  const gone = Object.keys(known).filter((key) => !(key in made)).length;
  console.log(`${count - different - fresh} of ${count} are the same to the byte, ${different} are not; ${fresh} were not recorded, ${gone} are gone`);
  if (different > 0) process.exitCode = 1;
}
