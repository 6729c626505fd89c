import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import { resample } from '../kernels/resample.ts';
import { tensorOfNumbers } from './cast.ts';
import { type Features, openFeatures } from './features.ts';
import { type Folder, listFiles } from './image-source.ts';
import { BadSample, digestOf, type Source, type Split } from './source.ts';
import type { AudioSpec } from './specs.ts';
import { isTable, openTable } from './table.ts';
import { readWav } from './wav.ts';

const endings: ReadonlySet<string> = new Set(['.wav', '.wave']);

/** Ten hours of sound at 16 kHz: a file of more is no sample. */
const mostBytes = 2 ** 31;

/**
 * Samples that are sound files: of a folder and the folders in it, or named by a column of a table (relative to the table).
 * @throws UserError when there are none
 */
export async function openAudioSource(
  name: string,
  spec: AudioSpec,
  resolve: (file: string) => Promise<string>,
): Promise<Source> {
  const list = async (source: string): Promise<Folder> => {
    const path = await resolve(source);
    if ((await stat(path)).isFile()) {
      if (!isTable(path))
        throw new UserError(
          'dataset-audio',
          `Input "${name}": "${source}" is neither a folder of sounds nor a table that names them.`,
        );
      const table = await openTable(path, [spec.column]);
      const files = table.column(spec.column).map(String);
      const base = dirname(source);
      for (const file of files) await resolve(join(base, file));
      return { dir: dirname(path), files };
    }
    const files = await listFiles(path, endings, `Input "${name}": the sound folder`);
    if (files.length === 0)
      throw new UserError('dataset-empty', `Input "${name}": there are no sounds (.wav) in ${path}.`);
    return { dir: path, files };
  };
  const evaluation = await list(spec.source);
  const calibration = spec.calibration === undefined ? undefined : await list(spec.calibration);
  const features = spec.features === undefined ? undefined : await openFeatures(await resolve(spec.features));
  // The extractor alone knows the shape of what it makes: one sample tells.
  const source = new AudioSource(spec, { eval: evaluation, calibration }, features);
  await source.learnShape();
  return source;
}

class AudioSource implements Source {
  readonly dtype: DType;
  #shape: readonly (number | null)[];
  readonly #spec: AudioSpec;
  readonly #folders: Readonly<Record<Split, Folder | undefined>>;
  readonly #features: Features | undefined;

  constructor(spec: AudioSpec, folders: Readonly<Record<Split, Folder | undefined>>, features: Features | undefined) {
    this.#spec = spec;
    this.#folders = folders;
    this.#features = features;
    this.dtype = spec.dtype ?? 'float32';
    this.#shape = [null, spec.length ?? null];
  }

  get preparation(): string | undefined {
    return this.#features?.digest;
  }

  get shape(): readonly (number | null)[] {
    return this.#shape;
  }

  readonly names = (split: Split): readonly string[] => this.#folders[split]?.files ?? [];

  count(split: Split): number {
    return this.names(split).length;
  }

  /** @throws UserError when the extractor cannot be run */
  async learnShape(): Promise<void> {
    if (!this.#features) return;
    const made = await this.#features.extract(new Float32Array(this.#spec.length ?? this.#spec.sampleRate));
    this.#shape = [
      null,
      ...made.shape.slice(0, -1),
      this.#spec.length === undefined && !this.#features.isFixed ? null : (made.shape.at(-1) ?? null),
    ];
  }

  async read(split: Split, indices: readonly number[], dtype: DType): Promise<Tensor> {
    const sounds = await Promise.all(indices.map((index) => this.#sound(split, index)));
    const length = this.#spec.length ?? Math.max(1, ...sounds.map((sound) => sound.length));
    const padded = sounds.map((sound) => {
      if (sound.length === length) return sound;
      const fixed = new Float32Array(length);
      fixed.set(sound.subarray(0, length));
      return fixed;
    });
    const features = this.#features;
    const rows = features
      ? await Promise.all(padded.map((sound) => features.extract(sound)))
      : padded.map((values) => ({ values, shape: [length] }));
    const shape = rows[0]?.shape ?? [length];
    const size = rows[0]?.values.length ?? 0;
    const values = new Float32Array(rows.length * size);
    for (const [row, made] of rows.entries()) values.set(made.values, row * size);
    return tensorOfNumbers(dtype, [rows.length, ...shape], values);
  }

  async digest(split: Split, index: number): Promise<string> {
    return digestOf(await readFile(this.#path(split, index)));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #path(split: Split, index: number): string {
    return join(this.#folders[split]?.dir ?? '', this.names(split)[index] ?? '');
  }

  async #sound(split: Split, index: number): Promise<Float32Array> {
    const path = this.#path(split, index);
    try {
      const { size } = await stat(path);
      if (size > mostBytes) throw new Error(`it has ${size} bytes; at most ${mostBytes} are read`);
      const { samples, sampleRate } = readWav(await readFile(path));
      return resample(samples, sampleRate, this.#spec.sampleRate);
    } catch (error) {
      throw new BadSample(index, `The sound ${path} cannot be read: ${(error as Error).message}.`, { cause: error });
    }
  }
}
