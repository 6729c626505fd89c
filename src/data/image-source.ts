import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorOfNumbers } from './cast.ts';
import { type Decoded, decodeImage, startDecoding } from './decode-image.ts';
import type { Geometry } from './metrics/metric.ts';
import { BadSample, digestOf, type Source, type Split } from './source.ts';
import type { ImageSpec } from './specs.ts';

export const imageEndings: ReadonlySet<string> = new Set([
  '.jpg',
  '.jpeg',
  '.png',
  '.webp',
  '.gif',
  '.tif',
  '.tiff',
  '.avif',
]);

/**
 * Samples that are picture files of a folder and the folders in it, in the order of their names. Decoded by sharp: EXIF rotation applied,
 * alpha flattened onto black, sRGB.
 * @throws UserError when a folder is missing or holds no pictures.
 */
export async function openImageSource(
  name: string,
  spec: ImageSpec,
  resolve: (file: string) => Promise<string>,
): Promise<Source> {
  const list = async (folder: string): Promise<Folder> => {
    const dir = await resolve(folder);
    const files = await listFiles(dir, imageEndings, `Input "${name}": the picture folder`);
    if (files.length === 0) {
      throw new UserError(
        'dataset-empty',
        `Input "${name}": there are no pictures (${[...imageEndings].join(' ')}) in ${dir}.`,
      );
    }
    return { dir, files };
  };
  // Loaded here, and not at the first picture while a model waits for it.
  await import('sharp');
  const evaluation = await list(spec.folder);
  const calibration = spec.calibration === undefined ? undefined : await list(spec.calibration);
  return new ImageSource(spec, { eval: evaluation, calibration });
}

export interface Folder {
  readonly dir: string;
  /** Relative to `dir`, with `/` between folders. */
  readonly files: readonly string[];
}

/** Files with one of these endings, in folders too, sorted by name; hidden ones (`._x.jpg` of macOS) are passed over. */
export async function listFiles(dir: string, endings: ReadonlySet<string>, what: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UserError('dataset-missing', `${what} ${dir} cannot be read (${error.code}).`, { cause: error });
  });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.') && endings.has(extname(entry.name).toLowerCase()))
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** Pictures prepared before a model asks for them take at most so much memory. */
const prefetchedBytes = 64e6;

class ImageSource implements Source {
  readonly shape: readonly (number | null)[];
  readonly dtype: DType;
  readonly preparation: string;
  readonly #spec: ImageSpec;
  readonly #folders: Readonly<Record<Split, Folder | undefined>>;
  readonly #geometry = new Map<string, Geometry>();
  /** Pictures on their way before anybody asked for them; each is handed out once. */
  readonly #ahead = new Map<string, Promise<Decoded>>();
  /** Prepared value of each of the 256 pixel values, by channel as fed. */
  readonly #values: readonly Float32Array[];

  constructor(spec: ImageSpec, folders: Readonly<Record<Split, Folder | undefined>>) {
    this.#spec = spec;
    this.#folders = folders;
    this.preparation = digestOf(JSON.stringify(spec));
    this.dtype = spec.dtype ?? 'float32';
    const [height, width] = spec.size;
    const channels = channelCount(spec);
    this.shape = spec.layout === 'NCHW' ? [null, channels, height, width] : [null, height, width, channels];
    this.#values = Array.from({ length: channels }, (_, channel) => {
      const factor = spec.scale / (spec.std[channel] ?? 1);
      return Float32Array.from({ length: 256 }, (_, pixel) => (pixel - (spec.mean[channel] ?? 0)) * factor);
    });
  }

  readonly names = (split: Split): readonly string[] => this.#folders[split]?.files ?? [];

  readonly geometry = (split: Split, index: number): Geometry | undefined => this.#geometry.get(`${split}:${index}`);

  count(split: Split): number {
    return this.names(split).length;
  }

  async read(split: Split, indices: readonly number[], dtype: DType): Promise<Tensor> {
    const { size } = this.#spec;
    const perSample = size[0] * size[1] * channelCount(this.#spec);
    const values = new Float32Array(indices.length * perSample);
    await Promise.all(
      indices.map(async (index, place) => {
        const { pixels, geometry } = await this.#decode(split, index);
        this.#geometry.set(`${split}:${index}`, geometry);
        this.#prepare(pixels, values.subarray(place * perSample, (place + 1) * perSample));
      }),
    );
    const shape = this.shape.map((dim) => dim ?? indices.length);
    return tensorOfNumbers(dtype, shape, values);
  }

  readonly prefetch = async (split: Split, indices: readonly number[]): Promise<void> => {
    const { size } = this.#spec;
    const fitting = Math.floor(prefetchedBytes / (size[0] * size[1] * channelCount(this.#spec)));
    await Promise.all(
      indices.slice(0, fitting).map(async (index) => {
        const key = `${split}:${index}`;
        if (this.#ahead.has(key)) return;
        try {
          const { decoded } = await startDecoding(this.#path(split, index), this.#spec);
          // A picture that cannot be decoded fails when it is read.
          decoded.catch(() => this.#ahead.delete(key));
          this.#ahead.set(key, decoded);
        } catch (error) {
          if (!(error instanceof Error)) throw error;
        }
      }),
    );
  };

  async digest(split: Split, index: number): Promise<string> {
    return digestOf(await readFile(this.#path(split, index)));
  }

  async close(): Promise<void> {
    // Files are opened one at a time: no other thing is held.
    this.#ahead.clear();
  }

  #path(split: Split, index: number): string {
    return join(this.#folders[split]?.dir ?? '', this.names(split)[index] ?? '');
  }

  async #decode(split: Split, index: number): Promise<Decoded> {
    const path = this.#path(split, index);
    const key = `${split}:${index}`;
    const ahead = this.#ahead.get(key);
    this.#ahead.delete(key);
    try {
      if (ahead) return await ahead;
      return await decodeImage(path, this.#spec);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new BadSample(
        index,
        `The picture ${path} cannot be decoded: ${(error as Error).message.split('\n', 1)[0]}.`,
        {
          cause: error,
        },
      );
    }
  }

  /**
   * (pixel − mean) · scale / std, in the wanted channel order and layout. The main thread does this while the runtime waits, so colours go in
   * one walk over the pixels: half the time of three.
   */
  #prepare(pixels: Uint8Array, target: Float32Array): void {
    const { channels: order, layout, size } = this.#spec;
    const [first, second, third] = this.#values;
    if (!first) return;
    const plane = size[0] * size[1];
    if (!second || !third) {
      for (let pixel = 0; pixel < plane; pixel++) target[pixel] = first[pixels[pixel] as number] as number;
      return;
    }
    const [step, stride] = layout === 'NCHW' ? [1, plane] : [3, 1];
    const [one, three] = order === 'BGR' ? [2, 0] : [0, 2];
    for (let pixel = 0, from = 0, to = 0; pixel < plane; pixel++, from += 3, to += step) {
      target[to] = first[pixels[from + one] as number] as number;
      target[to + stride] = second[pixels[from + 1] as number] as number;
      target[to + 2 * stride] = third[pixels[from + three] as number] as number;
    }
  }
}

export function channelCount(spec: ImageSpec): number {
  return spec.channels === 'GRAY' ? 1 : 3;
}
