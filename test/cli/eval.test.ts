import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decide } from '../../src/cli/decide.ts';
import { presetDrop } from '../../src/drop-limit.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { npyFile } from '../data/npy-file.ts';
import { runCli } from './support.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-eval-'));
  // Two classes by the sign of v; the weak model takes 0 < v < 0.5 for the other, the last one has no number for v < 0.
  writeModel('good', 'Identity (x)');
  writeModel('weak', 'Sub (x, half)');
  writeModel('nan', 'Log (x)');
  mkdirSync(join(dir, 'data'));
  const values = Array.from({ length: 400 }, (_, at) => ((at * 37) % 400) / 200 - 1 + 1e-3);
  writeFileSync(
    join(dir, 'data', 'x.csv'),
    `v,class\n${values.map((v) => `${v},${v > 0 ? 'pos' : 'neg'}`).join('\n')}\n`,
  );
  describeAs({ metric: 'top1' });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function writeModel(name: string, moved: string): void {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[N,1] x) => (float[N,2] y)
<float[1] half = {0.5}>
{
  s = ${moved}
  n = Neg (s)
  y = Concat <axis = 1> (n, s)
}`);
  writeFileSync(join(dir, `${name}.onnx`), encodeModel(model));
}

function describeAs(more: object): void {
  writeFileSync(
    join(dir, 'data', 'dataset.json'),
    JSON.stringify({
      schema: 'mlpack.dataset/1',
      inputs: { x: { file: 'x.csv', columns: ['v'], dtype: 'float32' } },
      labels: { file: 'x.csv', column: 'class' },
      batch: 50,
      ...more,
    }),
  );
}

const run = (...args: string[]) => runCli(args, { cwd: dir });
const json = async (...args: string[]) => JSON.parse((await run(...args, '--json', '-q')).stdout);

describe('mlpack eval', () => {
  it('gives the metric with its interval, and the weakest classes', async () => {
    const { code, stdout } = await run('eval', 'weak.onnx', '-d', 'data');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^top1 0\.7500 \(95 % interval 0\.705\d–0\.78\d\d\) {2}\(400 samples of data, cpu\)$/m);
    expect(stdout).toMatch(/pos +200 +0\.5000\nneg +200 +1\.0000/);
  });

  it('says what is missing where a metric has nothing to compare', async () => {
    const rows = Array.from({ length: 20 }, (_, at) => `${at},pos`).join('\n');
    mkdirSync(join(dir, 'one'));
    writeFileSync(join(dir, 'one', 'x.csv'), `v,class\n${rows}\n`);
    const inputs = { x: { file: 'x.csv', columns: ['v'], dtype: 'float32' } };
    const description = {
      schema: 'mlpack.dataset/1',
      inputs,
      labels: { file: 'x.csv', column: 'class' },
      metric: 'roc-auc',
    };
    writeFileSync(join(dir, 'one', 'dataset.json'), JSON.stringify(description));
    for (const args of [
      ['eval', 'good.onnx'],
      ['optimize', 'good.onnx', '-o', 'out'],
    ]) {
      const { code, stderr } = await run(...args, '-d', 'one');
      expect(code).toBe(2);
      expect(stderr).toMatch(/roc-auc compares samples of different classes, and all labels of .*one are the same/);
    }
    expect(existsSync(join(dir, 'out'))).toBe(false);
  });

  /** A model of whole numbers in `<name>.onnx`, and a folder for its data. */
  const putCast = (name: string, shape: string): void => {
    const text = `<ir_version: 8, opset_import: ["" : 17]>
