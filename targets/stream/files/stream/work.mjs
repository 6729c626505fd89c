/**
 * The loop: records in, predictions out, then the commit. What is committed has been produced before, so a worker that dies at any
 * moment loses nothing; what it had produced and not committed comes twice, under the same `mlpack-source` header.
 */

import { isUtf8 } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { planOrProblem, readRecord } from '../batch/lines.mjs';
import { predict } from '../batch/predict.mjs';
import { problem } from '../batch/problem.mjs';

/**
 * Works until the inbox is stopped. Throws when the broker takes nothing after all tries; nothing is committed then.
 * @param parts { model, inbox, broker, settings, metrics, log }
 */
export async function work(parts) {
  const { model, inbox, broker, settings, metrics } = parts;
  for (;;) {
    const records = await inbox.take(model.batch * model.pool.size, settings.waitMs);
    if (records === undefined) return;
    const started = performance.now();
    const { answers, dead } = await answer(parts, records);
    const refused = await produce(parts, 'answers', 'out', answers);
    for (const { record, why } of refused) {
      const reason = `the broker does not take the answer of ${record.value.length} bytes: ${why}`;
      dead.push({ place: record.place, ...deadLetter(records[record.place], reason) });
    }
    if (dead.length > 0) await bury(parts, inOrder(dead));
    await insist(parts, 'commit', () => broker.commit(records));
    inbox.done();
    const seconds = (performance.now() - started) / 1000;
    metrics.done({ answered: answers.length - refused.length, dead: dead.length, seconds });
  }
}

async function produce(parts, what, place, records) {
  return records.length === 0 ? [] : insist(parts, `produce ${what}`, () => parts.broker.produce(place, records));
}

async function bury(parts, dead) {
  parts.log.warn({ records: dead.length, first: dead[0].headers['mlpack-error'] }, 'dead letters');
  const refused = await produce(parts, 'dead letters', 'dead', dead);
  // With the reason it may be larger than it came: then its source has to do.
  const bare = refused.map(({ record: { key, value, headers } }) => ({
    key,
    value: Buffer.alloc(0),
    headers: {
      'mlpack-source': headers['mlpack-source'],
      'mlpack-error': `${headers['mlpack-error']} (the record of ${value.length} bytes is left out: the broker does not take it here)`,
    },
  }));
  const [still] = await produce(parts, 'dead letters', 'dead', bare);
  if (still !== undefined) throw new Error(`cannot produce dead letters: ${still.why}`);
}

async function insist({ settings, metrics, log }, what, act) {
  for (let tried = 1; ; tried++) {
    try {
      return await act();
    } catch (error) {
      metrics.retried(what);
      log.error({ err: error.message, tried }, `cannot ${what}`);
      if (tried >= settings.tries) throw new Error(`cannot ${what} after ${tried} tries: ${error.message}`);
      await sleep(Math.min(5000, 100 * 2 ** (tried - 1)));
    }
  }
}

const inOrder = (records) => records.sort((a, b) => a.place - b.place);

/** @returns { answers, dead } records to produce, in the order of those that came in; `place`: which of these it is of */
async function answer({ model, settings }, records) {
  const rows = records.map(({ value }) =>
    isUtf8(value) ? readRecord(value.toString('utf8')) : { [problem]: 'the record is not UTF-8' },
  );
  const answers = [];
  const dead = [];
  for (const { plan, places } of byPlan(model, settings, rows)) {
    if (typeof plan === 'string') {
      for (const place of places) dead.push({ place, ...deadLetter(records[place], plan) });
      continue;
    }
    const { good, bad } = await surely(
      model,
      plan,
      places.map((place) => rows[place]),
    );
    for (const { index, columns } of good) {
      const [record, row] = [records[places[index]], rows[places[index]]];
      const kept = Object.fromEntries(settings.keep.map((column) => [column, row[column] ?? null]));
      const value = Buffer.from(JSON.stringify({ ...kept, ...columns }));
      const headers = { ...record.headers, ...sourceOf(record), 'mlpack-model': model.stamp };
      answers.push({ place: places[index], key: record.key, value, headers });
    }
    for (const { index, error } of bad)
      dead.push({ place: places[index], ...deadLetter(records[places[index]], error) });
  }
  return { answers: inOrder(answers), dead };
}

const sourceOf = ({ id }) => ({ 'mlpack-source': id });

/** The record as it came, with the reason. */
function deadLetter(record, why) {
  // Brokers take headers of a few kilobytes at most.
  const reason = why.length > 500 ? `${why.slice(0, 499)}…` : why;
  return {
    key: record.key,
    value: record.value,
    headers: { ...record.headers, ...sourceOf(record), 'mlpack-error': reason },
  };
}

/** Rows by what they have for columns; a reason instead of a plan where they cannot be used. */
function byPlan(model, { columns, keep }, rows) {
  const groups = new Map();
  for (const [place, row] of rows.entries()) {
    const names = Object.keys(row).filter((one) => !keep.includes(one));
    const key = row[problem] ?? JSON.stringify(names);
    const group = groups.get(key) ?? { plan: row[problem] ?? planOrProblem(model, columns, names), places: [] };
    groups.set(key, group);
    group.places.push(place);
  }
  return groups.values();
}

/** A row that takes its session with it must not do so for ever: such a batch is tried row by row, and who did it is a dead letter. */
async function surely(model, plan, rows) {
  try {
    await allFree(model.pool);
    return await predict(model, plan, rows);
  } catch (error) {
    if (!error.lost) throw error;
  }
  const good = [];
  const bad = [];
  for (const [index, row] of rows.entries()) {
    try {
      await allFree(model.pool);
      const one = await predict(model, plan, [row]);
      good.push(...one.good.map((answered) => ({ ...answered, index })));
      bad.push(...one.bad.map((refused) => ({ ...refused, index })));
    } catch (error) {
      if (!error.lost) throw error;
      bad.push({ index, error: error.message });
    }
  }
  return { good, bad };
}

/** A lost session is opened again beside; nobody else uses the pool. */
async function allFree(pool) {
  for (let waited = 0; pool.idle < pool.size; waited += 20) {
    if (waited > 60_000) throw new Error('a session of the model could not be opened again');
    await sleep(20);
  }
}
