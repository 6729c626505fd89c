import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Model } from '../ir/graph.ts';
import { externalFiles } from '../onnx/external-files.ts';
import { loadModel } from '../onnx/load.ts';
import { saveModel } from '../onnx/save.ts';
import type { ApartFiles } from '../target/target.ts';

/** Bytes, by judgement: each tensor begins at a page of its own, so that small ones would make the file larger. */
const least = 32_768;
/** Bytes of such tensors together, by judgement: 5 MB save 38 ms (MobileNet, docs/server.md). */
const worth = 1_000_000;

/** `Workshop.apart` of the model in `file`. */
export async function weightsApart(file: string): Promise<ApartFiles | undefined> {
  const model = await loadModel(file);
  if (externalFiles(model).length > 0 || largeBytes(model) < worth) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-apart-'));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    const { files } = await saveModel(model, join(dir, 'model.onnx'), { externalData: 'always', threshold: least });
    return { files: files.map((one) => ({ ...one, source: join(dir, one.name) })), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

function largeBytes(model: Model): number {
  let bytes = 0;
  for (const graph of model.graphs())
    for (const { initializer } of graph.initializers) {
      const own = initializer?.byteLength ?? 0;
      if (own >= least) bytes += own;
    }
  return bytes;
}
