/** The plain JavaScript that bundles carry, tested part by part outside of them. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { enlarge } from '../../src/kernels/enlarge.ts';
import { fromHalf, toHalf } from '../../src/kernels/f16.ts';
import { dependencyFile, literalPath } from '../../src/target/literal.ts';

async function load<T>(target: string, name: string): Promise<T> {
  return (await import(literalPath(target, name))) as T;
}

describe('half precision of the server', async () => {
  const half = await load<{ numberToHalf(x: number): number; halfToNumber(h: number): number }>(
    'server',
    'lib/half.mjs',
  );

  it('reads all 65,536 halves as the kernel does, and writes them back', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const number = half.halfToNumber(bits);
      if (!Object.is(number, fromHalf(bits))) throw new Error(`${bits} reads as ${number}`);
      if (!Number.isNaN(number) && half.numberToHalf(number) !== bits) throw new Error(`${number} does not come back`);
    }
  });

  it('rounds what lies between two halves as the kernel does', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const [low, high] = [fromHalf(bits), bits === 0x7bff ? 65536 : fromHalf(bits + 1)];
      for (const share of [0.25, 0.5, 0.75]) {
        const number = low + (high - low) * share;
        for (const value of [number, -number]) {
          if (half.numberToHalf(value) !== toHalf(value))
            throw new Error(`${value} becomes ${half.numberToHalf(value)}`);
        }
      }
    }
  });
});

describe('SHA-256 of the browser loader', async () => {
  const { plainSha256, sha256 } = await load<{
    readonly plainSha256: (bytes: Uint8Array) => Uint8Array;
    readonly sha256: (bytes: Uint8Array) => Promise<string>;
  }>('browser', 'mlpack-model/sha256.js');

  it('agrees with OpenSSL at every length around the block borders', async () => {
    for (const length of [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 100_003]) {
      const bytes = Uint8Array.from({ length: length + 3 }, (_, i) => (i * 131) % 256).subarray(3);
      const expected = createHash('sha256').update(bytes).digest('hex');
      expect(Buffer.from(plainSha256(bytes)).toString('hex'), `${length} bytes`).toBe(expected);
      expect(await sha256(bytes)).toBe(expected);
    }
  });
});

describe('feeds of the browser loader', async () => {
  class Tensor {
    readonly type: string;
    readonly data: ArrayLike<unknown>;
    readonly dims: readonly number[];
    constructor(type: string, data: ArrayLike<unknown>, dims: readonly number[]) {
      this.type = type;
      this.data = data;
      this.dims = dims;
    }
  }
  type Feeds = Record<string, unknown>;
  const { toTensors } = await load<{
    readonly toTensors: (ort: { Tensor: typeof Tensor }, inputs: unknown[], feeds: Feeds) => Record<string, Tensor>;
  }>('browser', 'mlpack-model/tensors.js');
  const x = { name: 'x', dtype: 'float32', shape: ['batch', 2] };
  const convert = (feeds: Feeds, inputs: unknown[] = [x]) => toTensors({ Tensor }, inputs, feeds);

  it('takes lists, typed arrays and { data, dims }', () => {
    expect(convert({ x: [1, 2, 3, 4] }).x).toEqual(new Tensor('float32', Float32Array.of(1, 2, 3, 4), [2, 2]));
    const data = Float32Array.of(1, 2);
    expect(convert({ x: { data, dims: [1, 2] } }).x?.data).toBe(data);
    const ids = { name: 'ids', dtype: 'int64', shape: [2] };
    expect(convert({ ids: [1, 2n] }, [ids]).ids).toEqual(new Tensor('int64', BigInt64Array.of(1n, 2n), [2]));
    const text = { name: 'text', dtype: 'string', shape: [1] };
    expect(convert({ text: ['a'] }, [text]).text?.data).toEqual(['a']);
  });

  it('turns numbers into halves where the browser has no type for them', () => {
    const h = { name: 'h', dtype: 'float16', shape: [6] };
    const values = [0, 1, -2.5, 65504, 1e9, 2 ** -24];
    const halves = (feed: number[], shape: number[]) =>
      Array.from(convert({ h: feed }, [{ ...h, shape }]).h?.data ?? []);
    expect(halves(values, [6])).toEqual(values.map(toHalf));
    for (let bits = 0; bits < 0x7c00; bits += 7) {
      const between = fromHalf(bits) * 0.75 + fromHalf(bits + 1) * 0.25;
      expect(halves([between], [1])).toEqual([toHalf(between)]);
    }
  });

  it.each<[string, Feeds, string]>([
    ['an unknown input', { y: [1] }, 'The model has no input "y"; it has "x".'],
    ['nothing', {}, 'Input "x" is missing.'],
    ['a number', { x: 1 }, 'neither a list nor'],
    ['a length that fits no shape', { x: [1, 2, 3] }, 'has shape [batch, 2]'],
    ['wrong dims', { x: { data: [1, 2], dims: [2, 1] } }, 'has shape [batch, 2], not [2, 1]'],
    ['too few elements', { x: { data: [1, 2], dims: [2, 2] } }, '[2, 2] asks for 4 elements, and data has 2'],
    ['another typed array', { x: Float64Array.of(1, 2) }, 'give a Float32Array, not a Float64Array'],
  ])('refuses %s with a typed error', (_, feeds, message) => {
    expect(() => convert(feeds)).toThrow(message);
    expect(() => convert(feeds)).toThrow(expect.objectContaining({ name: 'ModelError', code: 'input' }));
  });
});

describe('log-mel frames of the browser loader', async () => {
  const { logMel } = await load<{ logMel(sound: Float32Array, how: Record<string, number>): Float32Array }>(
    'browser',
    'mlpack-model/prepare/log-mel.js',
  );

  it('are those of the extractor in transformers.js', async () => {
    const { WhisperFeatureExtractor } = await import('@huggingface/transformers');
    const config = {
      feature_size: 80,
      hop_length: 160,
      n_fft: 400,
      n_samples: 16_000,
      nb_max_frames: 100,
      sampling_rate: 16_000,
    };
    const extractor = new WhisperFeatureExtractor({ ...config, feature_extractor_type: 'WhisperFeatureExtractor' });
    const sound = Float32Array.from(
      { length: 12_345 },
      (_, i) => Math.sin(i * i * 3e-5) * 0.5 + Math.sin(i * 0.3) * 0.1,
    );
    const made = (await extractor._call(sound)) as { input_features: { data: Float32Array; dims: number[] } };
    const { data, dims } = made.input_features;
    expect(dims).toEqual([1, 80, 100]);
    const own = logMel(sound, { mels: 80, window: 400, hop: 160, samples: 16_000, frames: 100, sampleRate: 16_000 });
    let worst = 0;
    for (const [i, value] of data.entries()) worst = Math.max(worst, Math.abs(value - (own[i] ?? Number.NaN)));
    expect(worst).toBeLessThan(1e-4);
  });
});

describe('answers of the browser loader', async () => {
  type Output = { readonly data: readonly number[]; readonly dims: readonly number[]; readonly type: string };
  const { answerOf } = await load<{
    answerOf(model: object, outputs: Record<string, Output>): readonly { readonly label: string }[] | undefined;
  }>('browser', 'mlpack-model/answer.js');
  const of = (dims: number[]) =>
    answerOf({ labels: ['a', 'b'] }, { y: { data: [1, 3, 9, 2, 9, 2], dims, type: 'float32' } })?.[0]?.label;

  it('are the classes of a row, and not those of its first token', () => {
    expect(of([3, 2])).toBe('b');
    expect(of([1, 1, 2])).toBe('b');
    expect(of([1, 3, 2])).toBeUndefined();
  });
});

describe('the comparison of the self test in the page', async () => {
  const { compare } = await load<{
    compare(got: unknown[], want: unknown[], tolerance: { rtol: number; atol: number }): { readonly ok: boolean };
  }>('browser', 'golden.js');
  const same = (got: unknown, want: unknown) => compare([got], [want], { rtol: 0.1, atol: 0.01 }).ok;

  it('takes numbers within the tolerance, and texts that are the same', () => {
    expect([same(1.05, 1), same(1.5, 1), same(5n, 5n), same('a', 'a')]).toEqual([true, false, true, true]);
    expect([same('1', '1.0'), same('', '0')]).toEqual([false, false]);
  });
});

describe('a folder of the browser loader', () => {
  let dir: string;
  const broken = new Map<string, Response | Error>();
  const asked: { readonly name: string; readonly cache: string | undefined }[] = [];
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mlpack-loader-'));
    await mkdir(join(dir, 'tokenizer'));
    const code = dependencyFile('@huggingface/tokenizers', '0.2.0', 'dist/tokenizers.min.mjs').place;
    await copyFile(code, join(dir, 'tokenizer/tokenizers.min.mjs'));
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      await copyFile(join(import.meta.dirname, '../../models/intents', name), join(dir, 'tokenizer', name));
    vi.stubGlobal('navigator', { hardwareConcurrency: 1 });
    vi.stubGlobal('fetch', async (url: URL | string, { cache }: { readonly cache?: string } = {}) => {
      const path = fileURLToPath(new URL(url));
      const name = path.slice(dir.length + 1);
      asked.push({ name, cache });
      const answer = broken.get(name);
      if (answer instanceof Error) throw answer;
      return answer ?? new Response(await readFile(path));
    });
  });
  afterEach(() => broken.clear());
  afterAll(async () => {
    vi.unstubAllGlobals();
    await rm(dir, { recursive: true, force: true });
  });

  type Row = { readonly data: readonly number[]; readonly dims: readonly number[] };
  const text = async (field: unknown, length: number | null, most: number | null) => {
    const { prepare } = await load<{
      prepare(task: object, media: object, base: URL): Promise<{ feeds: Record<string, Row>; tokens: object }>;
    }>('browser', 'mlpack-model/prepare/text.js');
    const task = { feeds: { ids: { field: 'ids' }, x: { field } }, length, maxLength: most };
    return await prepare(task, { texts: ['what time is it'] }, pathToFileURL(`${dir}/`));
  };

  it('does not prepare texts by half a tokenizer when the network fails, and does when it is back', async () => {
    broken.set('tokenizer/tokenizer_config.json', new TypeError('the network is gone'));
    await expect(text('mask', 8, 8)).rejects.toThrow('the network is gone');
    broken.clear();
    const { feeds } = await text('mask', 8, 8);
    expect(feeds.x?.data).toEqual([1, 1, 1, 1, 1, 1, 0, 0]);
    expect(asked.filter(({ name }) => name.endsWith('.json')).every(({ cache }) => cache === 'no-cache')).toBe(true);
  });

  it('fills what is computed from the ids as the data set does, and says how many tokens a text has', async () => {
    expect((await text('range', 8, 8)).feeds.x?.data).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect((await text('positions', 8, 8)).feeds.x?.data).toEqual([0, 1, 2, 3, 4, 5, 0, 0]);
    const { feeds } = await text('ids', 8, 8);
    const [first = -1] = feeds.x?.data ?? [];
    expect((await text({ notEqual: first }, 8, 8)).feeds.x?.data).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
    expect((await text('mask', null, 4)).tokens).toEqual({ count: 6, most: 4 });
  });

  it('takes the next way where the browser itself refuses one', async () => {
    const file = (name: string) => ({ name, bytes: 0, sha256: '0', partBytes: 4, parts: [], pieces: [] });
    const way = (variant: string) => ({ variant, provider: 'wasm', features: [], bufferBytes: 0 });
    const variant = (name: string) => ({ name, files: [file(name)], bytes: 0, sessionOptions: {} });
    const description = {
      ...{ schema: 'mlpack.browser-model/2', name: 'm', inputs: [], outputs: [] },
      ...{ ways: [way('a'), way('b')], variants: [variant('a'), variant('b')] },
      runtimes: { wasm: { script: 'ort.mjs', mjs: 'glue.mjs', wasm: file('wasm') } },
    };
    await writeFile(join(dir, 'model.json'), JSON.stringify(description));
    await writeFile(
      join(dir, 'ort.mjs'),
      `let tries = 0;
export const env = { wasm: {} };
export const InferenceSession = {
  create: async () => {
    if (tries++ === 0) throw new DOMException('the device is lost', 'OperationError');
    return {};
  },
};`,
    );
    const { open } = await load<{
      open(options: object, hooks: object): Promise<{ about(): { variant: string; reasons: string[] } }>;
    }>('browser', 'mlpack-model/engine.js');
    const options = { base: pathToFileURL(`${dir}/`).href, provider: 'auto', cache: true };
    const about = (await open(options, { onProgress: () => undefined })).about();
    expect(about.variant).toBe('b');
    expect(about.reasons).toEqual(['a on wasm: the device is lost.']);
  });
});

describe('pictures brought to size in the page', async () => {
  const { resample } = await load<{
    resample(pixels: Uint8Array, from: object, to: object, kernel: string): Uint8ClampedArray;
  }>('browser', 'mlpack-model/prepare/resample.js');
  const edges = Uint8Array.of(0, 255, 0, 255, 255, 0, 0, 0, 255);
  const of = (kernel: string) =>
    Array.from(resample(edges, { width: 3, height: 3, count: 1 }, { width: 5, height: 5 }, kernel));

  it('are those of Pillow 12, whose passes hand over bytes', () => {
    const pillow = {
      bicubic: [
        ...[0, 89, 255, 102, 0, 101, 166, 255, 93, 0, 255, 255, 255, 89, 0],
        ...[101, 96, 89, 138, 166, 0, 0, 0, 172, 255],
      ],
      lanczos: [
        ...[0, 86, 247, 116, 8, 106, 184, 255, 93, 0, 247, 255, 255, 84, 0],
        ...[112, 99, 84, 140, 171, 0, 0, 0, 181, 255],
      ],
    };
    for (const [kernel, want] of Object.entries(pillow))
      expect(Math.max(...of(kernel).map((value, at) => Math.abs(value - (want[at] ?? -1)))), kernel).toBeLessThan(2);
  });

  it.each(['nearest', 'bilinear', 'bicubic', 'lanczos'] as const)(
    'grow as they do in data that is measured: %s',
    (kernel) => {
      const noise = Uint8Array.from({ length: 9 * 7 * 3 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 24) & 255);
      const whole = (from: number, to: number) => ({ from, to, start: 0, count: to });
      const measured = enlarge(noise, 3, whole(9, 20), whole(7, 13), kernel);
      const page = resample(noise, { width: 9, height: 7, count: 3 }, { width: 20, height: 13 }, kernel);
      expect(page.length).toBe(measured.length);
      expect(Math.max(...measured.map((value, i) => Math.abs(value - (page[i] ?? 999))))).toBeLessThan(2);
    },
  );

  it('take the element that Pillow takes where a centre lies between two', () => {
    const row = Uint8Array.from({ length: 80 }, (_, i) => i);
    const made = resample(row, { width: 80, height: 1, count: 1 }, { width: 180, height: 1 }, 'nearest');
    expect([4, 40, 49, 58, 103, 175].map((at) => made[at])).toEqual([2, 18, 21, 25, 45, 77]);
  });
});
