import { provideRest, tellFailuresOn } from './deferred.js';
import { download } from './download.js';

/** The runtime's module, pointed at its WebAssembly file, whose bytes are verified. */
async function importRuntime(base, { runtime }, wasmBytes, threads) {
  const ort = await import(/* webpackIgnore: true */ /* @vite-ignore */ new URL(runtime.script, base).href);
  ort.env.logLevel = 'error';
  ort.env.wasm.wasmPaths = { mjs: new URL(runtime.mjs, base).href };
  ort.env.wasm.wasmBinary = wasmBytes;
  ort.env.wasm.numThreads = threads;
  return ort;
}

/** One count over all files of a way. */
function counter(files, onProgress) {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const loaded = files.map(() => 0);
  return (n) => (bytes) => {
    loaded[n] = bytes;
    onProgress({ phase: 'download', loaded: loaded.reduce((sum, one) => sum + one, 0), total });
  };
}

/**
 * Downloads what a way needs, starts the runtime and opens the model. External data stays a Blob where the runtime can read from one
 * (JSPI), so that it is never in memory as a whole. A runtime in two parts is whole from the start in the page itself, which may not wait for
 * the rest within a call.
 * @returns { ort, session, loadRest } the last where a part of the runtime was left for later
 */
export async function openSession(base, way, variant, { threads, store, keep, signal, onProgress, channel }) {
  const [model, ...data] = variant.files;
  const { wasm: first, rest: second } = way.runtime;
  const eager = second !== undefined && typeof document !== 'undefined';
  const all = [first, model, ...data, ...(eager ? [second] : [])];
  const count = counter(all, onProgress);
  const asBlob = way.runtimeId === 'jspi';
  const options = { store, keep, signal };
  const [wasm, bytes, ...rest] = await Promise.all(
    all.map((file, n) => download(base, file, { ...options, asBlob: asBlob && n > 1, onBytes: count(n) })),
  );
  if (eager) await provideRest(rest.pop());
  else if (second) tellFailuresOn(channel);
  onProgress({ phase: 'start', loaded: 0, total: 0 });
  const ort = await importRuntime(base, way, wasm, threads);
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [way.provider],
    ...variant.sessionOptions[way.provider],
    ...(data.length > 0 && { externalData: data.map(({ name }, n) => ({ path: name, data: rest[n] })) }),
  });
  const loadRest = second && !eager && (async () => provideRest(await download(base, second, options)));
  return { ort, session, loadRest };
}
