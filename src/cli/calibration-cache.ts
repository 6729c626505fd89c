import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheKey } from '../cache/key.ts';
import { cacheFolder } from '../cache/place.ts';
import { CacheStore } from '../cache/store.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Model } from '../ir/graph.ts';
import { Histogram } from '../kernels/histogram.ts';
import { encodeModel } from '../onnx/encode.ts';
import type { Activations } from '../pass/pass.ts';
import type { Session } from './command.ts';

/** Raised when histograms, or how they are counted, change. */
const version = 3;
const maxBytes = 1e9;
/** Encoding a larger model to hash it would take the memory that calibrating was meant to save. */
const largestModel = 1e9;
const fileName = 'histograms.bin';

/**
 * The same activation statistics, with histograms kept on disk by the hash of the model, of the samples and of how they are read:
 * calibrating the same model on the same data again reads no sample. Statistics of other kinds go through.
 */
export function rememberCalibration(
  activations: Activations,
  dataset: Dataset,
  seed: number,
  { io, talk }: Session,
): Activations {
  const store = new CacheStore({
    dir: join(cacheFolder(io.env), 'calibration'),
    maxBytes,
    onProblem: (sentence) => talk.note(sentence),
  });
  let data: Promise<unknown> | undefined;
  let isSaid = false;
  return {
    ...activations,
    async histograms(model, values, wanted) {
      const hash = modelHash(model);
      if (hash === undefined) return await activations.histograms(model, values, wanted);
      data ??= identityOf(dataset);
      const names = values.map(({ name }) => name);
      const { samples } = activations;
      const axes = Object.fromEntries(wanted?.channelAxes ?? []);
      const key = cacheKey({
        version,
        model: hash,
        data: await data,
        samples,
        seed,
        names,
        axes,
        extremesOnly: wanted?.extremesOnly === true,
        averages: wanted?.averages === true,
      });
      const hit = await store.get(key);
      if (hit) {
        const found = await read(join(hit.folder, fileName), hit.meta as string[]);
        if (found) {
          // A run calibrates once for each variant, and again inside of searches.
          if (!isSaid)
            talk.note(
              `calibration: ${samples} ${samples === 1 ? 'sample' : 'samples'}, as counted before (--no-cache counts them again)`,
            );
          isSaid = true;
          return found;
        }
      }
      const made = await activations.histograms(model, values, wanted);
      await store.put(key, [...made.keys()], (folder) => write(join(folder, fileName), made));
      return made;
    },
  };
}

function modelHash(model: Model): string | undefined {
  let bytes = 0;
  for (const graph of model.graphs())
    for (const { initializer } of graph.initializers) bytes += initializer?.byteLength ?? 0;
  return bytes > largestModel ? undefined : createHash('sha256').update(encodeModel(model)).digest('hex');
}

/** What the samples are, and what is made of them. */
async function identityOf(dataset: Dataset): Promise<unknown> {
  const split = dataset.calibrationSamples > 0 ? 'calibration' : 'eval';
  const count = split === 'calibration' ? dataset.calibrationSamples : dataset.samples;
  const digests: string[] = [];
  for (let index = 0; index < count; index++) digests.push(await dataset.digest(split, index));
  const { inputs, preprocessing, preparation, batch } = dataset;
  return { split, inputs, preprocessing, preparation, batch, digests };
}

async function write(path: string, histograms: ReadonlyMap<string, Histogram>): Promise<void> {
  const rows = [...histograms.values()].map((histogram) => histogram.pack());
  await writeFile(path, Buffer.concat(rows.map((row) => new Uint8Array(row.buffer))));
}

/**
 * @returns undefined when the file is none of ours (of another build, say), or another process has just trimmed it away: the samples are counted
 * again then.
 */
async function read(path: string, names: readonly string[]): Promise<Map<string, Histogram> | undefined> {
  const histograms = new Map<string, Histogram>();
  let at = 0;
  try {
    const numbers = new Float64Array(new Uint8Array(await readFile(path)).buffer);
    for (const name of names) {
      const { histogram, next } = Histogram.unpack(numbers, at);
      histograms.set(name, histogram);
      at = next;
    }
  } catch (error) {
    if (error instanceof RangeError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return histograms;
}
