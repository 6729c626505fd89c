import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import type { Report } from '../../src/report/report.ts';
import { npyFile } from '../data/npy-file.ts';
import { tempDir } from '../targets/support/temp.ts';
import { runCli } from './support.ts';

let dir: string;
const run = (...args: string[]) => runCli(args, { cwd: dir });
const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
const folder = (name: string, more: object): void => {
  mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(
    join(dir, name, 'dataset.json'),
    JSON.stringify({ schema: 'mlpack.dataset/1', name: 'd', inputs: { x: { file: 'x.npy' } }, ...more }),
  );
};
const numbers = (file: string, values: readonly number[]): void =>
  writeFileSync(join(dir, file), npyFile('<f4', [values.length, 1], Float32Array.from(values)));

beforeAll(async () => {
  dir = await tempDir();
  const model = (name: string, body: string, width = 1): void =>
    writeFileSync(
      join(dir, name),
      encodeModel(
        parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[n,1] x) => (float[n,${width}] y) <float[1] half = {0.5}, float[1,32] a = random(1), float[32,${width}] b = random(2)> { ${body} }`),
      ),
    );
  model('classes.onnx', 'n = Neg (x) y = Concat <axis = 1> (n, x)', 2);
  model('value.onnx', 'y = Add (x, half)');
  model('log.onnx', 'l = Log (x) h = MatMul (l, a) y = MatMul (h, b)');
  // The picture 1 stands there twice, once labelled wrongly.
  folder('twice', { labels: { file: 'labels.json' }, metric: 'top1' });
  numbers('twice/x.npy', [1, 1, -1, -2]);
  writeFileSync(join(dir, 'twice', 'labels.json'), '[1, 0, 0, 0]');
  folder('values', { targets: { file: 'y.npy' }, metric: 'mae' });
  numbers('values/x.npy', [1, 2, 3, 4]);
  numbers('values/y.npy', [1, 2, 3, 4]);
});

describe('scores of single samples', () => {
  it('pairs samples that are equal but for their label with their own scores', async () => {
    await run('eval', 'classes.onnx', '-d', 'twice', '--scores', 'twice.json');
    const { stdout } = await run('eval', 'classes.onnx', '-d', 'twice', '--base-scores', 'twice.json', '--json', '-q');
    expect(JSON.parse(stdout).comparison).toMatchObject({ base: 0.75, drop: 0, discordant: { lost: 0, gained: 0 } });
  });

  it('refuses scores that were judged by other labels or targets', async () => {
    for (const [model, data, file, change] of [
      ['classes.onnx', 'twice', 'old.json', () => writeFileSync(join(dir, 'twice', 'labels.json'), '[1, 0, 1, 0]')],
      ['value.onnx', 'values', 'old-values.json', () => numbers('values/y.npy', [1, 2, 3, 9])],
    ] as const) {
      await run('eval', model, '-d', data, '--scores', file);
      change();
      const { code, stderr } = await run('eval', model, '-d', data, '--base-scores', file);
      expect([code, stderr]).toEqual([2, expect.stringContaining('by another label or target than the data now')]);
    }
  });

  it('writes over nothing but scores, and says so before the work', async () => {
    const before = read('value.onnx');
    const refused = await run('eval', 'value.onnx', '-d', 'values', '--scores', 'value.onnx');
    expect([refused.code, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain('"value.onnx" exists and is no file of scores, so it is left alone');
    expect(read('value.onnx')).toBe(before);
    const nowhere = await run('eval', 'value.onnx', '-d', 'values', '--scores', 'no/such/scores.json');
    expect([nowhere.code, nowhere.stdout]).toEqual([2, '']);
    expect(nowhere.stderr).toContain('choose another --scores');
    for (let turn = 0; turn < 2; turn++)
      expect((await run('eval', 'value.onnx', '-d', 'values', '--scores', 'again.json')).code).toBe(0);
  });

  it.each(['null', '{"schema":"mlpack.scores/1","metric":"mae","samples":[null]}'])('refuses %s', async (text) => {
    writeFileSync(join(dir, 'bad.json'), text);
    const { code, stderr } = await run('eval', 'value.onnx', '-d', 'values', '--base-scores', 'bad.json');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/are no scores|are damaged/)]);
  });
});

describe('optimize', () => {
  const optimize = async (model: string, out: string, ...args: string[]): Promise<Report> => {
    const fixed = ['-v', 'base', '-d', 'values', '-o', out, '--no-bench', '--no-cache', '-q'];
    const { stderr, code } = await run('optimize', model, ...fixed, ...args);
    expect([code, stderr]).toEqual([expect.any(Number), expect.not.stringContaining('breaks its own schema')]);
    return JSON.parse(read(`${out}/report.json`)) as Report;
  };

  it('tells data with other targets from those of before', async () => {
    numbers('values/y.npy', [1, 2, 3, 4]);
    const first = await optimize('value.onnx', 'a');
    expect((await optimize('value.onnx', 'b')).data?.sha256).toBe(first.data?.sha256);
    numbers('values/y.npy', [1, 2, 3, 5]);
    expect((await optimize('value.onnx', 'c')).data?.sha256).not.toBe(first.data?.sha256);
  });

  it('takes a share of base as the limit where base has no number', async () => {
    numbers('values/x.npy', [1, -2, 3, 4]);
    const { limits, variants } = await optimize('log.onnx', 'nan', '--max-drop', '1%');
    expect(limits.maxDrop).toBe(0);
    expect(variants[0]?.accuracy).toMatchObject({ metric: 'mae', value: null });
  });
});
