import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import type { ImageSpec } from './specs.ts';

/** How a Hugging Face image processor prepares pictures, in the words of dataset.json; what it leaves open is absent. */
export type ImageDefaults = Partial<
  Pick<ImageSpec, 'size' | 'resize' | 'crop' | 'interpolation' | 'mean' | 'std' | 'scale' | 'pad'>
>;

/** The first of the folders that has a preprocessor_config.json of an image processor. */
export async function findImageDefaults(
  dirs: readonly (string | undefined)[],
): Promise<{ defaults: ImageDefaults; path: string } | undefined> {
  for (const dir of dirs) {
    if (dir === undefined) continue;
    const path = join(dir, 'preprocessor_config.json');
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) continue;
      throw error;
    }
    try {
      const defaults = imageDefaults(JSON.parse(text) as Record<string, unknown>);
      if (defaults) return { defaults, path };
    } catch (error) {
      throw new UserError('processor-format', `${path} cannot be understood: ${(error as Error).message}.`, {
        cause: error,
      });
    }
  }
  return undefined;
}

/** PIL's numbers for ways to resample. */
const resamplings = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'bilinear', 'lanczos'] as const;

/**
 * The settings that transformers' image processors share: (pixel · rescale_factor − image_mean) / image_std, which is
 * (pixel − mean / rescale) · rescale / std. @returns undefined where the file is about sound or text
 */
function imageDefaults(config: Record<string, unknown>): ImageDefaults | undefined {
  if (!('image_mean' in config || 'do_resize' in config || 'image_processor_type' in config)) return undefined;
  const on = (key: string, fallback: boolean): boolean => (typeof config[key] === 'boolean' ? config[key] : fallback);
  const scale = on('do_rescale', true) ? numberOf(config.rescale_factor, 1 / 255) : 1;
  const isNormalized = on('do_normalize', true) && Array.isArray(config.image_mean) && Array.isArray(config.image_std);
  const mean = isNormalized ? (config.image_mean as number[]).map((value) => value / scale) : undefined;
  const std = isNormalized ? (config.image_std as number[]) : undefined;
  const interpolation = typeof config.resample === 'number' ? resamplings[config.resample] : undefined;
  return {
    ...sizes(config, on),
    ...(interpolation && { interpolation }),
    ...(mean && { mean }),
    ...(std && { std }),
    scale,
  };
}

function sizes(
  config: Record<string, unknown>,
  on: (key: string, fallback: boolean) => boolean,
): Pick<ImageDefaults, 'size' | 'resize' | 'crop' | 'pad'> {
  const target = sizeOf(config.size);
  const crop = on('do_center_crop', false) ? sizeOf(config.crop_size) : undefined;
  const doesResize = on('do_resize', true);
  if (doesResize && target?.shortest !== undefined) {
    const share = numberOf(config.crop_pct, Number.NaN);
    const size = crop?.exact ?? [target.shortest, target.shortest];
    // ConvNeXT and its kin: the shorter side is brought to size / crop_pct, then the middle is taken; from 384 on the whole is drawn to the size.
    if (!Number.isNaN(share) && !crop && target.shortest >= 384) return { size, crop: 'none' };
    const resize = Number.isNaN(share) ? target.shortest : Math.trunc(target.shortest / share);
    return { size, resize, crop: 'center' };
  }
  if (doesResize && target?.exact) {
    if (crop?.exact) return { size: crop.exact, resize: Math.min(...target.exact), crop: 'center' };
    return {
      size: target.exact,
      crop: on('do_pad', false) && target.isLongest ? 'letterbox' : 'none',
      ...(target.isLongest && { pad: 0 }),
    };
  }
  return crop?.exact ? { size: crop.exact, crop: 'center' } : {};
}

interface TargetSize {
  readonly exact?: readonly [height: number, width: number];
  readonly shortest?: number;
  readonly isLongest?: boolean;
}

function sizeOf(value: unknown): TargetSize | undefined {
  if (typeof value === 'number') return { exact: [value, value] };
  if (typeof value !== 'object' || value === null) return undefined;
  const { height, width, shortest_edge: shortest, longest_edge: longest } = value as Record<string, unknown>;
  if (typeof height === 'number' && typeof width === 'number') return { exact: [height, width] };
  if (typeof shortest === 'number') return { shortest };
  if (typeof longest === 'number') return { exact: [longest, longest], isLongest: true };
  return undefined;
}

const numberOf = (value: unknown, fallback: number): number => (typeof value === 'number' ? value : fallback);
