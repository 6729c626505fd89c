/** Before a model version is called ready: it answers its golden cases as recorded, and shows how many rows pay in one run. */

import { datatypeOf, fromBytes } from './datatypes.mjs';
import { halfToNumber } from './half.mjs';
import { joinFeeds, shapeKey, splitResults } from './rows.mjs';

/** Recorded inputs as feeds; a fresh copy each time, since buffers go over to the session. */
export function feedsOf(inputs) {
  return inputs.map(({ name, dtype, shape, bytes }) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    return { name, dtype, shape, data: fromBytes(datatypeOf(dtype), bytes, count) };
  });
}

/** Numbers that can be compared, or texts: half-precision ones come as their bits. */
function readable({ data }, dtype) {
  return dtype === 'float16' ? Float32Array.from(data, halfToNumber) : data;
}

/**
 * Where two outputs differ by more than `atol` + `rtol` · the largest finite number, in words; undefined where they agree. NaN,
 * infinities and texts have to be met (as mlpack check has it, src/target/compare.ts).
 */
function difference({ name, dtype }, got, want, { rtol, atol }) {
  if (got === undefined || got.dims.join() !== want.dims.join()) return `output "${name}" has another shape`;
  const [mine, theirs] = [got, want].map((one) => readable(one, dtype));
  const finite = (value) => (Number.isFinite(Number(value)) ? Math.abs(Number(value)) : 0);
  const largest = dtype === 'string' ? 0 : theirs.reduce((max, value) => Math.max(max, finite(value)), 0);
  const limit = atol + rtol * largest;
  const at = theirs.findIndex((value, i) => {
    if (dtype === 'string') return mine[i] !== value;
    const [a, b] = [Number(mine[i]), Number(value)];
    return !(a === b || Object.is(a, b) || Math.abs(a - b) <= limit);
  });
  return at < 0 ? undefined : `output "${name}" is ${mine[at]} at element ${at} instead of ${theirs[at]}`;
}

/** Throws where the model does not answer its golden cases as it did when it was packed. */
export async function proveItself(run, golden) {
  for (const [n, { inputs, outputs, tolerance }] of golden.entries()) {
    const got = await run(feedsOf(inputs));
    for (const [i, { name, dtype, shape, data }] of feedsOf(outputs).entries()) {
      const want = { dims: shape, data };
      const why = difference({ name, dtype }, got[name], want, outputs[i].tolerance ?? tolerance);
      if (why !== undefined) throw new Error(`golden case ${n} comes out differently: ${why}`);
    }
  }
}

/** Requests like the golden cases that one session answers in a second, run alone; undefined where there is none to try. */
export async function requestsPerSecond(run, [first]) {
  if (first === undefined) return undefined;
  let fastest = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 2; turn++) {
    const begun = performance.now();
    await run(feedsOf(first.inputs));
    fastest = Math.min(fastest, performance.now() - begun);
  }
  return 1000 / fastest;
}

/** Why the signature does not let requests run together; undefined where every tensor has a first dimension that varies. */
export function refusalBySignature({ inputs, outputs }) {
  if (inputs.length === 0) return 'it has no inputs';
  const free = ({ shape }) => shape !== null && shape.length > 0 && typeof shape[0] !== 'number';
  const fixed = [...inputs, ...outputs].find((tensor) => !free(tensor));
  if (fixed) return `"${fixed.name}" has no first dimension that varies`;
  const symbols = new Set(inputs.map(({ shape }) => shape[0]).filter((dim) => typeof dim === 'string'));
  return symbols.size > 1 ? 'the first dimensions of the inputs are different ones' : undefined;
}

/** A model whose rows do not depend on each other answers two cases together as it does each alone. Undefined: it does. */
export async function refusalByTrial(run, golden) {
  const [first, second = first] = golden;
  if (first === undefined) return 'the bundle has no golden cases to try it with';
  const pair = [first, second].map(({ inputs }) => feedsOf(inputs));
  if (shapeKey(pair[0]) !== shapeKey(pair[1])) pair[1] = feedsOf(first.inputs);
  const counts = pair.map((feeds) => feeds[0].shape[0]);
  if (pair.some((feeds) => feeds.some(({ shape }) => shape[0] !== feeds[0].shape[0]))) {
    return 'the inputs of one sample have different first dimensions';
  }
  const alone = await run(feedsOf(first.inputs));
  const parts = splitResults(await run(joinFeeds(pair)), counts);
  if (parts === undefined) return 'an output does not have one row for each row of the inputs';
  const types = new Map(first.outputs.map(({ name, dtype }) => [name, dtype]));
  for (const [name, want] of Object.entries(alone)) {
    const why = difference({ name, dtype: types.get(name) }, parts[0][name], want, first.tolerance);
    if (why !== undefined) return `rows depend on each other: ${why}`;
  }
  return undefined;
}

