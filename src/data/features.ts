import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { digestOf } from './source.ts';

/** A feature extractor of a speech model: waveform → log-mel frames, or whatever its model takes. */
export interface Features {
  /** The last axis has the same extent for sounds of any length (Whisper pads to 30 seconds). */
  readonly isFixed: boolean;
  /** Hash of its configuration. */
  readonly digest: string;
  /** @returns the features of one sound, without a batch axis */
  extract(sound: Float32Array): Promise<{ values: Float32Array; shape: number[] }>;
}

/** What extractors call their product. */
const products = ['input_features', 'input_values'];

/** @throws UserError when the folder holds no preprocessor_config.json, or one of an extractor that transformers.js does not know */
export async function openFeatures(dir: string): Promise<Features> {
  const config = join(dir, 'preprocessor_config.json');
  if (!existsSync(config)) throw new UserError('features-missing', `There is no ${config}, which "features" needs.`);
  const { AutoFeatureExtractor } = await import('@huggingface/transformers');
  let extractor: Awaited<ReturnType<typeof AutoFeatureExtractor.from_pretrained>>;
  try {
    extractor = await AutoFeatureExtractor.from_pretrained(dir, { local_files_only: true });
  } catch (error) {
    throw new UserError('features-format', `${config} cannot be used: ${(error as Error).message}.`, { cause: error });
  }
  const extract: Features['extract'] = async (sound) => {
    const made = (await (extractor as unknown as (sound: Float32Array) => Promise<unknown>)(sound)) as Record<
      string,
      { data: ArrayLike<number>; dims: number[] } | undefined
    >;
    const product = products.map((name) => made[name]).find((tensor) => tensor !== undefined);
    if (!product)
      throw new UserError(
        'features-format',
        `The extractor of ${config} gives ${Object.keys(made).join(', ')}; ${products.join(' or ')} is needed.`,
      );
    return { values: Float32Array.from(product.data), shape: product.dims.slice(1) };
  };
  const [short, long] = [await extract(new Float32Array(8_000)), await extract(new Float32Array(16_000))];
  const digest = digestOf(readFileSync(config));
  return { isFixed: short.shape.join() === long.shape.join(), digest, extract };
}