main (int64${shape} x) => (float${shape} y) { y = Cast <to = 1> (x) }`;
    writeFileSync(join(dir, `${name}.onnx`), encodeModel(parseModel(text)));
    mkdirSync(join(dir, name));
  };

  it('names dtype where an array of whole numbers in float feeds integers', async () => {
    putCast('ids', '[N,1]');
    writeFileSync(join(dir, 'ids', 'x.csv'), 'wanted\n1\n2\n');
    writeFileSync(join(dir, 'ids', 'x.npy'), npyFile('<f8', [2, 1], Float64Array.of(1, 2)));
    const describeIds = (more: object): void => {
      const inputs = { x: { file: 'x.npy', ...more } };
      const targets = { file: 'x.csv', columns: ['wanted'] };
      writeFileSync(
        join(dir, 'ids', 'dataset.json'),
        JSON.stringify({ schema: 'mlpack.dataset/1', inputs, targets, metric: 'mae' }),
      );
    };
    describeIds({});
    const { code, stderr } = await run('eval', 'ids.onnx', '-d', 'ids');
    expect(code).toBe(2);
    expect(stderr).toContain('If these are whole numbers, say "dtype": "int64" for "x" in dataset.json.');
    describeIds({ dtype: 'int64' });
    expect((await run('eval', 'ids.onnx', '-d', 'ids')).stdout).toContain('mae 0.0000');
  });

  it('feeds columns of a table by the types and shapes of the inputs, though dataset.json says neither', async () => {
    putCast('rows', '[N]');
    writeFileSync(join(dir, 'rows', 't.csv'), 'v,wanted\n1,1\n2,2\n');
    const inputs = { x: { file: 't.csv', columns: ['v'] } };
    const targets = { file: 't.csv', columns: ['wanted'] };
    writeFileSync(
      join(dir, 'rows', 'dataset.json'),
      JSON.stringify({ schema: 'mlpack.dataset/1', inputs, targets, metric: 'mae' }),
    );
    expect((await run('eval', 'rows.onnx', '-d', 'rows')).stdout).toContain('mae 0.0000');
  });

  it('judges a base on the same samples: drop, classes, verdict, exit code', async () => {
    const { code, stdout } = await run('eval', 'weak.onnx', '-d', 'data', '--base', 'good.onnx', '--max-drop', '0.01');
    expect(code).toBe(1);
    expect(stdout).toContain('base 1.0000, drop 0.2500 (95 % interval 0.2');
    expect(stdout).toContain('100 samples lost, 0 gained');
    expect(stdout).toMatch(/pos +200 +1\.0000 +0\.5000/);
    expect(stdout).toMatch(/^fail: the drop is 0\.25 \(95 % interval 0\.21 to 0\.295\), 0\.01 is allowed\.$/m);
    const share = (most: string) => run('eval', 'weak.onnx', '-d', 'data', '--base', 'good.onnx', '--max-drop', most);
    expect((await share('20%')).stdout).toMatch(/^fail: .*, 0\.2 is allowed\.$/m);
    expect((await share('30%')).stdout).toMatch(/^pass: /m);
    const same = await json('eval', 'good.onnx', '-d', 'data', '--base', 'good.onnx', '--preset', 'mlperf-99.9');
    // No change on 400 samples excludes a drop of 1 %, and none of 0.1 %.
    expect(same.decision).toMatchObject({ verdict: 'undecided', limit: expect.closeTo(0.001, 12) });
    const strict = ['--preset', 'mlperf-99.9', '--strict', '-q'];
    expect((await run('eval', 'good.onnx', '-d', 'data', '--base', 'good.onnx', ...strict)).code).toBe(1);
    expect(
      (await json('eval', 'good.onnx', '-d', 'data', '--base', 'good.onnx', '--preset', 'mlperf-99')).decision.verdict,
    ).toBe('pass');
  });

  it('counts the samples for a drop that it names, and only where the interval tells no change', async () => {
    // Scores of a metric in the tens: the candidate's lie around those of base, or below them.
    const judge = async (shift: number, spread: number, ...flags: string[]): Promise<string> => {
      const file = `./shifted-${-shift}-${spread}.mjs`;
      const score = `({ size }) => Array.from({ length: size }, (_, i) => ${50 + shift} + ${spread} * (i % 2 ? 1 : -1))`;
      writeFileSync(
        join(dir, 'data', file),
        `export default { name: "shifted", higherIsBetter: false, score: ${score} };`,
      );
      describeAs({ metric: file });
      return (await run('eval', 'good.onnx', '-d', 'data', '--allow-modules', ...flags)).stdout;
    };
    await judge(0, 0, '--scores', 'shifted.json');
    const paired = ['--base-scores', 'shifted.json'];
    expect(await judge(0, 10, ...paired)).toMatch(
      /^about [\d,]+ samples would be needed to tell a drop of 0\.5 from none$/m,
    );
    const better = await judge(-2, 10, ...paired);
    expect(better).toMatch(/drop -2\.\d+ \(95 % interval -[\d.]+ to -[\d.]+\)$/m);
    expect(better).not.toContain('would be needed');
    describeAs({ metric: 'top1' });
  });

  it('pairs with scores that were written before, sample by sample', async () => {
    await run('eval', 'good.onnx', '-d', 'data', '--scores', 'good.json');
    const { comparison } = await json(
      'eval',
      'weak.onnx',
      '-d',
      'data',
      '--base-scores',
      'good.json',
      '--samples',
      '100',
    );
    const direct = await json('eval', 'weak.onnx', '-d', 'data', '--base', 'good.onnx', '--samples', '100');
    expect(comparison).toEqual(direct.comparison);
    const wrong = await run('eval', 'weak.onnx', '-d', 'data', '--base-scores', 'good.json', '--metric', 'mcc');
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('are top1, this run judges by mcc')]);
    writeFileSync(join(dir, 'other.json'), '{"schema": "x"}');
    expect((await run('eval', 'weak.onnx', '-d', 'data', '--base-scores', 'other.json')).stderr).toContain(
      'are no scores of mlpack eval',
    );
  });

  it('names samples whose outputs are no numbers', async () => {
    const { stderr } = await run('eval', 'nan.onnx', '-d', 'data');
    expect(stderr).toContain('warning: 200 samples gave NaN or infinite outputs: 0, 1, 2, 3, 4, ….');
  });

  it('loads a metric of the data folder only when that is allowed', async () => {
    writeFileSync(
      join(dir, 'data', 'margin.mjs'),
      'export default { name: "margin", higherIsBetter: true, score: ({ output, size, settings }) => Array.from({ length: size }, (_, i) => settings.factor * Math.abs(output.data[2 * i + 1])) };',
    );
    describeAs({ metric: { name: './margin.mjs', factor: 2 } });
    const refused = await run('eval', 'good.onnx', '-d', 'data');
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('say --allow-modules')]);
    const allowed = await json('eval', 'good.onnx', '-d', 'data', '--allow-modules');
    // Twice the mean of |v| for v in −1 … 1.
    expect(allowed).toMatchObject({ metric: 'margin', value: expect.closeTo(1, 2) });
    writeFileSync(join(dir, 'data', 'bad.mjs'), 'export default { higherIsBetter: true, score: () => [1] };');
    describeAs({ metric: './bad.mjs' });
    expect((await run('eval', 'good.onnx', '-d', 'data', '--allow-modules')).stderr).toContain(
      'must give one score for each of the 50 samples',
    );
    writeFileSync(
      join(dir, 'data', 'throws.mjs'),
      'export default { higherIsBetter: true, score() { throw new Error("no"); } };',
    );
    describeAs({ metric: './throws.mjs' });
    expect(await run('eval', 'good.onnx', '-d', 'data', '--allow-modules')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('throws.mjs failed: no'),
    });
    describeAs({ metric: '../margin.mjs' });
    expect((await run('eval', 'good.onnx', '-d', 'data', '--allow-modules')).stderr).toContain('must lie inside');
    describeAs({ metric: 'top1' });
  });

  it.each([
    [['--max-drop', '0.1'], '--max-drop needs something to compare with'],
    [['--preset', 'mlperf-98', '--base', 'good.onnx'], 'no preset "mlperf-98" (did you mean "mlperf-99"?)'],
    [['--base', 'good.onnx', '--base-scores', 'x.json'], 'give either --base or --base-scores'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await run('eval', 'good.onnx', '-d', 'data', ...flags);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it('warns when calibration and evaluation share samples, told by content', async () => {
    writeFileSync(join(dir, 'data', 'calib.csv'), 'v,class\n-0.999,neg\n0.3,pos\n');
    describeAs({
      metric: 'top1',
      inputs: { x: { file: 'x.csv', calibration: 'calib.csv', columns: ['v'], dtype: 'float32' } },
    });
    const { stderr } = await run('eval', 'good.onnx', '-d', 'data');
    expect(stderr).toContain('warning: 1 of 400 samples to evaluate on are calibration samples as well (0)');
    describeAs({ metric: 'top1' });
  });
});

describe('mlpack data check', () => {
  it('shows samples, classes and what is wrong, and writes pictures', async () => {
    const folder = join(dir, 'pics');
    for (const [at, red] of [10, 20, 20].entries()) {
      mkdirSync(join(folder, at === 0 ? 'a' : 'b'), { recursive: true });
      await sharp({ create: { width: 6, height: 4, channels: 3, background: { r: red, g: 0, b: 0 } } })
        .png()
        .toFile(join(folder, at === 0 ? 'a' : 'b', `${at}.png`));
    }
    writeFileSync(join(folder, 'b', 'broken.png'), 'x');
    writeFileSync(
      join(folder, 'dataset.json'),
      JSON.stringify({
        schema: 'mlpack.dataset/1',
        inputs: { x: { images: '.', size: [2, 2] } },
        labels: { folders: true },
      }),
    );
    const { code, stdout } = await run('data', 'check', 'pics', '--show', '1', '--pictures', 'shots', '-q');
    expect(code).toBe(1);
    expect(stdout).toContain('pics: 4 samples to evaluate on, 0 for calibration');
    expect(stdout).toMatch(/a\/0\.png {2}class 0 \(a\)/);
    expect(stdout).toMatch(/x +float32\[1, 3, 2, 2\] +0 +3\.333 +10/);
    expect(stdout).toContain('2 classes, of 1 to 2 samples');
    expect(stdout).toContain('1 sample cannot be read (3 can)');
    expect(stdout).toContain('1 sample equal to another: b/2.png = b/1.png');
    expect(existsSync(join(dir, 'shots', 'a_0.png-x.png'))).toBe(true);
    const found = await json('data', 'check', 'pics');
    expect(found).toMatchObject({ samples: 4, readable: 3, repeated: 1, bad: { count: 1 }, shown: [{}, {}, {}] });
    expect(JSON.parse(readFileSync(join(folder, 'dataset.json'), 'utf8'))).not.toHaveProperty('metric');
  });

  it('reads tokens back as text, and holds the data against a model', async () => {
    const { stdout } = await runCli([
      'data',
      'check',
      'models/intents/eval',
      '--model',
      'models/intents',
      '--show',
      '1',
      '-q',
    ]);
    expect(stdout).toMatch(/input_ids reads: \[CLS\] .* \[SEP\]/);
    const wrong = await runCli(['data', 'check', 'models/intents/eval', '--model', 'models/digits']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('The model has an input "')]);
    expect((await run('data', 'check', 'nothing')).stderr).toContain('there is no such folder');
  });
});

describe('mlpack data check of samples that calibrate, too', () => {
  it.each([
    [
      'a few are worth a sentence',
      'v\n-1\n7\n',
      0,
      '1 of 3 samples are equal to calibration samples: 0; accuracy measured',
    ],
    ['most of them are a mistake', 'v\n-1\n1\n', 1, 'and they are the most: evaluate on others'],
  ])('%s', async (_, calibration, exit, said) => {
    mkdirSync(join(dir, 'shared'), { recursive: true });
    writeFileSync(join(dir, 'shared', 'x.csv'), 'v\n-1\n1\n0.5\n');
    writeFileSync(join(dir, 'shared', 'calib.csv'), calibration);
    const x = { file: 'x.csv', calibration: 'calib.csv', columns: ['v'] };
    writeFileSync(join(dir, 'shared', 'dataset.json'), JSON.stringify({ schema: 'mlpack.dataset/1', inputs: { x } }));
    const { code, stdout } = await run('data', 'check', 'shared', '-q');
    expect([code, stdout]).toEqual([exit, expect.stringContaining(said)]);
  });
});

describe('mlpack data check --model', () => {
  it('refuses labels beyond the outputs wherever they stand, as eval would', async () => {
    mkdirSync(join(dir, 'beyond'));
    writeFileSync(join(dir, 'beyond', 'x.csv'), 'v,class\n-1,a\n1,b\n0.5,c\n-1,a\n');
    writeFileSync(
      join(dir, 'beyond', 'dataset.json'),
      JSON.stringify({
        schema: 'mlpack.dataset/1',
        inputs: { x: { file: 'x.csv', columns: ['v'], dtype: 'float32' } },
        labels: { file: 'x.csv', column: 'class' },
      }),
    );
    expect((await run('data', 'check', 'beyond', '-q')).code).toBe(0);
    const { code, stderr } = await run('data', 'check', 'beyond', '--model', 'good.onnx');
    expect([code, stderr]).toEqual([2, expect.stringContaining('the output has only 2 classes')]);
  });
});

describe('decide', () => {
  const accuracy = (drop: number, low: number, high: number) => ({
    metric: 'top1',
    value: 0.9 - drop,
    base: 0.9,
    drop,
    samples: 1000,
    dropCi: [low, high] as const,
  });
  it('passes, fails, or says how many samples would tell', () => {
    const bare = decide({ ...accuracy(0.02, 0, 0), dropCi: undefined }, 0.01);
    expect(bare).toMatchObject({ verdict: 'undecided', why: expect.stringContaining('there is no interval') });
    expect(bare.why).not.toMatch(/Infinity|set another limit/);
    expect(decide(accuracy(0.001, -0.004, 0.006), 0.01).verdict).toBe('pass');
    expect(decide(accuracy(0.03, 0.02, 0.04), 0.01).verdict).toBe('fail');
    const unsure = decide(accuracy(0.005, -0.005, 0.015), 0.01);
    // Half the interval is 0.01, the limit 0.005 away: four times the samples.
    expect([unsure.verdict, unsure.why]).toEqual([
      'undecided',
      expect.stringContaining('about 4,000 samples would tell'),
    ]);
    expect(decide(accuracy(0.01, 0, 0.02), 0.01).why).toContain('set another limit');
    expect(decide({ ...accuracy(0, 0, 0), drop: null }, 0.01).verdict).toBe('fail');
  });
  it('knows MLPerf’s targets', () => {
    expect(presetDrop('mlperf-99', 'top1', 0.9)).toBeCloseTo(0.009, 12);
    expect(presetDrop('mlperf-99.9', 'map', 0.4)).toBeCloseTo(0.0004, 12);
    expect(presetDrop('mlperf-99', 'wer', 0.1)).toBeCloseTo(0.009, 12);
  });
});
