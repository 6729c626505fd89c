import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Sharp } from 'sharp';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorOfNumbers } from './cast.ts';
import type { ImageSpec } from './dataset-format.ts';
import type { Source, Split } from './source.ts';

const extensions = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff', '.avif']);
const kernels = { nearest: 'nearest', bilinear: 'linear', bicubic: 'cubic', lanczos: 'lanczos3' } as const;

/**
 * Samples that are picture files of a folder, in the order of their names. Decoded by sharp: EXIF rotation applied,
 * alpha flattened onto black, sRGB.
 * @throws UserError when a folder is missing or holds no pictures.
 */
export async function openImageSource(
  name: string,
  spec: ImageSpec,
  resolve: (file: string) => Promise<string>,
): Promise<Source> {
  const evaluation = await listImages(name, await resolve(spec.folder));
  const calibration = spec.calibration === undefined ? [] : await listImages(name, await resolve(spec.calibration));
  return new ImageSource(spec, { eval: evaluation, calibration });
}

interface Folder {
  readonly dir: string;
  readonly files: readonly string[];
}

async function listImages(name: string, dir: string): Promise<Folder> {
  const entries = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      'dataset-missing',
      `Input "${name}": the picture folder ${dir} cannot be read (${error.code}).`,
      { cause: error },
    );
  });
  const files = entries.filter((entry) => extensions.has(extname(entry).toLowerCase())).sort();
  if (files.length === 0) {
    throw new UserError(
      'dataset-empty',
      `Input "${name}": there are no pictures (${[...extensions].join(' ')}) in ${dir}.`,
    );
  }
  return { dir, files };
}

class ImageSource implements Source {
  readonly shape: readonly (number | null)[];
  readonly dtype: DType;
  readonly #spec: ImageSpec;
  readonly #folders: Readonly<Record<Split, Folder | readonly never[]>>;

  constructor(spec: ImageSpec, folders: Readonly<Record<Split, Folder | readonly never[]>>) {
    this.#spec = spec;
    this.#folders = folders;
    this.dtype = spec.dtype ?? 'float32';
    const [height, width] = spec.size;
    const channels = channelCount(spec);
    this.shape = spec.layout === 'NCHW' ? [null, channels, height, width] : [null, height, width, channels];
  }

  readonly names = (split: Split): readonly string[] => this.#files(split);

  count(split: Split): number {
    return this.#files(split).length;
  }

  async read(split: Split, indices: readonly number[], dtype: DType): Promise<Tensor> {
    const { size } = this.#spec;
    const folder = this.#folders[split];
    const channels = channelCount(this.#spec);
    const perSample = size[0] * size[1] * channels;
    const values = new Float32Array(indices.length * perSample);
    await Promise.all(
      indices.map(async (index, place) => {
        const file = join('dir' in folder ? folder.dir : '', this.#files(split)[index] ?? '');
        const pixels = await decode(file, this.#spec);
        normalize(pixels, this.#spec, values.subarray(place * perSample, (place + 1) * perSample));
      }),
    );
    const shape = this.shape.map((dim) => dim ?? indices.length);
    return tensorOfNumbers(dtype, shape, values);
  }

  async close(): Promise<void> {
    // Files are opened one at a time: nothing is held.
  }

  #files(split: Split): readonly string[] {
    const folder = this.#folders[split];
    return 'files' in folder ? folder.files : [];
  }
}

function channelCount(spec: ImageSpec): number {
  return spec.channels === 'GRAY' ? 1 : 3;
}

/** Interleaved bytes of the picture at its final size. */
async function decode(file: string, spec: ImageSpec): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const [height, width] = spec.size;
  try {
    const bytes = await readFile(file);
    let image: Sharp = sharp(bytes)
      .autoOrient()
      .flatten()
      .toColourspace(spec.channels === 'GRAY' ? 'b-w' : 'srgb');
    if (spec.resize === undefined) {
      const fit = spec.crop === 'center' ? 'cover' : 'fill';
      image = image.resize(width, height, { fit, kernel: kernels[spec.interpolation] });
    } else {
      const { autoOrient } = await sharp(bytes).metadata();
      const factor = spec.resize / Math.min(autoOrient.width, autoOrient.height);
      const scaled = { width: Math.round(autoOrient.width * factor), height: Math.round(autoOrient.height * factor) };
      if (scaled.width < width || scaled.height < height) {
        throw new UserError(
          'dataset-format',
          `"resize" ${spec.resize} leaves ${scaled.height}×${scaled.width} of ${file}, less than "size" ${height}×${width}.`,
        );
      }
      if (factor !== 1)
        image = image.resize(scaled.width, scaled.height, { fit: 'fill', kernel: kernels[spec.interpolation] });
      const left = Math.floor((scaled.width - width) / 2);
      const top = Math.floor((scaled.height - height) / 2);
      image = image.extract({ left, top, width, height });
    }
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    const channels = channelCount(spec);
    if (info.channels === channels) return data;
    if (info.channels === 1) return grayToColour(data, channels);
    throw new UserError('dataset-image', `${file} decodes to ${info.channels} channels; ${channels} are needed.`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError('dataset-image', `The picture ${file} cannot be decoded: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

function grayToColour(gray: Uint8Array, channels: number): Uint8Array {
  const colour = new Uint8Array(gray.length * channels);
  for (let at = 0; at < colour.length; at++) colour[at] = gray[Math.floor(at / channels)] as number;
  return colour;
}

/** (pixel − mean) · scale / std, in the wanted channel order and layout. */
function normalize(pixels: Uint8Array, spec: ImageSpec, target: Float32Array): void {
  const channels = channelCount(spec);
  const plane = spec.size[0] * spec.size[1];
  for (let channel = 0; channel < channels; channel++) {
    const from = spec.channels === 'BGR' ? channels - 1 - channel : channel;
    const mean = spec.mean[channel] ?? 0;
    const factor = spec.scale / (spec.std[channel] ?? 1);
    for (let pixel = 0; pixel < plane; pixel++) {
      const value = ((pixels[pixel * channels + from] as number) - mean) * factor;
      target[spec.layout === 'NCHW' ? channel * plane + pixel : pixel * channels + channel] = value;
    }
  }
}
