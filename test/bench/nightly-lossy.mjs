// Random graphs through every pass that loses precision: does the result load on ONNX Runtime at all of its levels, and how near does it come to the
// float model, with the runtime's optimizer and without? (The faithful passes: nightly.mjs.)
//
//   npm run nightly:lossy [-- --graphs 500 --from 0 --seed 77 --only 'static all,fp16' --fused --show]
//
// --family recurrent,conv (or all): those of test/support/families in turn. --mobile: networks of convolutions instead, large enough for integers to pay. --provider web-wasm: how it is on onnxruntime-web, in place of all optimizations here. --fused: behind simplify and fuse, as optimize has it (two in five with ONNX Runtime's own operators).
// Every third graph is of transformer blocks, every second one has layers twelve times as wide (else weight-only forms find none). A result that cannot be
// built, is no valid model, or does not load is printed with its number (`--from N --graphs 1 --show` prints its graphs) and makes the exit code 1. Where the
// process itself ends, `--loud` says on which. Decibels are for reading: attention with large scores is hard for 8 bits, and a graph that gives almost
// nothing but zeros is hard for any. The table has the median, the lowest (number, all optimizations / none), and where the optimizer costs most.
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { passes } from '../../passes/index.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { activationsOf, sqnr } from '../passes/quantize/static/support.ts';
import { TestContext } from '../support/context.ts';
import { calmFillings, edgeFeeds } from '../support/differential.ts';
import { familiesOf, familyDims } from '../support/families/families.ts';
import { runOrt } from '../support/ort.ts';
import { blockPrograms, buildBlocks } from '../support/random-blocks.ts';
import { buildMobile, mobilePrograms } from '../support/random-mobile.ts';
import { buildProgram, programs } from '../support/random-graph.ts';

const { values } = parseArgs({
  options: {
    graphs: { type: 'string', default: '500' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: '77' },
    only: { type: 'string', default: '' },
    fused: { type: 'boolean', default: false },
    mobile: { type: 'boolean', default: false },
    family: { type: 'string', default: '' },
    provider: { type: 'string', default: 'cpu' },
    show: { type: 'boolean', default: false },
    loud: { type: 'boolean', default: false },
  },
});

const byId = new Map(passes.map((pass) => [pass.id, pass]));
const step = (id, options = {}) => byId.get(id)(options);
const statically = (options) => step('quantize-static', { minElements: 0, place: 'all', ...options });
const weights = (options) => step('quantize-weights', { minElements: 0, block: 16, ...options });
const all = {
  'static all': statically({}),
  'static pays': statically({ place: 'pays' }),
  'static may-pay': statically({ place: 'may-pay', cpu: 'vnni' }),
  'static wasm': statically({ place: 'may-pay', cpu: 'wasm' }),
  'static vnni': statically({ cpu: 'vnni' }),
  'static mse': statically({ calibrate: 'mse' }),
  'static qop': statically({ format: 'qoperator' }),
  'static arm': statically({ cpu: 'arm-dot' }),
  'static trt': statically({ engine: 'tensorrt' }),
  'static qnn': statically({ engine: 'qnn' }),
  'static u16': statically({ activations: 'u16' }),
  'static s16': statically({ activations: 's16' }),
  'static sym': statically({ symmetric: true }),
  'static tensor': statically({ perChannel: false }),
  'static gptq': statically({ weights: 'gptq', correctBias: 'full' }),
  dynamic: step('quantize-dynamic', { minElements: 0 }),
  'w8 rtn': weights({ bits: 8, method: 'rtn' }),
  'w8 qdq': weights({ bits: 8, method: 'rtn', format: 'qdq' }),
  'w4 kquant': weights({ bits: 4, method: 'kquant' }),
  'w4 hqq': weights({ bits: 4, method: 'hqq' }),
  'w4 gptq': weights({ bits: 4, method: 'gptq' }),
  'w4 awq': weights({ bits: 4, method: 'awq' }),
  'w4 conv': weights({ bits: 4, method: 'rtn', conv: true }),
  'w2 rtn': weights({ bits: 2, method: 'rtn' }),
  nf4: weights({ format: 'bnb4', method: 'rtn' }),
  fp16: step('to-fp16'),
  'fp16 io': step('to-fp16', { keepIoTypes: false }),
  bf16: step('to-bf16'),
  equalize: step('equalize'),
  smooth: step('smooth-quant'),
  q4f16: [weights({ bits: 4, method: 'rtn' }), step('to-fp16')],
  'dynamic fp16': [step('quantize-dynamic', { minElements: 0 }), step('to-fp16')],
  'static fp16': [statically({}), step('to-fp16')],
  'pruned static': [step('prune-weights', { minElements: 0, sparsity: 0.3 }), statically({})],
  'equal static': [step('equalize'), step('smooth-quant'), statically({})],
};
const names = Object.keys(all).filter((name) => !values.only || values.only.split(',').includes(name));
const found = new Map(names.map((name) => [name, []]));
const first = Number(values.from);
const start = performance.now();
let broken = 0;
let idle = 0;
const chosen = familiesOf(values.family);
for (let number = first; number < first + Number(values.graphs); number++) {
  const seed = Number(values.seed) * 1_000_003 + number;
  const before = graphOf(number, seed);
  if (values.fused) await runSteps(before, [step('simplify'), step('fuse', { level: fuseLevel(number) })], { context: new TestContext() });
  const feeds = edgeFeeds(before, seed, { H: 24, ...familyDims }, {}, [calmFillings[0], (next) => next() * 3 - 1, calmFillings[0]]);
  const expected = await expectedOf(before, feeds);
  if (!expected) {
    idle++;
    continue;
  }
  if (values.show) console.log(printModel(before, { elements: 6 }));
  for (const name of names) {
    if (values.loud) console.error(`${number} ${name}`);
    try {
      const row = await judge(name, before, feeds, expected, seed);
      if (row) found.get(name).push({ number, ...row });
    } catch (error) {
      broken++;
      console.log(`graph ${number} of seed ${values.seed}, ${name}: ${error.message}`);
    }
  }
}
for (const [name, rows] of found) print(name, rows);
if (idle > 0) console.log(`${idle} that ONNX Runtime does not run as they are`);
console.log(`${broken === 0 ? 'all load' : `${broken} broken`}, ${((performance.now() - start) / 1000).toFixed(0)} s`);
process.exitCode = broken === 0 ? 0 : 1;

