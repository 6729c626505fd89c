/** Serves the model of this bundle. `node server.mjs`; settings in README.md. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Admission } from './lib/admission.mjs';
import { Buffers } from './lib/buffers.mjs';
import { modelBytes, readManifest } from './lib/bundle.mjs';
import { openCache } from './lib/cache.mjs';
import { readConfig } from './lib/config.mjs';
import { Inference } from './lib/inference.mjs';
import { describeModel } from './lib/model.mjs';
import { Models } from './lib/models.mjs';
import { Monitor } from './lib/monitor.mjs';
import { sessionsOf } from './lib/opening.mjs';
import { endSpareThread, startThread } from './lib/place.mjs';
import { Slabs } from './lib/slabs.mjs';
import { Tracer } from './lib/tracing.mjs';

// ONNX Runtime would report usage to Microsoft; set ORT_DISABLE_TELEMETRY=0 to let it.
process.env.ORT_DISABLE_TELEMETRY ??= '1';
const dir = dirname(fileURLToPath(import.meta.url));

function settings() {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

const config = settings();
const manifest = await readManifest(dir);
// Another CPU starts the thread of the first session while this one loads packages, here and below.
const { apart } = sessionsOf(describeModel(manifest), config, modelBytes(manifest));
if (apart !== undefined) startThread();
const [{ default: pino }, { Metrics }] = await Promise.all([import('pino'), import('./lib/metrics.mjs')]);
const log = pino({ level: config.logLevel });
const state = {
  server: { name: 'mlpack-server', version: manifest.tool.version },
  ready: false,
  draining: false,
};
let models;
const metrics = new Metrics({ all: () => models.all() });
// As much as V8 lets memory outside of its heap grow before it collects everything.
const buffers = new Buffers(64 * 1024 * 1024);
// As much again as bodies may take: one that is slow to come holds the batch it will be in.
const slabs = new Slabs(buffers, config.inflightBytes);
// The sessions open in their threads while this one loads the web framework; what is timed waits for that.
let sessionsStart;
const starting = new Promise((resolve) => (sessionsStart = resolve));
let calm;
const undisturbed = new Promise((resolve) => (calm = resolve));
models = new Models({ config, metrics, log, buffers, slabs, sessionsStart, undisturbed });
const opening = models.open(dir).then(
  () => undefined,
  (error) => error,
);
await Promise.race([starting, opening]);
const { buildApp } = await import('./lib/app.mjs');
const cache = await openCache(config, log);
const tracer =
  config.traces === undefined ? undefined : new Tracer({ endpoint: config.traces, name: config.traceName, log });
const monitor = new Monitor({ config, models, metrics, log });
const inference = new Inference({ models, cache, metrics, log, monitor });
const admission = new Admission(config, () => models.places);
const services = { config, models, inference, metrics, monitor, tracer, buffers, admission, state };
const app = buildApp(config, services, log);
let grpc;

/** Stops taking work, lets what is running finish, and ends; after `drainMs` it ends anyway. */
async function drain(signal) {
  if (state.draining) return;
  state.draining = true;
  log.info({ signal }, 'draining');
  const overdue = setTimeout(() => {
    log.warn('requests were still running at the end of the drain time');
    process.exit(1);
  }, config.drainMs);
  overdue.unref();
  await Promise.all([app.close(), grpc?.close()]);
  await models.close();
  await Promise.all([cache?.close(), tracer?.close()]);
  log.info('stopped');
}

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void drain(signal));
process.on('SIGHUP', () => void models.scan());

try {
  await app.listen({ host: config.host, port: config.port });
  // Loaded only where it is asked for: its packages take 95 ms of CPU.
  if (config.grpcPort > 0) grpc = await (await import('./lib/grpc/service.mjs')).openGrpc(config, services, log);
  calm();
  const failure = await opening;
  await endSpareThread();
  if (failure !== undefined) throw failure;
  if (state.draining) await models.close();
  else state.ready = true;
  log.info({ models: models.index() }, 'ready');
} catch (error) {
  log.fatal({ err: error }, 'the server could not be started');
  // A process that ends while ONNX Runtime opens a session in a thread is aborted by it.
  await opening;
  await endSpareThread();
  process.exit(1);
}
