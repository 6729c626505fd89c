/** The bundle's model, opened once: hashes first, then a session. */

import { readManifest, verifiedModel } from './bundle.mjs';
import { RequestError } from './errors.mjs';
import { elementsOf, ortTensor } from './half.mjs';
import { describeModel } from './model.mjs';

function threads(env) {
  const text = env.THREADS ?? '';
  if (text === '') return undefined;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1024)
    throw new Error(`THREADS must be a whole number from 1 to 1024, and is "${text}"`);
  return count;
}

/**
 * @param {string} dir folder of the bundle
 * @returns {{ manifest, info, run(feeds, names?): Promise<Record<string, {dims, data}>> }} feeds: [{ name, dtype, shape, data }]
 */
export async function openModel(dir, env = process.env) {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const manifest = await readManifest(dir);
  const file = await verifiedModel(dir, manifest);
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const count = threads(env);
  const session = await InferenceSession.create(file, count === undefined ? {} : { intraOpNumThreads: count });
  return {
    manifest,
    info: describeModel(manifest),
    async run(feeds, names) {
      const tensors = Object.fromEntries(feeds.map((feed) => [feed.name, ortTensor(Tensor, feed)]));
      const given = await session.run(tensors, names).catch((error) => {
        const why = String(error.message).split('\n', 1)[0].slice(0, 300);
        throw new RequestError(`the model cannot run these inputs: ${why}`);
      });
      const results = Object.entries(given).map(([name, one]) => [name, { dims: one.dims, data: elementsOf(one) }]);
      return Object.fromEntries(results);
    },
  };
}
