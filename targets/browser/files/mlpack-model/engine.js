/** What runs the model: in a worker (worker.js), or in the page where that is asked for. */
import { fetchOk } from './download.js';
import { messageOf, ModelError } from './errors.js';
import { prepare, textOf } from './prepare.js';
import { candidates, probeDevice, threadCount } from './provider.js';
import { openSession } from './session.js';
import { Store } from './store.js';
import { toTensors } from './tensors.js';

const descriptionName = 'model.json';

/** model.json from the network, or as it was kept where there is none. */
async function readDescription(base, store, signal) {
  try {
    const response = await fetchOk(new URL(descriptionName, base), { cache: 'no-cache', signal });
    const text = await response.text();
    return { text, description: parse(text, base) };
  } catch (error) {
    const kept = error.code === 'network' && !error.final ? await store.get(descriptionName) : undefined;
    if (!kept) throw error;
    const text = await kept.text();
    return { text, description: parse(text, base) };
  }
}

function parse(text, base) {
  let description;
  try {
    description = JSON.parse(text);
  } catch (error) {
    // A server that answers everything with its start page.
    throw new ModelError(
      'place',
      `${new URL(descriptionName, base)} is no model description: is the folder mlpack-model served there? load({ base }) says where it is.`,
      { cause: error },
    );
  }
  if (description?.schema === 'mlpack.browser-model/2') return description;
  throw new ModelError('place', `${new URL(descriptionName, base)} is of another version than its loader; deploy the folder as a whole.`);
}

/** Names of everything that belongs to this version. */
function namesOf({ variants, runtimes }) {
  const files = [...variants.flatMap((variant) => variant.files), ...Object.values(runtimes).flatMap(({ wasm, rest }) => (rest ? [wasm, rest] : [wasm]))];
  return new Set([descriptionName, ...files.flatMap(({ parts }) => parts)]);
}

/** Without a prediction for so long, there is time for the rest of the runtime. */
const idleMs = 1000;

/**
 * @param options { base, provider, variant, threads, cache } of `load`; channel: on which the page is told that the rest of the runtime cannot be loaded
 * @param onProgress called with { phase: 'download' | 'start', loaded, total }
 */
export async function open({ base, provider, variant, threads, cache, channel }, { onProgress, signal }) {
  const folder = new URL(base);
  const reasons = [];
  const store = await Store.open(folder, cache, reasons);
  const [{ text, description }, device] = await Promise.all([readDescription(folder, store, signal), probeDevice()]);
  const wanted = candidates(description, device, { provider, variant });
  reasons.push(...wanted.reasons);
  if (wanted.found.length === 0) throw new ModelError('provider', `The model cannot run here. ${reasons.join(' ')}`);
  const keep = namesOf(description);
  const engine = new Engine(folder, description, wanted.found, reasons, {
    threads: threadCount(threads),
    ...{ store, keep, signal, onProgress, channel },
  });
  await engine.openNext();
  await store.put(descriptionName, new TextEncoder().encode(text), keep);
  await store.evict(keep);
  return engine;
}

class Engine {
  #base;
  #description;
  #ways;
  #reasons;
  #context;
  #open;
  #proven = false;
  /** When the last prediction began, and whether somebody waits for it to be long ago. */
  #lastRun = 0;
  #waits = false;
  /** How many ways were opened so far: a change of it is news. */
  waysOpened = 0;

  constructor(base, description, ways, reasons, context) {
    this.#base = base;
    this.#description = description;
    this.#ways = [...ways];
    this.#reasons = reasons;
    this.#context = context;
  }

  /** Opens the next way that starts; the reason why others did not is kept. */
  async openNext() {
    for (let way = this.#ways.shift(); way; way = this.#ways.shift()) {
      const variant = this.#description.variants.find(({ name }) => name === way.variant);
      try {
        this.#open = { way, ...(await openSession(this.#base, way, variant, this.#context)) };
        this.waysOpened++;
        return;
      } catch (error) {
        // Errors of the browser's own (DOMException) have codes, too: those leave the next way its turn.
        if (error instanceof ModelError) throw error;
        this.#reasons.push(`${way.variant} on ${way.provider}: ${messageOf(error)}.`);
      }
    }
    throw new ModelError('runtime', `The model does not start. ${this.#reasons.join(' ')}`);
  }

  /** What the page is told about the model. */
  about() {
    const { name, inputs, outputs, labels, hasClasses, license, task, variants } = this.#description;
    const { way } = this.#open;
    const { bytes, latency, accuracy } = variants.find((one) => one.name === way.variant);
    return {
      ...{ name, inputs, outputs, labels, hasClasses, license, task, bytes, latency, accuracy },
      ...{ variant: way.variant, provider: way.provider, adapter: way.adapter },
      threads: this.#context.threads,
      reasons: [...this.#reasons],
      variants: variants.map((one) => one.name),
    };
  }

  /** @returns { outputs, ms } */
  async run(feeds) {
    const { ort, session, way } = this.#open;
    this.#lastRun = performance.now();
    const tensors = toTensors(ort, this.#description.inputs, feeds);
    try {
      const started = performance.now();
      const results = await session.run(tensors);
      const ms = performance.now() - started;
      const outputs = {};
      for (const { name } of this.#description.outputs) outputs[name] = await plain(results[name]);
      this.#proven = true;
      return { outputs, ms };
    } catch (error) {
      // The rest of the runtime could not be loaded: the page ends this worker.
      if (error instanceof ModelError) throw error;
      // Some kernels only fail when they run: the next way gets its turn, once, before anything has worked.
      if (!this.#proven && way.provider === 'webgpu' && this.#ways.length > 0) {
        this.#reasons.push(`${way.variant} on ${way.provider}: ${messageOf(error)}.`);
        await this.openNext();
        return this.run(feeds);
      }
      throw new ModelError('runtime', `The model cannot run these inputs: ${messageOf(error)}`, { cause: error });
    } finally {
      this.#restWhenIdle();
    }
  }

  /** Fetches what was left out of the runtime, for the day without a network; not where visitors ask to save data. */
  #restWhenIdle() {
    if (this.#waits || !this.#open.loadRest || navigator.connection?.saveData) return;
    this.#waits = true;
    setTimeout(() => {
      this.#waits = false;
      const { loadRest } = this.#open;
      if (performance.now() - this.#lastRun < idleMs) {
        this.#restWhenIdle();
        return;
      }
      this.#open.loadRest = undefined;
      // It is only wanted: whoever needs it asks again, and is told.
      loadRest?.().catch((error) => this.#reasons.push(`The rest of the runtime is not kept: ${messageOf(error)}`));
    }, idleMs);
  }

  /** Feeds made of a picture, text or sound; see prepare.js. */
  prepare(media) {
    return prepare(this.#base, this.#description, media);
  }

  textOf(feeds) {
    return textOf(this.#base, this.#description, feeds);
  }

  async predict(media) {
    const prepared = await this.prepare(media);
    const { outputs, ms } = await this.run(prepared.feeds);
    return { outputs, ms, feeds: prepared.feeds, tokens: prepared.tokens };
  }

  async dispose() {
    this.#open.loadRest = undefined;
    await this.#open.session.release();
  }
}

async function plain(tensor) {
  const data = tensor.location === 'cpu' ? tensor.data : await tensor.getData();
  return { data, dims: [...tensor.dims], type: tensor.type };
}
