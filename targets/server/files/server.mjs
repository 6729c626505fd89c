/** Serves the model of this bundle. `node server.mjs`; settings in README.md. */

import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Admission } from './lib/admission.mjs';
import { Buffers } from './lib/buffers.mjs';
import { modelBytes, readManifest } from './lib/bundle.mjs';
import { openCache } from './lib/cache.mjs';
import { Certificate } from './lib/certificate.mjs';
import { readConfig, readTls, SettingsError } from './lib/config.mjs';
import { BundleError } from './lib/errors.mjs';
import { Inference } from './lib/inference.mjs';
import { ListenError, listen } from './lib/listening.mjs';
import { describeModel } from './lib/model.mjs';
import { Models } from './lib/models.mjs';
import { Monitor } from './lib/monitor.mjs';
import { sessionsOf } from './lib/opening.mjs';
import { endSpareThread, startThread, threadsAtWork } from './lib/place.mjs';
import { Slabs } from './lib/slabs.mjs';
import { Tracer } from './lib/tracing.mjs';

// ONNX Runtime would report usage to Microsoft; set ORT_DISABLE_TELEMETRY=0 to let it.
process.env.ORT_DISABLE_TELEMETRY ??= '1';
const dir = dirname(fileURLToPath(import.meta.url));
/** Milliseconds for which the end of a process waits for sessions that are being opened. */
const openingMs = 5000;

/** Before there is a log: one line in its form, and the end. */
async function refuse(error) {
  if (!(error instanceof SettingsError || error instanceof BundleError)) throw error;
  const line = { level: 60, time: Date.now(), pid: process.pid, hostname: hostname(), msg: error.message };
  await new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, resolve));
  process.exit(2);
}

// Who tells it to end while it starts is remembered: as the first process of a container it would not be ended by the signal itself.
let told;
let drain = async (signal) => {
  told = signal;
};
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void drain(signal));
let models;
let certificate;
process.on('SIGHUP', () => {
  void models?.scan();
  certificate?.look();
});

async function beginning() {
  const read = readConfig(process.env);
  const own = await readManifest(dir);
  return { config: read, manifest: own, ...sessionsOf(describeModel(own), read, modelBytes(own)) };
}

const { config, manifest, apart } = await beginning().catch(refuse);
// Another CPU starts the thread of the first session while this one loads packages, here and below.
if (apart !== undefined) startThread();
const [{ default: pino }, { Metrics }] = await Promise.all([import('pino'), import('./lib/metrics.mjs')]);
const log = pino({ level: config.logLevel });
const state = {
  server: { name: 'mlpack-server', version: manifest.tool.version },
  ready: false,
  draining: false,
};
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
if (config.tls !== undefined) certificate = new Certificate(() => readTls(process.env), config.tls, log);
const services = { config, models, inference, metrics, monitor, tracer, buffers, admission, certificate, state };
const app = buildApp(config, services, log);
certificate?.use((pair) => app.server.setSecureContext(pair));
certificate?.watch(config.reloadSeconds);
let grpc;

/** Stops taking work, lets what is running finish, and ends; after `drainMs` it ends anyway. */
drain = async (signal) => {
  if (state.draining) return;
  state.draining = true;
  log.info({ signal }, 'draining');
  setTimeout(() => void cutOff(signal), config.drainMs).unref();
  await Promise.all([app.close(), grpc?.close()]);
  await models.close();
  // And what was being opened meanwhile.
  await opened();
  await models.close();
  await Promise.all([cache?.close(), tracer?.close()]);
  log.info('stopped');
};

/** At the end of the drain time: requests that are running are not waited for, nor are connections on which nothing is asked. */
async function cutOff(signal) {
  const { running } = admission;
  if (running > 0) log.warn({ running }, 'requests were still running at the end of the drain time');
  // Sessions that are being opened will be there in a moment. A run may take any time, and one that hangs has no client any more.
  const until = performance.now() + (running > 0 ? 0 : openingMs);
  while (threadsAtWork() > 0) {
    // Meanwhile the log is written.
    await sleep(50);
    // Nobody listens to it a second time. It does not end the first process of a container, which waits or is killed.
    if (performance.now() >= until) process.kill(process.pid, signal);
  }
  process.exit(running > 0 ? 1 : 0);
}

async function serve() {
  await listen(app, config);
  // Loaded only where it is asked for: its packages take 95 ms of CPU.
  if (config.grpcPort > 0) grpc = await (await import('./lib/grpc/service.mjs')).openGrpc(config, services, log);
  const failure = await opened();
  if (state.draining) return void (await grpc?.close());
  if (failure !== undefined) throw failure;
  state.ready = true;
  log.info({ models: models.index() }, 'ready');
}

/** What is wrong with the bundle or the port is told in a sentence, what nobody knows of with its stack. */
function tellWhy(error) {
  const known = error instanceof BundleError || error instanceof ListenError;
  if (known) log.fatal(`the server could not be started: ${error.message}`);
  else log.fatal({ err: error }, 'the server could not be started');
}

/** Waits for the sessions: a process that ends while ONNX Runtime opens one in a thread is aborted by it. @returns {Promise<Error | undefined>} */
async function opened() {
  calm();
  const failure = await opening;
  await endSpareThread();
  return failure;
}

try {
  if (told === undefined) await serve();
  else await drain(told);
} catch (error) {
  // Told to end while it was about to listen.
  if (!state.draining) tellWhy(error);
  await opened();
  if (!state.draining) process.exit(error instanceof BundleError ? 2 : 1);
}
