import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lock } from '../../src/cli/optimize/lock.ts';
import type { Report } from '../../src/report/report.ts';
import { distBin, runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));
const few = ['--no-bench', '--samples', '20', '-v', 'int8', 'int8-static'];

let dir: string;
let cache: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
  cache = join(dir, 'cache');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function optimize(out: string, ...flags: string[]): Promise<{ code: number; stderr: string; shas: unknown }> {
  const { code, stderr } = await runCli(['optimize', digits, '-o', join(dir, out), ...flags], {
    cwd: dir,
    env: { MLPACK_CACHE: cache },
  });
  const path = join(dir, out, 'report.json');
  const report = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Report) : undefined;
  return { code, stderr, shas: report?.variants.map(({ name, sha256, reasons }) => [name, sha256, reasons]) };
}
const lockOf = (out: string): Lock => JSON.parse(readFileSync(join(dir, out, 'mlpack.lock.json'), 'utf8')) as Lock;

/** Each runs optimize several times: 16 s on two free cores, minutes beside other work. */
const patience = 600_000;

describe('the same command twice', { timeout: patience }, () => {
  test('takes finished variants from the cache, and makes damaged ones again', async () => {
    const first = await optimize('a', ...few);
    expect(first.code).toBe(0);
    expect(first.stderr).toContain('build int8-static');
    const second = await optimize('b', ...few);
    expect(second.stderr).not.toContain('build int8');
    expect(second.shas).toEqual(first.shas);
    const entries = join(cache, 'variants');
    for (const entry of readdirSync(entries)) {
      const file = join(entries, entry, 'model.onnx');
      if (existsSync(file)) writeFileSync(file, 'damaged');
    }
    const third = await optimize('c', ...few);
    expect(third.stderr).toContain('is damaged (model.onnx has 7 bytes');
    expect(third.shas).toEqual(first.shas);
    const fourth = await optimize('d', ...few, '--no-cache');
    expect(fourth.stderr).toContain('build int8-static');
    expect(fourth.shas).toEqual(first.shas);
    // Other samples may give other ranges: nothing that was kept for these serves.
    const seed = ['--no-bench', '--samples', '20', '-v', 'int8-static', '--seed', '5'];
    expect((await optimize('e', ...seed)).stderr).toContain('build int8-static');
  });

  test('--frozen gives the same files, or names the input, option or step that differs', async () => {
    const lock = join(dir, 'a', 'mlpack.lock.json');
    const same = await optimize('f1', ...few, '--frozen', '--lock', lock);
    expect(same.stderr).toContain('every variant is bit by bit the one of the lock');
    expect(same.code).toBe(0);
    expect(lockOf('f1').variants).toEqual(lockOf('a').variants);

    const seed = await optimize('f2', ...few, '--seed', '1', '--lock', lock);
    expect(seed.code).toBe(1);
    expect(seed.stderr).toContain('the option seed is 1, and was 0');
    const fewer = await optimize('f3', ...few.slice(0, -1), '--lock', lock);
    expect(fewer.stderr).toContain('the variant int8-static is missing');
    expect(existsSync(join(dir, 'f3'))).toBe(false);

    const parted = lockOf('a');
    const int8 = parted.variants.int8;
    if (!int8) throw new Error('no int8');
    const other = (change: Partial<typeof int8>): void =>
      writeFileSync(
        lock,
        JSON.stringify({ ...parted, variants: { ...parted.variants, int8: { ...int8, ...change } } }),
      );
    const file = { name: 'model.onnx', bytes: 1, sha256: '0'.repeat(64) };
    other({ files: [file], sha256: file.sha256 });
    const values = await optimize('f4', ...few, '--lock', lock);
    expect(values.code).toBe(1);
    expect(values.stderr).toContain(
      'int8 is another file: every step did the same to the graph, so values in it differ',
    );
    expect(values.stderr).toContain('Tool, runtime and machine are the same: please report this');
    // Said before what takes most of the time.
    expect(values.stderr).toContain('build int8-static');
    expect(values.stderr).not.toContain('measure ');
    other({ files: [file], steps: int8.steps.map((step, at) => (at === 1 ? { ...step, did: 'x' } : step)) });
    expect((await optimize('f5', ...few, '--lock', lock)).stderr).toContain(`from step 2, ${int8.steps[1]?.pass}, on`);
    other({
      plan: int8.plan.map((step, at) => (at === 0 ? { ...step, options: { ...step.options, fold: 7 } } : step)),
    });
    expect((await optimize('f6', ...few, '--lock', lock)).stderr).toMatch(/the variant int8 has fold=.* in step 1/);
  });

  test('another model and other data are named; a lock that is none is refused', async () => {
    await cp(join(digits, 'eval'), join(dir, 'data'), { recursive: true });
    expect((await optimize('g1', ...few, '--data', join(dir, 'data'))).code).toBe(0);
    const lock = join(dir, 'g1', 'mlpack.lock.json');
    writeFileSync(join(dir, 'data', 'more.txt'), 'x');
    const data = await optimize('g2', ...few, '--data', join(dir, 'data'), '--lock', lock);
    expect(data.code).toBe(1);
    expect(data.stderr).toMatch(/the data differ \(\d+ files, \d+ then\)/);
    const locked = JSON.parse(readFileSync(lock, 'utf8')) as Lock;
    writeFileSync(lock, JSON.stringify({ ...locked, model: { ...locked.model, sha256: 'f'.repeat(64) } }));
    expect((await optimize('g3', ...few, '--data', join(dir, 'data'), '--lock', lock)).stderr).toContain(
      'the model is another file (sha256 ',
    );
    writeFileSync(lock, '{"schema":');
    expect(await optimize('g4', ...few, '--lock', lock)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not a lock of mlpack'),
    });
    for (const broken of [{ model: {} }, { variants: { int8: {} } }, { runtime: { ort: 1 } }, { options: [] }]) {
      writeFileSync(lock, JSON.stringify({ ...locked, ...broken }));
      expect(await optimize('g4', ...few, '--lock', lock)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/is not a whole lock: (model|variants|runtime|options)\S* (must be|is missing)/),
      });
    }
    const none = await optimize('g5', ...few, '--frozen');
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no mlpack.lock.json or g5') });
  });
});

const hasTaskset = process.platform === 'linux' && existsSync('/usr/bin/taskset') && cpus().length > 1;

test.skipIf(!hasTaskset)(
  'one thread or all of them: the same bytes (skipped without taskset or with one core)',
  () => {
    const run = (out: string, wrap: readonly string[]): Lock['variants'] => {
      const [command, ...rest] = [...wrap, process.execPath, distBin, 'optimize', digits, '-o', join(dir, out)];
      execFileSync(command, [...rest, '--no-bench', '--no-cache', '--samples', '20', '-q'], { stdio: 'ignore' });
      return lockOf(out).variants;
    };
    const all = run('all', []);
    expect(Object.keys(all)).toContain('int4');
    expect(run('one', ['taskset', '-c', '0'])).toEqual(all);
    rmSync(join(dir, 'one'), { recursive: true });
  },
  patience,
);