/** What more rows in a run have to gain to be worth the wait. */
const gain = 1.01;

/**
 * Milliseconds of CPU that a run costs besides the model, whatever its rows: handing it over, waking both threads, and code
 * that runs again in caches which the model has filled. Measured under load on one CPU (AMD EPYC) by the CPU of a request in
 * runs of 1, 4 and 8 rows: 0.19 with ResNet-20 (1.09, 0.98, 0.92 ms), 0.25 with MobileNet (2.57, 2.28, 2.23 ms), where bare
 * sessions take the same for each row.
 */
const runCostMs = 0.2;
/**
 * The same for runs in the thread that speaks HTTP, by one process that serves and runs alone in turn (`bench:server --only paired`): beside the
 * runs a request takes 0.12 ms of CPU in runs of one and 0.07 in runs of eight with ResNet-20, 0.24 and 0.16 with MobileNet, and the runs themselves are
 * 0.01 to 0.06 ms longer in runs of one. With wine-mlp, whose run of 0.02 ms leaves the caches as they were, it is 0.06.
 */
export const hereCostMs = 0.1;

/**
 * The number of rows per run that answers most rows per second: 1, 8, 4, 16 … are timed while the budget lasts and larger ones gain (2, 4, 8 … of slow models), and the
 * smallest within 1 % of the best is taken, `besidesMs` of each run counted (larger ones only add latency). MobileNet and ResNet-20 within 3 % were 1, 2
 * or 4 rows from start to start, and answered 85 to 89 % of what their sessions do alone where 8 rows come to 91 and 92 %.
 * @param {number} [about.besidesMs] milliseconds of a run that are not the model
 * @param {number} [about.longestMs] a run of several rows may take
 * @param {(bytes: number) => ArrayBuffer} [about.allocate] memory for the inputs of a run
 * @param {(runs: (() => Promise)[]) => Promise<number>} [about.time] milliseconds of one of some runs; of CPU where a run has one thread (`cpuOf`)
 * @returns { rows, why } why: the reason where rows are 1
 */
export async function usefulRows(run, about) {
  const {
    info,
    golden,
    limit,
    budgetMs,
    besidesMs = runCostMs,
    longestMs = Number.POSITIVE_INFINITY,
    time = fastestOf,
    allocate,
  } = about;
  if (limit === 1) return { rows: 1, why: 'it is switched off' };
  const refusal = refusalBySignature(info) ?? (await refusalByTrial(run, golden));
  if (refusal !== undefined) return { rows: 1, why: refusal };
  const msPerRowOf = (rate) => 1000 / rate.perSecond + besidesMs / rate.rows;
  const rates = await timeSizes(run, golden[0], {
    largest: limit > 0 ? limit : 64,
    budgetMs,
    time,
    allocate,
    msPerRowOf,
  });
  if (limit > 1) return { rows: limit, rates };
  const short = rates.filter((rate, i) => i === 0 || runMs({ rows: rate.rows, rates }) <= longestMs);
  const msPerRow = short.map(msPerRowOf);
  const best = Math.min(...msPerRow);
  const { rows } = short[msPerRow.findIndex((ms) => ms <= gain * best)];
  return rows > 1
    ? { rows, rates }
    : { rows, rates, why: 'more rows in one run answer no more of them per second here' };
}

/** Milliseconds of a run of `rows`, by the timing of `usefulRows`; undefined where nothing was timed. */
export function runMs({ rows, rates }) {
  if (rates === undefined) return undefined;
  // Of the sizes that were timed, the one that comes next: a limit that somebody set may be none of them.
  const rate = rates.find((one) => one.rows >= rows) ?? rates.at(-1);
  return (rows * 1000) / rate.perSecond;
}

/** Milliseconds of the fastest of some runs. */
async function fastestOf(runs) {
  let fastest = Number.POSITIVE_INFINITY;
  for (const run of runs) {
    const begun = performance.now();
    await run();
    fastest = Math.min(fastest, performance.now() - begun);
  }
  return fastest;
}

