/** The bundle's model, opened once: hashes first, then a session. */

import { readManifest, verifiedModel } from './bundle.mjs';
import { RequestError } from './errors.mjs';
import { elementsOf, ortTensor } from './half.mjs';
import { describeModel } from './model.mjs';

/**
 * @param {string} dir folder of the bundle @param {number} [threads] of each run
 * @returns {{ manifest, info, run(feeds, names?): Promise<Record<string, {dims, data}>> }} feeds: [{ name, dtype, shape, data }]
 */
export async function openModel(dir, threads) {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const manifest = await readManifest(dir);
  const file = await verifiedModel(dir, manifest);
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(file, threads === undefined ? {} : { intraOpNumThreads: threads });
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
