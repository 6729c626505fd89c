/**
 * Loads the model of this folder and runs it in the browser.
 *
 *   import { load } from './mlpack-model/index.js';
 *   const model = await load({ onProgress: ({ loaded, total }) => … });
 *   const outputs = await model.run({ input: { data: new Float32Array(…), dims: [1, 3, 224, 224] } });
 */
import { download, fetchOk } from './download.js';
import { messageOf, ModelError } from './errors.js';
import { candidates, threadCount } from './provider.js';
import { toTensors } from './tensors.js';

export { ModelError };

const base = new URL('./', import.meta.url);

async function readDescription(signal) {
  const response = await fetchOk(new URL('model.json', base), { cache: 'no-cache', signal });
  return response.json();
}

/** The runtime's module, pointed at its WebAssembly files. */
async function importRuntime(runtime, threads) {
  const ort = await import(new URL(runtime.script, base).href);
  ort.env.logLevel = 'error';
  ort.env.wasm.wasmPaths = { mjs: new URL(runtime.mjs, base).href, wasm: new URL(runtime.wasm, base).href };
  ort.env.wasm.numThreads = threads;
  return ort;
}

async function openSession(way, description, files, threads) {
  const ort = await importRuntime(way.runtime, threads);
  const [model, ...data] = files;
  const session = await ort.InferenceSession.create(model.bytes, {
    executionProviders: [way.provider],
    ...description.sessionOptions[way.provider],
    ...(data.length > 0 ? { externalData: data.map(({ name, bytes }) => ({ path: name, data: bytes })) } : {}),
  });
  return { ort, session };
}

/** Downloads model and external data, one progress count over all. */
async function downloadFiles(description, signal, onProgress) {
  const total = description.files.reduce((sum, file) => sum + file.bytes, 0);
  const files = [];
  let before = 0;
  for (const file of description.files) {
    const onBytes = (loaded) => onProgress({ phase: 'model', loaded: before + loaded, total });
    files.push({ name: file.name, bytes: await download(base, file, { signal, onBytes }) });
    before += file.bytes;
  }
  return files;
}

/**
 * @param options.provider `auto` (default), `webgpu` or `wasm`; `auto` takes the first that works here
 * @param options.threads of WebAssembly; default up to four, one on a page that is not cross-origin isolated
 * @param options.onProgress called with { phase: 'model' | 'runtime', loaded, total } in bytes
 * @param options.signal cancels the download
 * @returns the model: { run, dispose, name, variant, inputs, outputs, labels, provider, threads, adapter, reasons }
 * @throws ModelError
 */
export async function load({ provider = 'auto', threads, onProgress = () => {}, signal } = {}) {
  if (!['auto', 'webgpu', 'wasm'].includes(provider)) {
    throw new ModelError('provider', `There is no provider "${provider}"; choose auto, webgpu or wasm.`);
  }
  const description = await readDescription(signal);
  const { found, reasons } = await candidates(description, provider);
  if (found.length === 0) throw new ModelError('provider', `The model cannot run here. ${reasons.join(' ')}`);
  const files = await downloadFiles(description, signal, onProgress);
  if (signal?.aborted) throw new ModelError('cancelled', 'Loading was cancelled.');
  for (const way of found) {
    const count = threadCount(threads);
    onProgress({ phase: 'runtime', loaded: 0, total: way.runtime.bytes });
    try {
      const { ort, session } = await openSession(way, description, files, count);
      onProgress({ phase: 'runtime', loaded: way.runtime.bytes, total: way.runtime.bytes });
      return makeModel(description, ort, session, { provider: way.provider, adapter: way.adapter, threads: count, reasons });
    } catch (error) {
      reasons.push(`${way.provider}: ${messageOf(error)}.`);
    }
  }
  throw new ModelError('runtime', `The model does not start. ${reasons.join(' ')}`);
}

function makeModel(description, ort, session, how) {
  const { name, variant, inputs, outputs, labels } = description;
  // The runtime takes one call at a time.
  let queue = Promise.resolve();
  let disposed = false;
  const inTurn = (work) => {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  };
  const runNow = async (tensors) => {
    if (disposed) throw new ModelError('disposed', 'The model was disposed of.');
    try {
      const results = await session.run(tensors);
      return Object.fromEntries(outputs.map((output) => [output.name, plain(results[output.name])]));
    } catch (error) {
      throw new ModelError('runtime', `The model cannot run these inputs: ${messageOf(error)}`, { cause: error });
    }
  };
  return {
    name,
    variant,
    inputs,
    outputs,
    labels,
    ...how,
    /** @param feeds { [input]: numbers or { data, dims } } @returns { [output]: { data, dims, type } } */
    run: async (feeds) => {
      const tensors = toTensors(ort, inputs, feeds);
      return inTurn(() => runNow(tensors));
    },
    /** Frees the memory once what is running has finished. */
    dispose: () =>
      inTurn(async () => {
        if (disposed) return;
        disposed = true;
        await session.release();
      }),
  };
}

function plain({ data, dims, type }) {
  return { data, dims: [...dims], type };
}
