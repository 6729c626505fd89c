/**
 * The runtime's WebAssembly module in two parts: the first starts and runs the model; the rest holds functions that it was not seen to need. Whoever
 * calls one of them has the rest loaded, at once and without leaving the call, so that results are the same. The glue of the runtime gets its
 * `WebAssembly` and `Worker` from here, also in the threads that it starts.
 */
import { messageOf, ModelError, packError } from './errors.js';
import { plainSha256 } from './sha256.js';

const native = globalThis.WebAssembly;
const here = import.meta.url;

/** A module that hands a function of JavaScript through, which makes it one that a table takes. */
const passing = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 97, 1, 97, 0, 0, 7, 5, 1, 1, 97, 0, 0];

/** The rest, once it is here: bytes and module. */
let ready;
/** What waits for it: instances that have not needed it so far. */
const waiting = new Set();
/** Given to threads: memory in which they find the rest (a number that says so, then its bytes), and where they tell of failures. */
let given;
let channel;

if (globalThis.name?.startsWith('em-pthread'))
  addEventListener('message', ({ data }) => {
    given = data?.mlpackRest ?? given;
  });

/** A function as tables take it. */
function forTable(run) {
  return new native.Instance(new native.Module(Uint8Array.from(passing)), { a: { a: run } }).exports.a;
}

/** Past all caches the second time. */
function fetchNow(url, again) {
  const request = new XMLHttpRequest();
  request.open('GET', again ? `${url}&again` : url, false);
  request.responseType = 'arraybuffer';
  try {
    request.send();
  } catch (error) {
    throw new ModelError('network', `The rest of the runtime is needed and cannot be loaded from ${url}: ${messageOf(error)}.`);
  }
  if (request.status !== 200)
    throw new ModelError('network', `The rest of the runtime is needed, and ${url} answers ${request.status}.`);
  return new Uint8Array(request.response);
}

function isWhole(bytes, part) {
  return bytes.length === part.bytes && Array.from(plainSha256(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('') === part.sha256;
}

/** The module without waiting: workers may. Threads take it from where the model's worker has put it. */
function moduleNow(part) {
  if (ready) return ready.module;
  if (given && Atomics.load(new Int32Array(given.shared, 0, 1), 0) === 1)
    return new native.Module(new Uint8Array(given.shared, 8).slice());
  const url = new URL(part.url, here).href;
  let bytes = fetchNow(url, false);
  if (!isWhole(bytes, part)) bytes = fetchNow(url, true);
  if (!isWhole(bytes, part)) throw new ModelError('integrity', `${url} is damaged: it is not what model.json names.`);
  return new native.Module(bytes);
}

/** Prepares an instance of the first part. @returns when the rest is there already, once it is in */
async function arm(instance, imports, part) {
  const { '.l': loaded, '.t': table } = instance.exports;
  const link = { ...imports, '.': instance.exports };
  const load = () => {
    try {
      new native.Instance(moduleNow(part), link);
      loaded.value = 1;
    } catch (error) {
      // A thread that fails leaves the others waiting for ever, and the glue a start that fails: the page ends all of them.
      const failures = given?.channel ?? channel;
      if (failures) new BroadcastChannel(failures).postMessage(packError(error));
      throw error;
    }
  };
  table.set(part.loader, forTable(load));
  const take = async () => {
    waiting.delete(take);
    if (loaded.value === 1) return;
    // Not at once: a page's own thread may not.
    await native.instantiate(ready.module, link);
    loaded.value = 1;
  };
  waiting.add(take);
  if (ready) await take();
}

/** What threads get to know, in memory that they share: they never return to read messages. */
function share(part) {
  given ??= { shared: new SharedArrayBuffer(8 + part.bytes), channel };
  if (ready) publish();
  return given;
}

function publish() {
  if (!given) return;
  new Uint8Array(given.shared, 8).set(ready.bytes);
  Atomics.store(new Int32Array(given.shared, 0, 1), 0, 1);
}

/**
 * @param part of the runtime: { url (relative to this file), bytes, sha256, loader (its place in the table) }
 * @returns { WebAssembly, Worker } for the glue
 */
export function deferring(part) {
  const WebAssembly = Object.assign(Object.create(native), {
    async instantiate(source, imports) {
      const made = await native.instantiate(source, imports);
      await arm(made.instance, imports, part);
      return made;
    },
    // As threads do it. Nothing is there to wait for then.
    Instance: function (module, imports) {
      const instance = new native.Instance(module, imports);
      arm(instance, imports, part);
      return instance;
    },
  });
  const Worker =
    globalThis.Worker &&
    class extends globalThis.Worker {
      constructor(...address) {
        super(...address);
        this.postMessage({ mlpackRest: share(part) });
      }
    };
  return { WebAssembly, Worker };
}

/** @param name of a channel on which the page is told of failures */
export function tellFailuresOn(name) {
  channel = name;
}

/** Takes the rest, verified, for all that run and all that will. */
export async function provideRest(bytes) {
  ready = { bytes, module: await native.compile(bytes) };
  publish();
  for (const take of [...waiting]) await take();
}
