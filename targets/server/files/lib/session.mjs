/** One ONNX Runtime session, in whatever thread it is opened; `run` blocks that thread. */

import { elementsOf, ortTensor } from './half.mjs';

export function textOf(error) {
  return String(error instanceof Error ? error.message : error);
}

export function loadRuntime() {
  return import('onnxruntime-node');
}

/**
 * @param {string} path of the model @param {number} threads of one run
 * @returns {{ run: (feeds: object[], outputs?: string[]) => Promise<Record<string, { dims, data }>>, close: () => Promise<void> }}
 *   feeds: [{name, dtype, shape, data}]. outputs: names, undefined: all
 */
export async function openSession(path, threads) {
  const { InferenceSession, Tensor } = await loadRuntime();
  // What goes wrong comes as an exception; ONNX Runtime's own log would have values of requests in it.
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 4 };
  const session = await InferenceSession.create(path, options);
  return {
    async run(feeds, outputs) {
      const tensors = {};
      for (const feed of feeds) tensors[feed.name] = ortTensor(Tensor, feed);
      const given = outputs === undefined ? await session.run(tensors) : await session.run(tensors, outputs);
      const results = {};
      for (const [name, one] of Object.entries(given)) results[name] = { dims: one.dims, data: elementsOf(one) };
      return results;
    },
    close: () => session.release(),
  };
}
