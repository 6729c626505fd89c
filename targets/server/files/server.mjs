/** Serves the model of this bundle. `node server.mjs`; settings in README.md. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildApp } from './lib/app.mjs';
import { goldenInputs, readManifest, verifiedModel } from './lib/bundle.mjs';
import { readConfig } from './lib/config.mjs';
import { describeModel, openModel } from './lib/model.mjs';

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
const state = {
  server: { name: 'mlpack-server', version: manifest.tool.version },
  model: describeModel(manifest),
  loaded: undefined,
  draining: false,
};
const app = buildApp(config, state);

/** Stops taking work, lets what is running finish, and ends; after `drainMs` it ends anyway. */
async function drain(signal) {
  if (state.draining) return;
  state.draining = true;
  app.log.info({ signal }, 'draining');
  const overdue = setTimeout(() => {
    app.log.warn('requests were still running at the end of the drain time');
    process.exit(1);
  }, config.drainMs);
  overdue.unref();
  await app.close();
  await state.loaded?.release();
  app.log.info('stopped');
}

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void drain(signal));

await app.listen({ host: config.host, port: config.port });
try {
  const path = await verifiedModel(dir, manifest);
  const loaded = await openModel(path, { threads: config.threads, warmUp: await goldenInputs(dir, manifest) });
  if (state.draining) await loaded.release();
  else state.loaded = loaded;
  app.log.info({ model: state.model.name, variant: manifest.variant }, 'ready');
} catch (error) {
  app.log.fatal({ err: error }, 'the model could not be loaded');
  process.exit(1);
}
