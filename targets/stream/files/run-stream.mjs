/**
 * Predictions for a stream: `node run-stream.mjs --broker kafka://localhost:9092 --in rows --out predictions --dead failures --group model`.
 * `-` alone reads JSON Lines from stdin and writes them to stdout. README.md has all flags.
 */

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answerLines } from './batch/lines.mjs';
import { openModel } from './batch/open.mjs';
import { openBroker } from './stream/broker.mjs';
import { Inbox } from './stream/inbox.mjs';
import { listen, StreamMetrics } from './stream/monitor.mjs';
import { SettingsError } from './stream/secrets.mjs';
import { readSettings } from './stream/settings.mjs';
import { work } from './stream/work.mjs';

const dir = dirname(fileURLToPath(import.meta.url));

function logLine(level, details, text) {
  process.stderr.write(`${JSON.stringify({ level, ...details, msg: text })}\n`);
}
const log = Object.fromEntries(
  ['info', 'warn', 'error'].map((level) => [level, (details, text) => logLine(level, details, text)]),
);

async function stream(settings, model) {
  if (settings.batch > 0) model.batch = settings.batch;
  else model.batch = model.usefulBatch;
  const { name, sha256 } = model.manifest.model;
  model.stamp = `${name}@sha256:${sha256}`;
  // One batch for each session in the works, the next being fetched meanwhile, and what a round trip to the broker lets through.
  if (settings.password !== undefined && !settings.tls && !settings.mechanism?.startsWith('scram'))
    log.warn(
      { broker: settings.kind },
      'the password goes to the broker in clear: without TLS whoever is on the way reads it',
    );
  const inbox = new Inbox(Math.max(64, 4 * model.batch * model.pool.size));
  const broker = await openBroker(settings, inbox, log);
  const metrics = new StreamMetrics({ inbox, lag: () => broker.lag() });
  const state = { ready: false };
  const server = settings.port > 0 ? await listen(metrics, state, settings) : undefined;
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, () => {
      log.info({ signal }, 'draining');
      state.ready = false;
      inbox.stop();
    });
  }
  await broker.start();
  state.ready = true;
  log.info(
    { broker: settings.kind, in: settings.in, group: settings.group, batch: model.batch, sessions: model.pool.size },
    'ready',
  );
  try {
    await work({ model, inbox, broker, settings, metrics, log });
  } finally {
    state.ready = false;
    server?.close();
    server?.closeAllConnections();
  }
  await broker.close();
  log.info({}, 'stopped');
}

try {
  const bundle = JSON.parse(await readFile(join(dir, 'stream.json'), 'utf8'));
  const settings = readSettings(process.argv.slice(2), process.env, bundle);
  const model = await openModel(dir);
  if (settings.lines) {
    model.batch = 1;
    await answerLines(model, settings.columns);
  } else await stream(settings, model);
  await model.close();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(error instanceof SettingsError ? 2 : 1);
}
