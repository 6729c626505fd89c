/** Rows through the model: batches of equal shapes on all sessions, results in the order of the rows. */

import { joinFeeds, shapeKey } from '../lib/rows.mjs';
import { RowError, readRow, resultColumns } from './mapping.mjs';
import { problem } from './problem.mjs';

/**
 * @param model { info, pool, rows: whether a row is one of the first dimension, joins: whether several may run at once, batch }
 * @param plan of planInputs @param {object[]} table
 * @returns { good: [{ index, columns }], bad: [{ index, error }] } each in order
 */
export async function predict(model, plan, table) {
  const bad = [];
  const ready = [];
  for (const [index, row] of table.entries()) {
    try {
      if (row[problem] !== undefined) throw new RowError(row[problem]);
      ready.push({ index, feeds: plan.map((one) => toFeed(one, row, model.rows)) });
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      bad.push({ index, error: error.message });
    }
  }
  const good = [];
  const jobs = batches(ready, model.rows && model.joins ? model.batch : 1);
  await Promise.all(
    Array.from({ length: model.pool.size }, async () => {
      for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await run(model, job, good, bad);
    }),
  );
  const byIndex = (a, b) => a.index - b.index;
  return { good: good.sort(byIndex), bad: bad.sort(byIndex) };
}

function toFeed(one, row, rows) {
  const { shape, data } = readRow(one, row, rows);
  return { name: one.input.name, dtype: one.input.dtype, shape: rows ? [1, ...shape] : shape, data };
}

/** Consecutive rows of equal shapes, so that the same table always makes the same batches. */
function batches(ready, size) {
  const jobs = [];
  let key;
  for (const one of ready) {
    const own = shapeKey(one.feeds);
    if (jobs.length === 0 || own === undefined || own !== key || jobs.at(-1).length >= size) jobs.push([]);
    key = own;
    jobs.at(-1).push(one);
  }
  return jobs;
}

async function run(model, job, good, bad) {
  const types = new Map(model.info.outputs.map(({ name, datatype }) => [name, datatype]));
  try {
    // Copies: what goes over to a session cannot be sent again.
    const feeds = joinFeeds(job.map(({ feeds: one }) => one.map((feed) => ({ ...feed, data: feed.data.slice() }))));
    const results = await model.pool.run(feeds, undefined);
    const named = Object.fromEntries(
      Object.entries(results).map(([name, one]) => [name, { ...one, type: types.get(name) }]),
    );
    // What is found in a row may be no row, or many: then the run is the row's own, and all that comes out belongs to it.
    const byRow = model.rows && Object.values(results).every(({ dims }) => dims[0] === job.length);
    if (!byRow && job.length > 1) for (const one of job) await run(model, [one], good, bad);
    else for (const [row, { index }] of job.entries()) good.push({ index, columns: resultColumns(named, row, byRow) });
  } catch (error) {
    if (error.name !== 'RunError' || error.lost) throw error;
    if (job.length === 1) bad.push({ index: job[0].index, error: error.message });
    else for (const one of job) await run(model, [one], good, bad);
  }
}