function fuseLevel(number) {
  return number % 5 < 3 ? 'portable' : 'runtime';
}

/** Nothing where a model does not run as it is: a constant that does not go with wider layers, a window larger than a picture. */
async function expectedOf(model, feeds) {
  try {
    const expected = await runOrt(model, feeds);
    await runOrt(model, feeds, 'all', values.provider);
    return expected;
  } catch {
    return undefined;
  }
}

function graphOf(number, seed) {
  if (chosen.length > 0) return chosen[number % chosen.length][1](seed);
  if (values.mobile) return buildMobile(fc.sample(mobilePrograms, { numRuns: 1, seed })[0]);
  const [wide, scale] = number % 2 ? [8, 1] : [32, 12];
  return number % 3 === 2
    ? buildBlocks({ ...fc.sample(blockPrograms, { numRuns: 1, seed })[0], width: wide })
    : buildProgram({ ...fc.sample(programs, { numRuns: 1, seed })[0], scale });
}

/** @returns the lowest decibels over the feeds, with all optimizations and without; nothing where nothing was changed. */
async function judge(name, before, feeds, expected, seed) {
  const model = cloneModel(before);
  const ctx = new TestContext();
  if (name !== "fp16 io") Object.assign(ctx, { activations: activationsOf(feeds) });
  const steps = [all[name]].flat();
  const traces = await runSteps(model, steps, { context: ctx });
  if (!traces.some(({ changed }) => changed)) return undefined;
  if (values.show) console.log(`${name}\n${printModel(model, { elements: 6 })}`);
  const problems = verify(model);
  if (problems.length > 0) throw new Error(problems.join('; '));
  const same = steps.every(({ options }) => options.keepIoTypes !== false);
  const own = same ? feeds : edgeFeeds(model, seed, { H: 24, ...familyDims }, {}, [calmFillings[0]]);
  const none = await runOrt(model, own);
  const best = await runOrt(model, own, 'all', values.provider);
  if (!same) return undefined;
  const decibels = (i, result) => {
    const db = sqnr(numeric(expected[i]), result);
    return Number.isNaN(db) ? Number.POSITIVE_INFINITY : db; // nothing but zeros, and zeros they are
  };
  const lowest = (results) => Math.min(...results.map((result, i) => decibels(i, result)));
  return { off: lowest(none), on: lowest(best) };
}

/** Without texts, which labels of classes may be. */
function numeric(outputs) {
  return new Map([...outputs].filter(([, tensor]) => tensor.dtype !== 'string'));
}

function print(name, rows) {
  const by = (key) => rows.toSorted((a, b) => (key(a) === key(b) ? 0 : key(a) < key(b) ? -1 : 1));
  const list = (some) => some.map(({ number, on, off }) => `#${number} ${on.toFixed(1)}/${off.toFixed(1)}`).join(', ');
  const sorted = by(({ on }) => on);
  const costs = by(({ on, off }) => (on === off ? 0 : on - off));
  const median = sorted[sorted.length >> 1]?.on.toFixed(1) ?? '';
  console.log(
    `${name.padEnd(14)}${String(rows.length).padStart(6)}${median.padStart(10)} dB   ${list(sorted.slice(0, 5))}   optimizer: ${list(costs.slice(0, 2))}`,
  );
}
