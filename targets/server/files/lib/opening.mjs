/** The sessions of a model version: opened, proved, timed, and where they are to run. */

import { Buffers } from './buffers.mjs';
import { cpuLimit, memoryLimit, sessionPlan } from './cpu.mjs';
import { longestRunMs, rowsAtOnce, threadBySignature, threadByTiming } from './placing.mjs';
import { Pool } from './pool.mjs';
import {
  cpuOf,
  feedsOf,
  hereCostMs,
  refusalBySignature,
  refusalByTrial,
  requestsPerSecond,
  runMs,
  usefulRows,
} from './warm-up.mjs';

/**
 * As many requests as are answered in a second: who comes behind them would wait longer than most clients care to, and is
 * told so at once. A model of a second a run still has a few places, a fast one no more than sockets are cheap for.
 */
function usualQueue(perSecond, { rows, rates }, workers) {
  if (perSecond === undefined) return 256;
  const gain = rates === undefined ? 1 : Math.max(...rates.map((rate) => rate.perSecond)) / rates[0].perSecond;
  return Math.min(4096, Math.max(16, 2 * workers * rows, Math.round(perSecond * gain * workers)));
}

/**
 * Sessions that a model will have, by what is known before it is opened.
 * @returns { limits, plan: { workers, threads }, apart } apart: why their runs need threads of their own; undefined: they may be in this one
 */
export function sessionsOf(info, config, modelBytes) {
  const limits = { cpus: cpuLimit(), memory: memoryLimit(), modelBytes };
  const plan = sessionPlan(config.inline === 'on' ? { ...config, workers: 1 } : config, limits);
  return { limits, plan, apart: threadBySignature(config, { ...limits, ...plan }, info) };
}

/**
 * @param {string} path of the model
 * @param { info, golden, modelBytes, config, log, buffers, prove, onlyOne?, sessionsStart?, undisturbed? } about prove(run): throws where the
 *   model may not serve. sessionsStart(): called once the threads are on their way. undisturbed: a promise that timing waits for
 * @returns {{ pool: Pool, batch: { rows: number, why?: string }, queueLimit: number, inline: boolean }} inline: runs are in this thread
 */
export async function openSessions(path, about) {
  const { info, config, log, buffers } = about;
  const { limits, plan, ...first } = sessionsOf(info, config, about.modelBytes);
  const options = { ...plan, timeoutMs: config.modelTimeoutMs, log, buffers };
  let { apart } = first;
  // Where nobody is served yet nobody is held up by a run that turns out to be long; a later version is tried in a thread.
  const tried = apart === undefined && about.onlyOne === true;
  const here = { rows: undefined };
  let pool = await opened(new Pool(path, tried ? { ...options, here } : options), about.sessionsStart);
  try {
    const timed = await proveAndTime(pool, about, { ...plan, tried });
    if (apart === undefined) {
      const { rows, mixed } = await partedRows(pool, about, timed);
      here.rows = rows;
      apart = threadByTiming(config, timed.longestMs, mixed);
      const stays = (apart === undefined) === tried;
      if (!stays)
        pool = await moved(pool, new Pool(path, apart === undefined ? { ...options, here } : options), about.golden);
    }
    const { batch, queueLimit } = timed;
    const { rows: batchRows, why, rates } = batch;
    const place = { inline: apart === undefined, threadBecause: apart };
    log.info({ ...plan, ...limits, batchRows, why, rates, queueLimit, ...place }, 'model is ready');
    // Whoever waits is served by the first session while the others open; what was timed was alone.
    void pool.grow();
    return { pool, batch, queueLimit, inline: place.inline };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

async function opened(pool, started = () => {}) {
  const opening = pool.open(1);
  started();
  await opening;
  return pool;
}

/** Bytes of inputs that are kept to be used again while sizes are timed. */
const timingBytes = 64 * 1024 * 1024;

async function proveAndTime(pool, about, plan) {
  const { info, golden, config } = about;
  // Of its own: requests have other sizes, and shall not find the place taken by these.
  const buffers = new Buffers(timingBytes);
  const back = (used) => used.forEach((buffer) => buffers.give(buffer));
  const run = (feeds) => pool.run(feeds, undefined, back);
  await about.prove((feeds) => pool.run(feeds, undefined));
  const limit = info.mixesRows !== undefined && config.batchMax === 0 ? 1 : config.batchMax;
  await about.undisturbed;
  const batch = await usefulRows(run, {
    info,
    golden,
    limit,
    budgetMs: config.batchTuneMs,
    allocate: (bytes) => buffers.take(bytes),
    // Several threads share a run, and wait for each other on the CPU: there the wall counts.
    ...(plan.threads === 1 ? { time: cpuOf } : {}),
    ...(plan.tried ? { besidesMs: hereCostMs, longestMs: longestRunMs } : {}),
  });
  const alone = await requestsPerSecond(run, golden);
  const why = info.mixesRows !== undefined && limit === 1 ? info.mixesRows : batch.why;
  return {
    batch: { ...batch, why },
    queueLimit: config.queueLimit > 0 ? config.queueLimit : usualQueue(alone, batch, plan.workers),
    longestMs: runMs(batch) ?? (alone === undefined ? undefined : 1000 / alone),
  };
}

/** Where any number of rows may come in one request, they must not depend on each other: a request of many is run in parts. */
async function partedRows(pool, { info, golden }, { batch, longestMs }) {
  if (refusalBySignature(info) !== undefined || longestMs === undefined) return {};
  if (batch.rates !== undefined) return { rows: rowsAtOnce(longestMs / batch.rows) };
  const mixed = info.mixesRows ?? (await refusalByTrial((feeds) => pool.run(feeds, undefined), golden));
  return mixed === undefined ? { rows: rowsAtOnce(longestMs / golden[0].inputs[0].shape[0]) } : { mixed };
}

/** Opens the session in another place, where its first run shall not be a client's, and lets go of the one before. */
async function moved(from, to, [first]) {
  await to.open(1);
  try {
    if (first !== undefined) await to.run(feedsOf(first.inputs), undefined);
  } catch (error) {
    await to.close();
    throw error;
  }
  await from.close();
  return to;
}
