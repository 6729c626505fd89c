// Random graphs through every pass that promises the same numbers: by default 20,000 (three networks of convolutions and dense
// layers to one of transformer blocks), in slices, so that a night's run can be stopped and taken up again.
//
//   npm run nightly [-- --graphs 20000 --from 0 --seed 4242 --keep]
//   npm run nightly -- --mobile --graphs 500
//   npm run nightly -- --family recurrent,conv --graphs 500
//   npm run nightly -- --orders 20 ../shared/models
//
// With --mobile networks of convolutions as phones run them (random-mobile.ts) instead, ten times as large. With --family the named families (test/support/families,
// `all` for each of them) in turn; what ONNX Runtime does not run as it is gets counted (`--why` prints what it says), and must go through all passes without an error all the same.
// With --orders the models of the folders instead, each through so many random orders of passes.
// A graph that breaks is printed with its seed and its number (`--seed S --from N --graphs 1` gives it again); the run ends there
// with exit code 1, or goes on with --keep and ends with 1 all the same. Where the process itself ends, `--loud` says on which.
import { parseArgs } from 'node:util';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { syntheticFeeds } from '../../src/engine/feeds.ts';
import { openSession } from '../../src/engine/session.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { familiesOf, familyDims } from '../support/families/families.ts';
import { fuseSteps, holds, networkSteps, survives } from '../support/holds.ts';
import { holdsInOrder, orderOf } from '../support/orders.ts';
import { calmFillings, edgeFeeds } from '../support/differential.ts';
import { runOrt } from '../support/ort.ts';
import { blockPrograms, buildBlocks } from '../support/random-blocks.ts';
import { buildMobile, mobilePrograms } from '../support/random-mobile.ts';
import { buildProgram, programs } from '../support/random-graph.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    orders: { type: 'string', default: '0' },
    graphs: { type: 'string', default: '20000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: '4242' },
    mobile: { type: 'boolean', default: false },
    family: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    why: { type: 'boolean', default: false },
    loud: { type: 'boolean', default: false },
  },
});
const [graphs, from, seed] = [Number(values.graphs), Number(values.from), Number(values.seed)];
const start = performance.now();
const fired = new Set();
let broken = 0;
let idle = 0;
const chosen = familiesOf(values.family);
const orders = Number(values.orders);
if (orders > 0) await inOrders();
const end = orders > 0 ? from : from + graphs;
for (let number = from; number < end; number++) {
  const own = seed * 1_000_003 + number;
  if (values.loud) console.error(number);
  try {
    if (chosen.length > 0) {
      const [, build] = chosen[number % chosen.length];
      const model = build(own);
      if (await runs(model, own)) await holds(model, own, networkSteps, fired, familyDims);
      else {
        idle++;
        await survives(model, networkSteps);
      }
    } else if (values.mobile) {
      const [program] = fc.sample(mobilePrograms, { numRuns: 1, seed: own });
      await holds(buildMobile(program), program.seed, networkSteps, fired);
    } else if (number % 4 === 3) {
      const [program] = fc.sample(blockPrograms, { numRuns: 1, seed: own });
      await holds(buildBlocks(program), program.seed, fuseSteps, fired);
    } else {
      const [program] = fc.sample(programs, { numRuns: 1, seed: own });
      await holds(buildProgram(program), program.seed, networkSteps, fired);
    }
  } catch (error) {
    broken++;
    console.log(`graph ${number} of seed ${seed}: ${error.message}\n`);
    if (!values.keep) break;
  }
  const done = number - from + 1;
  if (done % 500 === 0) console.log(`${done} graphs, ${((performance.now() - start) / done).toFixed(0)} ms each`);
}
const rules = orders > 0 ? '' : `; rules that fired: ${Array.from(fired).toSorted((a, b) => (a < b ? -1 : 1)).join(', ')}`;
if (idle > 0) console.log(`${idle} that ONNX Runtime does not run as they are`);
console.log(`${broken === 0 ? 'all hold' : `${broken} broken`}${rules}`);
process.exitCode = broken === 0 ? 0 : 1;

/** Whether ONNX Runtime runs it, its optimizer off and on: it need not, and then nothing can be compared. */
async function runs(model, seed) {
  const feeds = edgeFeeds(model, seed, familyDims, {}, calmFillings);
  try {
    await runOrt(model, feeds);
    await runOrt(model, feeds, 'all');
    return true;
  } catch (error) {
    if (values.why) console.log(`${seed}: ${error.message}`);
    return false;
  }
}

function* models(path) {
  if (path.endsWith('.onnx')) yield path;
  else if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) yield* models(join(path, name));
}

async function inOrders() {
  for (const path of positionals.flatMap((root) => [...models(root)])) {
    const model = await loadModel(path);
    const session = await openSession(path, { graphOptimizationLevel: 'disabled', threads: 1 });
    const feeds = (await syntheticFeeds(model, session, { seed: 3, count: 1 })).map((batch) => new Map(batch.feeds));
    await session.dispose();
    const expected = await runOrt(model, feeds);
    for (let number = from; number < from + orders; number++) {
      try {
        await holdsInOrder(model, orderOf(seed * 1_000_003 + number), feeds, expected);
      } catch (error) {
        broken++;
        console.log(`${path}, order ${number} of seed ${seed}: ${error.message}\n`);
        if (!values.keep) return;
      }
    }
    console.log(`${path}: ${orders} orders, ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
}