/**
 * Milliseconds of CPU of a run, by the half of them that took less. On a busy machine (two CPUs, eight processes that want them) MobileNet was
 * given 8, 1, 2, 1 and 4 rows by wall time, since the long runs are the ones that others interrupt.
 */
export async function cpuOf(runs) {
  const half = Math.ceil(runs.length / 2);
  let begun = await cpuMs();
  let fewest = Number.POSITIVE_INFINITY;
  for (const part of [runs.slice(0, half), runs.slice(half)].filter(({ length }) => length > 0)) {
    for (const run of part) await run();
    const ended = await cpuMs();
    fewest = Math.min(fewest, (ended - begun) / part.length);
    begun = ended;
  }
  return fewest;
}

/**
 * The system adds up what a thread has used when it lets go of its CPU, else every few milliseconds: read while the session's thread is on its
 * way to sleep, the sum lacks up to a whole run, and four rows looked five times as fast as they are.
 */
async function cpuMs() {
  await new Promise((resolve) => setTimeout(resolve, 1));
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Milliseconds that runs of one size are repeated for at least: V8's compilers are at work while a server starts, and their CPU is in some of
 * the runs. The first size is timed once more at the end for the same reason.
 */
const leastMs = 10;

/**
 * Bytes of inputs that lie ready while one is run, as requests do that wait for their turn: more than the caches hold that a CPU has for itself.
 * An input that was written just before its run is read from there. MobileNet, 307 kB a row: 1.67 ms a run then, 1.73 in turn with 31 others;
 * eight rows have no such advantage, so that batches looked as if they did not pay.
 */
const waitingBytes = 2 * 1024 * 1024;
/** At most so many: as many requests wait in the bench. */
const mostWaiting = 32;

/** Rates of runs of 1, 2, 4 … rows, as far as the budget goes, by rows. */
async function timeSizes(run, { inputs }, { largest, budgetMs, time, allocate, msPerRowOf }) {
  const one = feedsOf(inputs);
  const each = one[0].shape[0];
  let usedMs = 0;
  const started = performance.now();
  // By the clock of the runs: beside busy neighbours one run of eight rows would use up the budget by the wall, and be all that is known.
  const spent = () => usedMs > budgetMs || performance.now() - started > 2 * budgetMs;
  const timed = async (rows) => {
    const make = () => joinFeeds(Array(rows).fill(one), allocate, true);
    // The first run of a size allocates, and so does the second, by a plan made in the first.
    await run(make());
    const begun = performance.now();
    await run(make());
    const turns = Math.min(50, Math.max(2, Math.ceil(leastMs / (performance.now() - begun))));
    const waiting = lineOf(make, turns);
    const ms = await time(waiting.slice(0, turns).map((feeds) => () => run(feeds)));
    usedMs += ms * (turns + 2);
    return { rows: rows * each, perSecond: (rows * each * 1000) / ms };
  };
  const rates = [await timed(1)];
  const sizes = [2, 4, 8, 16, 32, 64].filter((rows) => rows <= largest);
  // Whether batches pay at all shows at 8 rows; on a busy machine the budget may end before small steps come so far. Two would gain least of all,
  // and a start is no time to spend. A model of which three runs of 8 alone would take most of the budget goes by small steps.
  const roomy = (24 * each * 1000) / rates[0].perSecond < budgetMs;
  const order = roomy && sizes.includes(8) ? [8, ...sizes.filter((rows) => rows !== 8 && rows !== 2)] : sizes;
  for (const rows of order) {
    if (spent()) break;
    const best = Math.min(...rates.map(msPerRowOf));
    rates.push(await timed(rows));
    // Beyond eight rows no step has been seen to gain after one that did not.
    if (rows > 8 && msPerRowOf(rates.at(-1)) > best / gain) break;
  }
  // The first size was timed while memory was new and code not compiled.
  const [first, ...others] = rates;
  const again = await timed(1);
  const best = again.perSecond > first.perSecond ? again : first;
  return [best, ...others].sort((a, b) => a.rows - b.rows);
}

/** At least `count` feeds that wait for their turn. */
function lineOf(make, count) {
  const first = make();
  const bytes = first.reduce((sum, { data }) => sum + (data.byteLength ?? 0), 0);
  const length = Math.max(count, Math.min(mostWaiting, Math.ceil(waitingBytes / Math.max(1, bytes))));
  return [first, ...Array.from({ length: length - 1 }, make)];
}
