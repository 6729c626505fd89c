import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSession } from '../../src/engine/session.ts';
import { tensorFrom, tensorFromBytes, typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { npyFile } from '../data/npy-file.ts';
import { runCli } from './support.ts';

const model = fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url));
const data = fileURLToPath(new URL('../../models/digits/eval', import.meta.url));

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A reader of its own: the format is eight bytes of length, JSON, data. */
function readShard(path: string) {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8')) as Record<string, Entry> & {
    readonly __metadata__: Readonly<Record<string, string>>;
  };
  const dataOf = (name: string): Uint8Array => {
    const [from, to] = header[name]?.data_offsets ?? [0, 0];
    return new Uint8Array(bytes.subarray(8 + length + from, 8 + length + to));
  };
  return { header, dataOf, length };
}

describe('export-teacher', () => {
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'mlpack-teacher-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const run = (...args: string[]) => runCli(['export-teacher', model, '-d', data, ...args], { cwd: dir });
  const manifestOf = (out: string) =>
    JSON.parse(readFileSync(join(dir, out, 'teacher.json'), 'utf8')) as {
      complete: boolean;
      shards: { file: string; samples: number; sha256: string }[];
      hidden: string[];
    };

  it('writes what the model takes and gives, and inner values by name', async () => {
    const session = await openSession(model);
    const input = session.inputs[0]?.name ?? '';
    const output = session.outputs[0]?.name ?? '';
    const inner = (await loadModel(model)).graph.lastNode?.input(0)?.name ?? '';
    const { code, stderr } = await run(
      '-o',
      'a',
      '--hidden',
      inner,
      '--split',
      'eval',
      '--samples',
      '60',
      '--batch',
      '16',
      '--shard',
      '32',
      '-q',
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { complete, shards, hidden } = manifestOf('a');
    expect(hidden).toEqual([inner]);
    expect(complete).toBe(true);
    expect(shards.map(({ samples }) => samples)).toEqual([32, 28]);
    const { header, dataOf, length } = readShard(join(dir, 'a', 'shard-00001.safetensors'));
    expect(length % 8).toBe(0);
    expect(JSON.parse(header.__metadata__['sizes'] ?? '')).toEqual([16, 12]);
    const x = header[`00001.inputs.${input}`];
    const y = header[`00001.outputs.${output}`];
    if (!x || !y) throw new Error(`no tensors in ${Object.keys(header).join()}`);
    expect(header['00001.labels.labels']?.shape).toEqual([12]);
    expect(header[`00001.hidden.${inner}`]?.shape[0]).toBe(x.shape[0]);
    const feeds = new Map([[input, tensorFromBytes('float32', x.shape, dataOf(`00001.inputs.${input}`))]]);
    const result = (await session.run(feeds)).get(output);
    await session.dispose();
    expect(
      Array.from(typedArray(tensorFromBytes('float32', y.shape, dataOf(`00001.outputs.${output}`)), 'float32')),
    ).toEqual(Array.from(typedArray(result as never, 'float32')));
  }, 60_000);

  it('goes on where it stopped, to the same bytes; damaged shards are made again', async () => {
    const options = ['--split', 'eval', '--samples', '96', '--batch', '16', '--shard', '32', '--half', '-q'];
    expect((await run('-o', 'whole', ...options)).code).toBe(0);
    expect((await run('-o', 'cut', ...options)).code).toBe(0);
    const whole = manifestOf('whole');
    writeFileSync(join(dir, 'cut', 'shard-00001.safetensors'), 'damaged');
    writeFileSync(join(dir, 'cut', 'teacher.json'), JSON.stringify({ ...manifestOf('cut'), complete: false }));
    const again = await runCli(['export-teacher', model, '-d', data, '-o', 'cut', ...options.slice(0, -1)], {
      cwd: dir,
    });
    expect(again.code).toBe(0);
    expect(again.stderr).toContain('goes on behind 32 of 96 samples');
    expect(manifestOf('cut')).toEqual(whole);
    for (const { file } of whole.shards)
      expect(readFileSync(join(dir, 'cut', file)).equals(readFileSync(join(dir, 'whole', file)))).toBe(true);
    const { header } = readShard(join(dir, 'whole', 'shard-00000.safetensors'));
    const outputs = Object.entries(header).filter(([name]) => name.includes('.outputs.'));
    expect(outputs.every(([, { dtype }]) => dtype === 'F16')).toBe(true);
  }, 60_000);

  it('refuses --half where a number would become infinite, and keeps infinities that are there', async () => {
    const large = async (factor: number, file: string): Promise<void> => {
      const teacher = await loadModel(model);
      const [scores] = teacher.graph.outputs;
      const constant = teacher.graph.addInitializer('factor', tensorFrom('float32', [], Float32Array.of(factor)));
      const types = scores?.type ? [scores.type] : [];
      const node = teacher.graph.append('Mul', { inputs: [scores, constant], outputs: ['masked'], types });
      teacher.graph.addOutput(node.output());
      writeFileSync(join(dir, file), encodeModel(teacher));
    };
    const teach = (file: string, ...args: string[]) =>
      runCli(['export-teacher', file, '-d', data, '--split', 'eval', '--samples', '8', '-q', ...args], { cwd: dir });
    await large(1e9, 'large.onnx');
    const refused = await teach('large.onnx', '--half', '-o', 'large');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/"masked" reaches -?\d.*, more than float16 holds \(65504\): leave --half out/);
    expect((await teach('large.onnx', '--force', '-o', 'large')).code).toBe(0);
    await large(Number.POSITIVE_INFINITY, 'infinite.onnx');
    expect((await teach('infinite.onnx', '--half', '-o', 'infinite')).code).toBe(0);
  }, 60_000);

  it('writes Parquet with a row for each sample, and goes on where a run was stopped, to the same bytes', async () => {
    const options = ['--split', 'eval', '--samples', '60', '--batch', '16', '--shard', '32', '--format', 'parquet'];
    expect((await run('-o', 'rows', ...options, '-q')).code).toBe(0);
    const { shards } = manifestOf('rows');
    expect(shards.map(({ file, samples }) => [file, samples])).toEqual([
      ['shard-00000.parquet', 32],
      ['shard-00001.parquet', 28],
    ]);
    expect((await run('-o', 'same', ...options.slice(0, -2), '-q')).code).toBe(0);
    const { header, dataOf } = readShard(join(dir, 'same', 'shard-00001.safetensors'));
    const file = readFileSync(join(dir, 'rows', 'shard-00001.parquet'));
    const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
    const metadata = parquetMetadata(buffer);
    const rows = await parquetReadObjects({ file: buffer, utf8: false });
    expect(rows.map(({ batch }) => Number(batch))).toEqual([...Array(16).fill(0), ...Array(12).fill(1)]);
    const dtypes = JSON.parse(metadata.key_value_metadata?.find(({ key }) => key === 'dtypes')?.value ?? '') as object;
    const names = Object.keys(dtypes);
    expect(names).toContain('labels.labels');
    for (const name of names) {
      const own = rows.filter(({ batch }) => Number(batch) === 1).map((row) => row[name] as Uint8Array);
      const entry = header[`00001.${name}`];
      const wanted = dataOf(`00001.${name}`);
      const each = wanted.byteLength / (entry?.shape[0] ?? 0);
      expect(Buffer.concat(own).equals(wanted.subarray(0, 12 * each)), name).toBe(true);
      expect(JSON.parse(String(rows.at(-1)?.['shapes']))[name]).toEqual(entry?.shape.slice(1));
    }
    // Stopped behind the first shard, the second half written.
    expect((await run('-o', 'cut-rows', ...options, '-q')).code).toBe(0);
    const whole = manifestOf('cut-rows');
    writeFileSync(join(dir, 'cut-rows', 'shard-00001.parquet'), file.subarray(0, 100));
    writeFileSync(
      join(dir, 'cut-rows', 'teacher.json'),
      JSON.stringify({ ...whole, complete: false, shards: whole.shards.slice(0, 1) }),
    );
    const again = await run('-o', 'cut-rows', ...options);
    expect(again.stderr).toContain('goes on behind 32 of 60 samples');
    expect(manifestOf('cut-rows')).toEqual(whole);
    expect(readFileSync(join(dir, 'cut-rows', 'shard-00001.parquet')).equals(file)).toBe(true);
    const other = await run('-o', 'cut-rows', ...options.slice(0, -2), '-q');
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('other options') });
  }, 60_000);

  it('does not take an axis of time for the one of samples', async () => {
    const timed = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[4,3] x) => (float[4,6] y) <float[3,6] w = random(1)> {
  m = MatMul (x, w)
  h = Transpose <perm = [1, 0]> (m)
  y = Transpose <perm = [1, 0]> (h)
}`);
    const folder = join(dir, 'timed');
    mkdirSync(folder);
    writeFileSync(join(folder, 'm.onnx'), encodeModel(timed));
    writeFileSync(
      join(folder, 'x.npy'),
      npyFile(
        '<f4',
        [10, 3],
        Float32Array.from({ length: 30 }, (_, at) => at),
      ),
    );
    const described = { schema: 'mlpack.dataset/1', name: 'd', inputs: { x: { file: 'x.npy' } }, metric: 'agreement' };
    writeFileSync(join(folder, 'dataset.json'), JSON.stringify(described));
    const teach = (out: string, ...more: string[]) =>
      runCli(['export-teacher', 'm.onnx', '-d', '.', '--hidden', 'h', '-o', out, '-q', ...more], { cwd: folder });
    expect((await teach('batches')).stderr).toBe('');
    const { header } = readShard(join(folder, 'batches', 'shard-00000.safetensors'));
    const { sizes, rows } = header.__metadata__;
    expect([sizes, rows]).toEqual(['[4,4,2]', '[4,4,4]']);
    expect(header['00002.hidden.h']?.shape).toEqual([6, 4]);
    // Eight samples fill their batches: the first four of six steps were written as rows of the four samples.
    const refused = await teach('rows', '--format', 'parquet', '--samples', '8');
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"h" has the shape [6, 4], which has no'),
    });
  });

  it('says in a sentence what it cannot do', async () => {
    const failing = async (...args: string[]) => {
      const { code, stderr } = await run(...args, '-q');
      expect(code).toBe(2);
      return stderr;
    };
    expect(await failing()).toContain('where should the result go?');
    expect(await failing('-o', 'b', '--hidden', 'nothing')).toContain(
      'no node or value of the model is called "nothing"',
    );
    expect((await run('-o', 'c', '--split', 'eval', '--samples', '8', '-q')).code).toBe(0);
    expect(await failing('-o', 'c', '--split', 'eval', '--samples', '9')).toContain(
      'other options; give another --out, or --force',
    );
    writeFileSync(join(dir, 'c', 'teacher.json'), '{');
    expect(await failing('-o', 'c')).toContain('is no JSON');
    expect(await failing('-o', 'c/train.py')).toContain('is not a folder');
    expect((await run('-o', 'c', '--split', 'eval', '--samples', '9', '--force', '-q')).code).toBe(0);
    expect(manifestOf('c').shards.map(({ samples }) => samples)).toEqual([9]);
    // Anew in another format: nothing of the first one is left.
    const anew = ['-o', 'c', '--split', 'eval', '--samples', '8', '--force', '-q'];
    expect((await run(...anew, '--format', 'parquet')).code).toBe(0);
    expect((await run(...anew)).code).toBe(0);
    expect(readdirSync(join(dir, 'c')).filter((name) => name.endsWith('.parquet'))).toEqual([]);
  }, 60_000);
});
