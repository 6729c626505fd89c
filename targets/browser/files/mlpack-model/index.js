/**
 * Loads the model of this folder and runs it in the browser, off the page's thread.
 *
 *   import { load } from './mlpack-model/index.js';
 *   const model = await load({ onProgress: ({ loaded, total }) => … });
 *   const { logits } = await model.run({ input: { data: new Float32Array(…), dims: [1, 3, 224, 224] } });
 *   const { answer } = await model.predict(file);
 */
import { answerOf } from './answer.js';
import { messageOf, ModelError, packError, unpackError } from './errors.js';
import { readMedia } from './media.js';

export { ModelError };

// Not in the form that bundlers rewrite: the folder is served as it is, also where this file becomes part of a bundle.
const here = import.meta.url;

/** Address of the folder, with a slash at its end. */
function folder(base) {
  const url = new URL(base ?? './', base === undefined ? here : document.baseURI);
  if (url.protocol === 'file:' && globalThis.location?.protocol !== 'file:') {
    throw new ModelError('place', 'A bundler has moved the loader: say where the folder is served, load({ base: "/mlpack-model/" }).');
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  url.search = '';
  url.hash = '';
  return url.href;
}

/** Starts the worker; from a foreign origin through a small script of the page's own. */
function startWorker(base) {
  const url = new URL('worker.js', base);
  if (url.origin === location.origin) return new Worker(url, { type: 'module', name: 'mlpack model' });
  const own = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: 'text/javascript' }));
  const worker = new Worker(own, { type: 'module', name: 'mlpack model' });
  setTimeout(() => URL.revokeObjectURL(own), 60_000);
  return worker;
}

/** Calls into the worker. A worker that breaks rejects every call. */
class WorkerPort {
  #worker;
  #waiting = new Map();
  #last = 0;
  #broken;
  #failures = globalThis.BroadcastChannel && new BroadcastChannel(`mlpack ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`);
  onProgress = () => {};

  constructor(base) {
    this.#worker = startWorker(base);
    // From threads, too, for which the worker may wait and hear nothing.
    this.#failures?.addEventListener('message', ({ data }) => this.close(unpackError(data)));
    this.#worker.addEventListener('message', ({ data }) => this.#receive(data));
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault();
      const why = event.message ? `: ${event.message}` : `; is ${base}worker.js served?`;
      this.close(new ModelError(event.message ? 'runtime' : 'place', `The model's worker does not start or has ended${why}`));
    });
  }

  /** On which the worker and its threads tell that they cannot go on. */
  get channel() {
    return this.#failures?.name;
  }

  #receive({ id, result, error, progress }) {
    if (progress) {
      this.onProgress(progress);
      return;
    }
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) call?.reject(unpackError(error));
    else call?.resolve(result);
  }

  call(name, payload, transfer = []) {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { resolve, reject });
      try {
        this.#worker.postMessage({ id, call: name, payload }, transfer);
      } catch (error) {
        this.#waiting.delete(id);
        reject(new ModelError('input', `The input cannot be handed to the worker: ${messageOf(error)}.`, { cause: error }));
      }
    });
  }

  close(reason) {
    this.#broken ??= reason;
    this.#worker.terminate();
    this.#failures?.close();
    for (const { reject } of this.#waiting.values()) reject(this.#broken);
    this.#waiting.clear();
  }
}

/** The same without a worker, on the page's own thread: for pages that cannot start one. */
class PagePort {
  #base;
  #engine;
  #queue = Promise.resolve();
  #stop = new AbortController();
  #broken;
  onProgress = () => {};

  constructor(base) {
    this.#base = base;
  }

