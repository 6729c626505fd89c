/** Runs the engine off the page's thread. Messages: { id, call, payload } in, { id, result | error } and { progress } out. */
import { packError } from './errors.js';

/** Loaded when the first call arrives, so that a module that is missing is an answer and not silence. */
let engine;
let queue = Promise.resolve();
/** Which way the page knows of: what is to be said about the model (labels, inputs …) crosses only when another has taken over. */
let toldOf;

function withNews(result) {
  if (engine.waysOpened === toldOf) return result;
  toldOf = engine.waysOpened;
  return { ...result, about: engine.about() };
}

const calls = {
  async open(options) {
    const { open } = await import('./engine.js');
    engine = await open(options, { onProgress: (progress) => postMessage({ progress }) });
    return { ...withNews({}), urls: performance.getEntriesByType('resource').map(({ name }) => name) };
  },
  run: async (feeds) => withNews(await engine.run(feeds)),
  predict: async (media) => withNews(await engine.predict(media)),
  prepare: (media) => engine.prepare(media),
  textOf: (feeds) => engine.textOf(feeds),
  dispose: () => engine.dispose(),
};

/** Buffers that need not be copied on their way. */
function transfers(result) {
  const tensors = [...Object.values(result?.outputs ?? {}), ...Object.values(result?.feeds ?? {})];
  const buffers = tensors.map(({ data }) => data?.buffer).filter((buffer) => buffer instanceof ArrayBuffer);
  return [...new Set(buffers)];
}

// The runtime takes one call at a time.
self.addEventListener('message', ({ data: { id, call, payload } }) => {
  queue = queue.then(async () => {
    try {
      const result = await calls[call](payload);
      postMessage({ id, result }, transfers(result));
    } catch (error) {
      postMessage({ id, error: packError(error) });
    }
  });
});
