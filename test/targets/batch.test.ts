import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parquetReadObjects } from 'hyparquet';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { checkBundle } from '../../src/target/check.ts';
import { batch } from '../../targets/batch/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { validateManifests } from './support/manifests.ts';
import { installedModules, linkModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('batch') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');

/** Three numbers in, their sum and twice their sum out. */
const sums = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,3] x) => (float[n,2] y)
<float[3,2] w = {1, 2, 1, 2, 1, 2}>
{
  y = MatMul (x, w)
}`;

async function rowsOf(out: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for (const name of (await readdir(out)).sort()) {
    if (name.endsWith('.jsonl') && !name.includes('errors')) {
      const text = await readFile(join(out, name), 'utf8');
      rows.push(
        ...text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Record<string, unknown>),
      );
    }
    if (name.endsWith('.parquet')) {
      const bytes = await readFile(join(out, name));
      rows.push(
        ...(await parquetReadObjects({
          file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
        })),
      );
    }
  }
  return rows;
}

function run(args: string[], input = ''): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['run-batch.mjs', ...args], {
    cwd: bundle,
    input,
    encoding: 'utf8',
  });
  return { status, out: stdout, err: stderr };
}

describe.skipIf(modules === '')('batch', () => {
  beforeAll(async () => {
    const feeds = [{ x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) }];
    await buildBundle(batch, { ...(await makeArtifact(dir, sums, feeds)), name: 'sums' }, {}, bundle);
    await symlink(modules, join(bundle, 'node_modules'));
    await mkdir(join(dir, 'data'));
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i},${i + 1},"${i + 2}"`);
    await writeFile(join(dir, 'data/a.csv'), `a,b,c\r\n${lines.join('\r\n')}\r\n`);
    const bad = [
      { id: 'p', x: [1, 2, 3] },
      { id: 'q', x: [1, 2] },
      { id: 'r', x: [1, 'x', 3] },
      { id: 's', x: [[4, 5, 6]] },
    ];
    await writeFile(join(dir, 'data/b.jsonl'), `${bad.map((row) => JSON.stringify(row)).join('\n')}\nnot json\n[1]\n`);
  });

  it('answers a CSV by its columns, in pieces, and says how much there was', async () => {
    const out = join(dir, 'csv');
    expect(run([join(dir, 'data/a.csv'), '--out', out])).toMatchObject({ status: 0 });
    const rows = await rowsOf(out);
    expect(rows).toHaveLength(20_000);
    for (const [i, row] of rows.entries()) {
      expect([Number(row.row), row['y.0'], row['y.1']]).toEqual([i, 3 * i + 3, 6 * i + 6]);
    }
    expect(JSON.parse(await readFile(join(out, '_SUCCESS'), 'utf8'))).toEqual({ rows: 20_000, errors: 0, parts: 3 });
  });

  it('puts what it cannot use aside with a reason, and keeps columns', async () => {
    const out = join(dir, 'errors');
    expect(run([join(dir, 'data/b.jsonl'), '--out', out, '--format', 'jsonl', '--keep', 'id'])).toMatchObject({
      status: 0,
    });
    expect(await rowsOf(out)).toEqual([
      { row: 0, id: 'p', y: [6, 12] },
      { row: 3, id: 's', y: [15, 30] },
    ]);
    const errors = (await readFile(join(out, 'part-00000-00000.errors.jsonl'), 'utf8')).trim().split('\n');
    expect(errors.map((line) => (JSON.parse(line) as { row: number; error: string }).error)).toEqual([
      'column "x" has 2 elements, and the input "x" takes [3]',
      'column "x" is not a finite number',
      'the line is not JSON',
      'the line is not an object',
    ]);
    expect(run([join(dir, 'data/b.jsonl'), '--out', join(dir, 'few'), '--max-errors', '2'])).toMatchObject({
      status: 1,
    });
  });

  it('comes out the same, byte for byte, after being killed at any moment', async () => {
    const whole = join(dir, 'whole');
    const args = (out: string): string[] => [
      join(dir, 'data/a.csv'),
      '--out',
      out,
      '--batch',
      '8',
      '--format',
      'jsonl',
    ];
    run(args(whole));
    const killed = join(dir, 'killed');
    for (const afterMs of [250, 400, 480, 560]) {
      const child = spawn(process.execPath, ['run-batch.mjs', ...args(killed)], { cwd: bundle, stdio: 'ignore' });
      const exit = new Promise((resolve) => child.once('exit', resolve));
      await sleep(afterMs);
      child.kill('SIGKILL');
      await exit;
    }
    expect(run(args(killed)).status).toBe(0);
    const names = async (out: string): Promise<string[]> =>
      (await readdir(out)).filter((name) => !name.endsWith('.tmp')).sort();
    expect(await names(killed)).toEqual(await names(whole));
    for (const name of await names(whole)) {
      expect(await readFile(join(killed, name), 'utf8'), name).toBe(await readFile(join(whole, name), 'utf8'));
    }
    expect(run(args(killed)).err).toContain('3 parts were done before');
    expect(run([...args(killed), '--keep', 'a'])).toMatchObject({
      status: 1,
      err: expect.stringContaining('other flags'),
    });
  });

  it('does not call whole what was answered of a file that changed meanwhile', async () => {
    const table = join(dir, 'data/changing.csv');
    const rows = (value: number): string => `${value},${value},${value}\n`.repeat(200_000);
    await writeFile(table, `a,b,c\n${rows(1)}`);
    const out = join(dir, 'changing');
    const args = ['run-batch.mjs', table, '--out', out, '--format', 'csv', '--batch', '64'];
    const child = spawn(process.execPath, args, { cwd: bundle, stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const exit = new Promise((resolve) => child.once('close', resolve));
    while (!text.includes('part-') && child.exitCode === null) await sleep(5);
    // In place, and as long as before: an export that runs again.
    await writeFile(table, `a,b,c\n${rows(2)}`);
    expect([await exit, text.trim().split('\n').at(-1)]).toEqual([
      1,
      expect.stringMatching(/changing\.csv was changed while the job read it; begin anew/),
    ]);
    const written = await readdir(out);
    expect(written).not.toContain('_SUCCESS');
    for (const part of written.filter((name) => name.endsWith('.csv')))
      expect(new Set((await readFile(join(out, part), 'utf8')).match(/(?<=,)[36](?=,)/g))).toEqual(new Set(['3']));
  });

  it('just starts behind flags that it could not begin with, and goes on with no other work once something is written', async () => {
    const out = join(dir, 'mended');
    const args = (...more: string[]): string[] => [join(dir, 'data/a.csv'), '--out', out, ...more];
    for (const wrong of [
      ['--columns', 'z=a,b,c'],
      ['--columns', 'x=a,b,d'],
      ['--keep', 'd'],
    ]) {
      const { status, err } = run(args(...wrong));
      expect([status, err.trim().split('\n')], err).toEqual([
        1,
        [expect.stringMatching(/no input "z"; it has x|no column.*"d"/)],
      ]);
      expect(existsSync(out) ? await readdir(out) : []).toEqual([]);
    }
    const beneath = join(dir, 'data/a.csv/out');
    expect(run([join(dir, 'data/a.csv'), '--out', beneath])).toMatchObject({
      status: 1,
      err: expect.stringMatching(/^the folder .*a\.csv\/out cannot be made: ENOTDIR/),
    });
    expect(run(args('--format', 'jsonl'))).toMatchObject({ status: 0 });
    expect(run(args()).err).toContain('other flags');
    expect(run(args('--keep', 'd')).err).toContain('other flags');
    expect(await readdir(out)).toContain('_job-0.json');
  });

  it('shares the pieces among workers, each once', async () => {
    const out = join(dir, 'shards');
    for (const shard of ['0/2', '1/2']) {
      expect(run([join(dir, 'data/a.csv'), '--out', out, '--shard', shard, '--format', 'jsonl']).status).toBe(0);
    }
    expect((await rowsOf(out)).map(({ row }) => row)).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
    expect(await readdir(out)).toEqual(expect.arrayContaining(['_SUCCESS-0', '_SUCCESS-1']));
  });

  it('reads Parquet by row group, its own output too, and answers lines', async () => {
    const out = join(dir, 'again');
    const args = [
      join(dir, 'csv/part-00000-00000.parquet'),
      '--columns',
      'x=row,y.0,y.1',
      '--out',
      out,
      '--format',
      'jsonl',
    ];
    expect(run(args)).toMatchObject({ status: 0 });
    const rows = await rowsOf(out);
    expect(rows[10]).toEqual({ row: 10, y: [10 + 33 + 66, 2 * (10 + 33 + 66)] });
    const { out: lines } = run(['-'], '{"x":[1,2,3]}\nnope\n{"z":1}\n');
    const [first, second, third] = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(first).toEqual({ y: [6, 12] });
    expect(second).toEqual({ error: 'the line is not JSON' });
    expect(third).toMatchObject({ error: expect.stringContaining('no column is named like the input "x"') });
  });

  it('says of tables what is wrong with them: dates, objects, lists among numbers, files that are none', async () => {
    const { parquetWriteFile } = (await import(join(modules, 'hyparquet-writer/src/node.js'))) as {
      parquetWriteFile(options: object): unknown;
    };
    const numbers = { name: 'b', data: [1, 2], type: 'DOUBLE' };
    const table = async (name: string, a: object): Promise<string[]> => {
      const [file, out] = [join(dir, `${name}.parquet`), join(dir, `${name}-out`)];
      await parquetWriteFile({ filename: file, columnData: [{ name: 'a', ...a }, numbers, { ...numbers, name: 'c' }] });
      const { status, err } = run([file, '--out', out]);
      expect([status, err], err).toEqual([1, expect.stringContaining('none of the 2 rows could be used')]);
      return (await readFile(join(out, 'part-00000-00000.errors.jsonl'), 'utf8')).trim().split('\n');
    };
    const when = [new Date(0), new Date(1)];
    expect((await table('dates', { data: when, type: 'TIMESTAMP' }))[0]).toContain('column \\"a\\" is a date');
    expect((await table('objects', { data: [{ z: 1 }, { z: 2 }], type: 'JSON' }))[0]).toContain('is an object');
    expect(
      (
        await table('lists', {
          data: [
            [1, 2],
            [3, 4],
          ],
          type: 'JSON',
        })
      )[0],
    ).toContain('column \\"a\\" has 2 elements, and is one of 3 of \\"x\\"');
    for (const [name, bytes] of Object.entries({ hollow: '', broken: 'PAR1 and more that is no table PAR1' })) {
      const file = join(dir, `${name}.parquet`);
      await writeFile(file, bytes);
      const { status, err } = run([file, '--out', join(dir, `${name}-out`)]);
      expect([status, err], err).toEqual([
        1,
        expect.stringMatching(/\.parquet (is empty|cannot be read as Parquet): /),
      ]);
      expect(err.trim().split('\n')).toHaveLength(1);
    }
    const pipe = join(dir, 'pipe.csv');
    spawnSync('mkfifo', [pipe]);
    expect(run([pipe, '--out', join(dir, 'pipe-out')])).toMatchObject({
      status: 1,
      err: expect.stringContaining('pipe.csv is no regular file'),
    });
    expect(run(['--format', 'xls', 'a.csv'])).toMatchObject({ status: 2, err: expect.stringContaining('--format is') });
  });

  it('takes lists that hold nothing for a dimension of 0, as the cache of a language model at its beginning', async () => {
    const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,2] x, float[n,2,p,3] past) => (float[n,2] y, float[n,2,p,3] now)
<int64[2] axes = {2, 3}>
{
  s = ReduceSum <keepdims = 0> (past, axes)
  y = Add (x, s)
  now = Identity (past)
}`;
    const of = (past: number): Readonly<Record<string, ort.Tensor>> => ({
      x: new ort.Tensor('float32', Float32Array.of(1, 2), [1, 2]),
      past: new ort.Tensor('float32', new Float32Array(6 * past).fill(1), [1, 2, past, 3]),
    });
    const place = join(dir, 'past');
    await buildBundle(
      batch,
      { ...(await makeArtifact(await tempDir(), text, [of(0), of(2)])), name: 'past' },
      {},
      place,
    );
    linkModules(place, 'npm ci --omit=dev');
    expect(await checkBundle(place)).toMatchObject({ findings: [] });
    const rows = ['[]', '[[],[]]', '[[[1,1,1]],[[2,2,2]]]', '[[[1,1,1]],[]]'].map(
      (past) => `{"x":[1,2],"past":${past}}`,
    );
    const { stdout } = spawnSync(process.execPath, ['run-batch.mjs', '-'], {
      cwd: place,
      input: `${rows.join('\n')}\n`,
    });
    expect(
      stdout
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
    ).toEqual([
      { y: [1, 2], now: [] },
      { y: [1, 2], now: [] },
      { y: [4, 8], now: [1, 1, 1, 2, 2, 2] },
      { error: 'column "past" has 3 elements, and the input "past" takes [2, p, 3]' },
    ]);
  });

  it('comes with what Kubernetes and Argo take', async () => {
    const text = (name: string): Promise<string> => readFile(join(bundle, 'deploy', name), 'utf8');
    expect(await validateManifests(await text('job.yaml'))).toEqual(['batch/v1/Job']);
    const workflow = await text('argo-workflow.yaml');
    expect(await validateManifests(workflow)).toEqual(['argoproj.io/v1alpha1/Workflow']);
    await expect(validateManifests(workflow.replace('tasks:', 'task:'))).rejects.toThrow();
  });

  it('answers partitions of Spark, and has a Ray entry that does not hide Ray', async ({ skip }) => {
    // A module of that name in the folder of the script would be what "import ray" finds.
    expect(await readdir(join(bundle, 'deploy'))).toEqual([
      'argo-workflow.yaml',
      'job.yaml',
      'ray_batch.py',
      'spark_batch.py',
    ]);
    if (!has('python3')) {
      note('no python3 on this machine: the Spark and Ray entries are not run');
      return skip();
    }
    const program = `
import ast, decimal, json, sys, types
sql = types.ModuleType("pyspark.sql")
sql.SparkSession = None
sys.modules["pyspark"], sys.modules["pyspark.sql"] = types.ModuleType("pyspark"), sql
sys.path.insert(0, "bundle/deploy")
import spark_batch
class Row(dict):
    def asDict(self, recursive): return dict(self)
print(json.dumps(list(spark_batch.predict(Row(x=[n, 1, 1], day=decimal.Decimal(n)) for n in range(3)))))
print(json.dumps(list(spark_batch.predict([]))))
ast.parse(open("bundle/deploy/ray_batch.py").read())`;
    const { stdout, stderr } = spawnSync('python3', ['-c', program], { cwd: dir, encoding: 'utf8' });
    const [some, none] = stdout.trim().split('\n');
    expect(stderr).toBe('');
    const lines = (JSON.parse(some ?? '') as string[]).map((line) => JSON.parse(line) as object);
    expect(lines).toEqual(
      [0, 1, 2].map((n) => ({ x: [n, 1, 1], day: String(n), prediction: { y: [n + 2, 2 * n + 4] } })),
    );
    expect(none).toBe('[]');
  });

  it.each([
    [[], 'which files?'],
    [['x.txt'], 'must end in .parquet'],
    [['x.csv', '--shard', '3/2'], '--shard is'],
    [['x.csv', '--format', 'xml'], '--format is parquet, csv or jsonl'],
    [['missing.csv'], 'no such file'],
  ])('refuses %j', (args, message) => {
    const { status, err } = run([...args, '--out', join(dir, 'never')]);
    expect(status).not.toBe(0);
    expect(err).toContain(message);
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});