  call(name, payload) {
    if (this.#broken) return Promise.reject(this.#broken);
    const result = this.#queue.then(() => this.#do(name, payload)).catch((error) => {
      throw error instanceof ModelError ? error : unpackError(packError(error));
    });
    this.#queue = result.catch(() => {});
    const closed = new Promise((_, reject) => {
      this.#stop.signal.addEventListener('abort', () => reject(this.#broken), { once: true });
    });
    closed.catch(() => {});
    return Promise.race([result, closed]);
  }

  async #do(name, payload) {
    if (name === 'open') {
      const { open } = await import(/* webpackIgnore: true */ /* @vite-ignore */ new URL('engine.js', this.#base).href);
      this.#engine = await open(payload, { onProgress: (progress) => this.onProgress(progress), signal: this.#stop.signal });
      return { about: this.#engine.about(), urls: [] };
    }
    const result = await this.#engine[name](payload);
    return name === 'run' || name === 'predict' ? { ...result, about: this.#engine.about() } : result;
  }

  close(reason) {
    this.#broken ??= reason;
    this.#stop.abort();
  }
}

const providers = ['auto', 'webgpu', 'wasm'];

function checkOptions({ provider, threads }) {
  if (!providers.includes(provider)) {
    throw new ModelError('provider', `There is no provider "${provider}"; choose auto, webgpu or wasm.`);
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads > 0)) {
    throw new ModelError('provider', `threads must be a whole number from 1, not ${threads}.`);
  }
}

/**
 * @param options.base where the folder is served; default: where this file lies
 * @param options.provider `auto` (default), `webgpu` or `wasm`; `auto` takes the first way that works here
 * @param options.variant one of the bundle's variants; default: what fits the device
 * @param options.threads of WebAssembly; default up to four, one on a page that is not cross-origin isolated
 * @param options.cache keep the model for the next visit; default true
 * @param options.worker run in a worker; default true
 * @param options.onProgress called with { phase: 'download' | 'start', loaded, total } in bytes
 * @param options.signal cancels loading at once
 * @returns the model: { run, predict, prepare, dispose, name, variant, inputs, outputs, labels, provider, threads, adapter, reasons, … }
 * @throws ModelError
 */
export async function load({
  base,
  provider = 'auto',
  variant,
  threads,
  cache = true,
  worker = true,
  onProgress = () => {},
  signal,
} = {}) {
  checkOptions({ provider, threads });
  if (signal?.aborted) throw new ModelError('cancelled', 'Loading was cancelled.');
  const place = folder(base);
  const port = worker ? new WorkerPort(place) : new PagePort(place);
  port.onProgress = onProgress;
  const stop = () => port.close(new ModelError('cancelled', 'Loading was cancelled.'));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const { about, urls } = await port.call('open', { base: place, provider, variant, threads, cache, channel: port.channel });
    return new Model(port, about, urls);
  } catch (error) {
    port.close(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Buffers of the typed arrays in feeds, each once. */
function buffersOf(feeds) {
  const buffers = Object.values(feeds).map((feed) => (feed?.data ?? feed)?.buffer);
  return [...new Set(buffers.filter((buffer) => buffer instanceof ArrayBuffer))];
}

class Model {
  #port;
  #disposed;
  /** Milliseconds that the runtime took for the last inference. */
  lastMs;
  /** Addresses that were loaded, for offline.js. */
  urls;

  constructor(port, about, urls) {
    this.#port = port;
    this.urls = urls;
    Object.assign(this, about);
  }

  async #call(name, payload, transfer) {
    if (this.#disposed) throw new ModelError('disposed', 'The model was disposed of.');
    const result = await this.#port.call(name, payload, transfer);
    if (result?.about) {
      // Another way may have taken over.
      Object.assign(this, result.about);
      delete result.about;
    }
    return result;
  }

  /**
   * @param feeds { [input]: numbers or { data, dims } }
   * @param options.transfer hand typed arrays over to the worker instead of copying them: they are empty afterwards
   * @returns { [output]: { data, dims, type } }
   */
  async run(feeds, { transfer = false } = {}) {
    const { outputs, ms } = await this.#call('run', feeds, transfer ? buffersOf(feeds) : []);
    this.lastMs = ms;
    return outputs;
  }

  /** From a picture, a text or a sound. @returns { answer, outputs, feeds, ms, tokens? } */
  async predict(input) {
    const { media, transfer } = await this.#read(input);
    const result = await this.#call('predict', media, transfer);
    this.lastMs = result.ms;
    // Here and not in the worker: a thousand classes as objects take longer to hand over than to sort.
    return { answer: answerOf(this, result.outputs), ...result };
  }

  /** What `predict` would feed. @returns { feeds, tokens? } */
  async prepare(input) {
    const { media, transfer } = await this.#read(input);
    return this.#call('prepare', media, transfer);
  }

  /** The text in recorded token ids. */
  async textOf(feeds) {
    return this.#call('textOf', feeds);
  }

  async #read(input) {
    if (this.#disposed) throw new ModelError('disposed', 'The model was disposed of.');
    return readMedia(this.task, input);
  }

  /** Frees the memory once what is running has finished. */
  async dispose() {
    this.#disposed ??= this.#port
      .call('dispose')
      .finally(() => this.#port.close(new ModelError('disposed', 'The model was disposed of.')));
    await this.#disposed;
  }
}
