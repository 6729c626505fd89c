/** Values that the server must not take for others: bits, bytes and lists of every kind, and what recorded cases say of a model. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { literalPath } from '../../src/target/literal.ts';
import { tempDir } from './support/temp.ts';

async function load<T>(name: string): Promise<T> {
  return (await import(literalPath('server', `lib/${name}.mjs`))) as T;
}

interface Recorded {
  readonly name: string;
  readonly dtype: string;
  readonly shape: number[];
  readonly bytes: Buffer;
  readonly tolerance?: { rtol: number; atol: number };
}
type Data = Uint16Array | Float32Array | string[];
type Results = Record<string, { dims: number[]; data: Data }>;

const bytesOf = (data: Uint16Array | Float32Array): Buffer => Buffer.from(data.slice().buffer);

describe('recorded cases', async () => {
  const { proveItself, usefulRows } = await load<{
    proveItself(run: (feeds: unknown) => Promise<Results>, golden: object[]): Promise<void>;
    usefulRows(
      run: (feeds: { shape: number[]; data: Uint16Array }[]) => Promise<Results>,
      about: object,
    ): Promise<object>;
  }>('warm-up');
  const tolerance = { rtol: 1e-3, atol: 0 };
  const prove = (want: Recorded, got: Data): Promise<void> =>
    proveItself(async () => ({ y: { dims: want.shape, data: got } }), [{ inputs: [], outputs: [want], tolerance }]);
  const y = (dtype: string, bytes: Buffer, shape = [2]): Recorded => ({ name: 'y', dtype, shape, bytes });

  it('are held against half-precision numbers, 16-bit integers and texts, too', async () => {
    const halves = y('float16', bytesOf(Uint16Array.of(0x3c00, 0xbc00)));
    await prove(halves, Uint16Array.of(0x3c00, 0xbc00));
    await expect(prove(halves, Uint16Array.of(0x3c00, 0x3c00))).rejects.toThrow('"y" is 1 at element 1 instead of -1');
    const shorts = y('uint16', bytesOf(Uint16Array.of(1000, 7)));
    await expect(prove(shorts, Uint16Array.of(1000, 9))).rejects.toThrow('is 9 at element 1 instead of 7');
    const texts = y('string', Buffer.from('\x01\0\0\0a\x01\0\0\0b', 'latin1'));
    await prove(texts, ['a', 'b']);
    await expect(prove(texts, ['a', 'c'])).rejects.toThrow('is c at element 1 instead of b');
  });

  it('do not let an infinity stand for all numbers, and have tolerances of their own', async () => {
    const floats = y('float32', bytesOf(Float32Array.of(Number.POSITIVE_INFINITY, 1)));
    await prove(floats, Float32Array.of(Number.POSITIVE_INFINITY, 1.0005));
    await expect(prove(floats, Float32Array.of(Number.POSITIVE_INFINITY, 5))).rejects.toThrow('is 5 at element 1');
    await expect(prove(floats, Float32Array.of(3, 1))).rejects.toThrow('is 3 at element 0 instead of Infinity');
    await prove({ ...floats, tolerance: { rtol: 0, atol: 10 } }, Float32Array.of(Number.POSITIVE_INFINITY, 5));
  });

  it('show where rows of half-precision numbers depend on each other', async () => {
    // Each row less the first one of its run.
    const run = async ([feed]: { shape: number[]; data: Uint16Array }[]): Promise<Results> => {
      const { shape, data } = feed as { shape: number[]; data: Uint16Array };
      return { y: { dims: shape, data: data.map((_, i) => (i === 0 ? data.length << 10 : 0x3c00)) } };
    };
    const x = { name: 'x', dtype: 'float16', shape: [1, 1], bytes: bytesOf(Uint16Array.of(0x3c00)) };
    const about = {
      info: { inputs: [{ name: 'x', shape: ['n', 1] }], outputs: [{ name: 'y', shape: ['n', 1] }] },
      golden: [{ inputs: [x], outputs: [y('float16', bytesOf(Uint16Array.of(0x400)), [1, 1])], tolerance }],
      limit: 0,
      budgetMs: 1,
    };
    expect(await usefulRows(run, about)).toMatchObject({ rows: 1, why: expect.stringContaining('rows depend') });
  });
});

describe('half-precision numbers', async () => {
  const { ortTensor, elementsOf } = await load<{
    ortTensor(Tensor: object, feed: object): { data: unknown };
    elementsOf(tensor: object): unknown;
  }>('half');

  it('go to ONNX Runtime and come back as their bits, whatever its tensors make of them', () => {
    const bits = Uint16Array.of(0x3c00, 0xc000);
    // As it is from Node.js 24 on, where this would be a Float16Array.
    class Halves extends Int16Array {}
    class Tensor {
      readonly type: string;
      readonly cpuData: Int16Array;
      constructor(type: string, data: Uint16Array) {
        this.type = type;
        this.cpuData = new Halves(data.buffer as ArrayBuffer, data.byteOffset, data.length);
      }
      get data(): Int16Array {
        return this.cpuData;
      }
    }
    expect(ortTensor(Tensor, { dtype: 'float16', data: bits, shape: [2] }).data).toBe(bits);
    expect(elementsOf(new Tensor('float16', bits))).toEqual(bits);
  });
});

describe('requests', async () => {
  const { fromBytes } = await load<{ fromBytes(name: string, bytes: Buffer, count: number): unknown }>('datatypes');
  const { readInstances, writePredictions } = await load<{
    readInstances(info: object, body: object): unknown;
    writePredictions(info: object, outputs: object[], results: object): unknown;
  }>('instances');
  const { readRequest } = await load<{
    readRequest(info: object, body: Buffer, header: string | undefined): unknown;
  }>('request');
  const { readNpy } = await load<{
    readNpy(info: object, body: Buffer): { feeds: { shape: number[]; data: Float32Array }[] };
  }>('npy');
  const x = { name: 'x', dtype: 'float32', datatype: 'FP32', shape: ['n', 4] };
  const info = { inputs: [x], outputs: [] };

  it('do not replace bytes that are no text', () => {
    const bytes = Buffer.from([2, 0, 0, 0, 0xc3, 0xa9, 1, 0, 0, 0, 0xe9]);
    expect(fromBytes('BYTES', bytes.subarray(0, 6), 1)).toEqual(['é']);
    expect(() => fromBytes('BYTES', bytes, 2)).toThrow('UTF-8');
  });

  it('do not drop the elements of an instance that comes behind an empty one', () => {
    const rows = { inputs: [{ ...x, shape: ['n', 'length'] }], outputs: [] };
    expect(() => readInstances(rows, { instances: [[], [1, 2, 3]] })).toThrow('"x" is empty in one instance');
    expect(readInstances(rows, { instances: [[], []] })).toMatchObject({ feeds: [{ shape: [2, 0] }] });
  });

  it('are no predictions for each instance where outputs have different numbers of rows', () => {
    const output = (name: string, dims: number[], data: Float32Array | string[]): [object, object] => [
      { tensor: { name, datatype: Array.isArray(data) ? 'BYTES' : 'FP32' } },
      { dims, data },
    ];
    const two = Float32Array.of(1, 2);
    const write = (...rows: [string, number[], Float32Array | string[]][]): unknown => {
      const made = rows.map((row) => output(...row));
      const results = Object.fromEntries(rows.map(([name], i) => [name, made[i]?.[1]]));
      return writePredictions(
        info,
        made.map(([one]) => one),
        results,
      );
    };
    expect(write(['a', [2], two], ['b', [2], two])).toEqual({
      predictions: [
        { a: 1, b: 1 },
        { a: 2, b: 2 },
      ],
    });
    expect(write(['a', [], Float32Array.of(1)], ['b', [], ['x']])).toEqual({ predictions: [{ a: 1, b: 'x' }] });
    expect(() => write(['a', [2], two], ['b', [1], two])).toThrow('"a" has 2 rows and "b" 1');
    expect(() => write(['a', [2], two], ['b', [], ['xy']])).toThrow('"a" has 2 rows and "b" no');
    expect(() => write(['a', [], two], ['b', [2], two])).toThrow('"a" has no rows and "b" 2');
  });

  it('are none of a model without inputs', () => {
    expect(() => readRequest({ inputs: [], outputs: [] }, Buffer.alloc(4), '0')).toThrow('a raw body needs a model');
  });

  it('of numpy are arrays with a head, not elements from the first byte on', () => {
    const npy = (head: string, version = 1): Buffer => {
      const text = Buffer.from(`${head.padEnd(117)}\n`, 'latin1');
      const length = Buffer.alloc(version === 1 ? 2 : 4);
      length.writeUInt16LE(text.length);
      const start = Buffer.concat([Buffer.from(`\x93NUMPY${String.fromCharCode(version)}\0`, 'latin1'), length]);
      return Buffer.concat([start, text, bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8))]);
    };
    const head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }";
    for (const version of [1, 2]) {
      const [feed] = readNpy(info, npy(head, version)).feeds;
      expect([feed?.shape, [...(feed?.data ?? [])]]).toEqual([
        [2, 4],
        [1, 2, 3, 4, 5, 6, 7, 8],
      ]);
    }
    for (const [wrong, why] of [
      [head.replace('<f4', '<f8'), 'has datatype FP32, not "FP64"'],
      [head.replace('<f4', '>f4'), 'elements of ">f4"'],
      [head.replace('False', 'True'), 'Fortran order'],
      [head.replace('(2, 4)', '(4, 2)'), 'has shape [n, 4], not [4, 2]'],
      [head.replace('(2, 4)', '(3, 4)'), '12 elements of FP32 take 48 bytes'],
      ['{}', 'cannot be read'],
    ] as const) {
      expect(() => readNpy(info, npy(wrong))).toThrow(why);
    }
    expect(() => readNpy(info, Buffer.alloc(32))).toThrow('does not begin as a .npy file');
  });
});

describe('models of several files', async () => {
  const { modelDigest } = await load<{ modelDigest(manifest: object): string }>('model');

  it('are told apart by their weights', () => {
    const manifest = (weights: string): object => ({
      model: { sha256: 'a', files: [{ path: 'model/m.onnx' }, { path: 'model/m.data' }] },
      files: [
        { path: 'model/m.onnx', sha256: 'a' },
        { path: 'model/m.data', sha256: weights },
      ],
    });
    expect(modelDigest(manifest('b'))).not.toBe(modelDigest(manifest('c')));
    const one = { model: { sha256: 'a', files: [{ path: 'm' }] }, files: [{ path: 'm', sha256: 'a' }] };
    expect(modelDigest(one)).toBe('a');
  });
});

describe('settings', async () => {
  const { readConfig } = await load<{ readConfig(env: Record<string, string>): { keys: object[] } }>('config');

  it('do not open the server to everybody where keys are named and none are there', async () => {
    const empty = join(await tempDir(), 'keys');
    await writeFile(empty, '# none yet\n');
    expect(() => readConfig({ API_KEYS_FILE: empty })).toThrow(`API_KEYS: there is no key in "${empty}"`);
    expect(() => readConfig({ ADMIN_KEYS: ' , ' })).toThrow('ADMIN_KEYS: there is no key in " , "');
    expect(readConfig({ API_KEYS: '' }).keys).toEqual([]);
  });
});

describe('looking for versions', async () => {
  const { Models } = await load<{
    Models: new (services: object) => { scan(): Promise<void>; index(): { name: string }[] };
  }>('models');

  it('says once what is set and not here', async () => {
    const root = await tempDir();
    const told: object[] = [];
    const models = new Models({
      config: { modelsDir: join(root, 'models'), keepVersions: 2, shadow: '7', fallback: 'previous' },
      log: { warn: (about: object) => told.push(about) },
    });
    await models.scan();
    await models.scan();
    const [folder, shadow] = [{ MODELS_DIR: join(root, 'models') }, { SHADOW_VERSION: '7' }];
    expect(told).toEqual([folder, shadow]);
    await mkdir(join(root, 'models'));
    await models.scan();
    await rm(join(root, 'models'), { recursive: true });
    await models.scan();
    expect(told).toEqual([folder, shadow, folder]);
  });

  it('looks again for who asks while it looks', async () => {
    const root = await tempDir();
    const put = (model: string): void => {
      mkdirSync(join(root, model, '1'), { recursive: true });
      writeFileSync(join(root, model, '1/mlpack.json'), '{}');
    };
    put('a');
    let second: Promise<void> | undefined;
    const models = new Models({
      config: { modelsDir: root, keepVersions: 2 },
      metrics: {
        // In the middle of the first look, which knows of no "b".
        loadFailed() {
          if (second) return;
          put('b');
          second = models.scan();
        },
      },
      log: { error: () => {}, info: () => {} },
    });
    await models.scan();
    expect(models.index().map(({ name }) => name)).toEqual(['a']);
    await second;
    expect(models.index().map(({ name }) => name)).toEqual(['a', 'b']);
  });
});
