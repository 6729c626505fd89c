import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { batch } from '../../targets/batch/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('batch') ?? '';
const dir = await tempDir();

/** Weights that tell the columns apart. */
const places = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,3] x) => (float[n,1] y)
<float[3,1] w = {100, 10, 1}>
{
  y = MatMul (x, w)
}`;

/** A table in each row, handed through in its order. */
const planes = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,2,3] x) => (float[n,6] y) { y = Flatten (x) }`;

/** As many rows out as there are elements above zero, whatever the number of rows. */
const found = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,3] x) => (int64[m,2] y)
<float zero = {0}>
{
  above = Greater (x, zero)
  where = NonZero (above)
  y = Transpose <perm = [1, 0]> (where)
}`;

const hashes = `<ir_version: 8, opset_import: ["" : 17]>
main (uint64[n,1] h, int64[n,1] i) => (uint64[n,1] same, int64[n,1] too)
{
  same = Identity (h)
  too = Identity (i)
}`;

async function bundleOf(name: string, text: string, feeds: Readonly<Record<string, ort.Tensor>>): Promise<void> {
  const place = join(dir, name);
  await buildBundle(batch, { ...(await makeArtifact(await tempDir(), text, [feeds])), name }, {}, place);
  await symlink(modules, join(place, 'node_modules'));
}

function run(name: string, args: string[], input = ''): { status: number | null; out: string; err: string } {
  const given = { cwd: join(dir, name), input, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['run-batch.mjs', ...args], given);
  return { status, out: stdout, err: stderr };
}

async function file(name: string, text: string): Promise<string> {
  await mkdir(join(dir, 'data'), { recursive: true });
  await writeFile(join(dir, 'data', name), text);
  return join(dir, 'data', name);
}

async function parquet(name: string, columnData: object[], options: object = {}): Promise<string> {
  const { parquetWriteFile } = (await import(join(modules, 'hyparquet-writer/src/node.js'))) as {
    parquetWriteFile(options: object): unknown;
  };
  const filename = await file(name, '');
  await parquetWriteFile({ filename, columnData, ...options });
  return filename;
}

async function lines(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function parquetRows(path: string): Promise<Record<string, unknown>[]> {
  const bytes = await readFile(path);
  return parquetReadObjects({ file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) });
}

describe.skipIf(modules === '')('tables of the batch program', () => {
  beforeAll(async () => {
    const x = new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]);
    await bundleOf('places', places, { x });
    await bundleOf('planes', planes, { x: new ort.Tensor('float32', new Float32Array(6), [1, 2, 3]) });
    await bundleOf('found', found, { x });
    const one = BigUint64Array.of(1n);
    await bundleOf('hashes', hashes, {
      h: new ort.Tensor('uint64', one, [1, 1]),
      i: new ort.Tensor('int64', BigInt64Array.of(1n), [1, 1]),
    });
  });

  it('takes a line of JSON to end where the line ends, and no sooner', async () => {
    const path = await file(
      'separators.jsonl',
      '\ufeff{"id":"a\u2028b","x":[1,2,3]}\r\n\r\n{"id":"c\u2029\u0085","x":[4,5,6]}',
    );
    const out = join(dir, 'separators');
    expect(run('places', [path, '--out', out, '--format', 'jsonl', '--keep', 'id'])).toMatchObject({ status: 0 });
    expect(await lines(join(out, 'part-00000-00000.jsonl'))).toEqual([
      { row: 0, id: 'a\u2028b', y: 123 },
      { row: 1, id: 'c\u2029\u0085', y: 456 },
    ]);
    expect(await readdir(out)).not.toContain('part-00000-00000.errors.jsonl');
  });

  it('keeps ids beyond 2^53 and moments as they are, in every format', async () => {
    const ids = [9_007_199_254_740_993n, 5n];
    const path = await parquet('ids.parquet', [
      { name: 'id', data: ids, type: 'INT64' },
      { name: 'when', data: [new Date(1_700_000_000_123), new Date(0)], type: 'TIMESTAMP' },
      {
        name: 'x',
        data: [
          [1, 2, 3],
          [4, 5, 6],
        ],
        type: 'JSON',
      },
    ]);
    for (const format of ['parquet', 'csv', 'jsonl'])
      expect(
        run('places', [path, '--out', join(dir, `ids-${format}`), '--format', format, '--keep', 'id,when']),
      ).toMatchObject({ status: 0 });
    const [first, second] = await parquetRows(join(dir, 'ids-parquet/part-00000-00000.parquet'));
    expect(first).toMatchObject({ id: ids[0], when: '2023-11-14T22:13:20.123Z', y: 123 });
    expect(second).toMatchObject({ id: 5n });
    expect(await readFile(join(dir, 'ids-csv/part-00000-00000.csv'), 'utf8')).toContain(
      '\n0,9007199254740993,2023-11-14T22:13:20.123Z,123\n',
    );
    expect(await lines(join(dir, 'ids-jsonl/part-00000-00000.jsonl'))).toMatchObject([
      { id: '9007199254740993', when: '2023-11-14T22:13:20.123Z' },
      { id: 5 },
    ]);
  });

  it('gives a kept column of Parquet one type in all parts, whatever is null in one of them', async () => {
    const columns = [
      { name: 'id', data: ['a', 'b', null], type: 'STRING' },
      { name: 'n', data: [null, 2n, 3n], type: 'INT64' },
      ...['x1', 'x2', 'x3'].map((name) => ({ name, data: [1, 2, 3], type: 'DOUBLE' })),
    ];
    const path = await parquet('nulls.parquet', columns, { rowGroupSize: 1 });
    const out = join(dir, 'nulls');
    expect(run('places', [path, '--out', out, '--keep', 'id,n'])).toMatchObject({ status: 0 });
    for (const part of [0, 1, 2]) {
      const bytes = await readFile(join(out, `part-00000-0000${part}.parquet`));
      const { schema } = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      const types = schema.filter(({ name }) => name === 'id' || name === 'n').map(({ type }) => type);
      expect(types, String(part)).toEqual(['BYTE_ARRAY', 'INT64']);
    }
  });

  it('gives a kept column of JSON Lines one type in all parts, too', async () => {
    const row = (i: number): object => ({
      x: [1, 2, 3],
      note: i < 9000 ? null : 'late',
      score: i < 9000 ? null : 0.5,
      mixed: i < 9000 ? 1 : 'one',
      flag: i < 9000 ? null : true,
      list: i < 9000 ? [null, 1] : [2, 3],
      never: null,
    });
    const path = await file(
      'nulls.jsonl',
      Array.from({ length: 9010 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''),
    );
    const out = join(dir, 'nulls-lines');
    const keep = ['note', 'score', 'mixed', 'flag', 'list', 'never'];
    expect(run('places', [path, '--out', out, '--keep', keep.join()])).toMatchObject({ status: 0 });
    for (const part of [0, 1]) {
      const bytes = await readFile(join(out, `part-00000-0000${part}.parquet`));
      const { schema } = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      const types = Object.fromEntries(schema.map(({ name, type }) => [name, type]));
      expect(types, String(part)).toMatchObject({
        note: 'BYTE_ARRAY',
        score: 'DOUBLE',
        mixed: 'BYTE_ARRAY',
        flag: 'BOOLEAN',
        'list.0': 'DOUBLE',
        'list.1': 'DOUBLE',
        never: 'BYTE_ARRAY',
      });
    }
    const late = (await parquetRows(join(out, 'part-00000-00001.parquet'))).at(-1);
    expect(late).toMatchObject({ note: 'late', score: 0.5, mixed: 'one', flag: true, 'list.0': 2 });
  });

  it('names the file that cannot be written, and leaves nothing of it', async () => {
    const { writeWhole } = (await import(join(dir, 'places/batch/parts.mjs'))) as {
      writeWhole(path: string, bytes: string): Promise<void>;
    };
    // A folder of the name: the rename fails when all has been written.
    const path = join(dir, 'data/taken');
    await mkdir(join(path, 'full'), { recursive: true });
    await expect(writeWhole(path, 'text')).rejects.toThrow(`${path} cannot be written: `);
    expect((await readdir(join(dir, 'data'))).filter((name) => name.startsWith('taken'))).toEqual(['taken']);
  });

  it('leaves nothing unfinished of other work where several shards begin anew', async () => {
    const out = join(dir, 'shards');
    await mkdir(out);
    const rows = await file('shards.csv', `a,b,c\n${'0,0,1\n'.repeat(8193)}`);
    // As a crash leaves them: of a piece that is there, in another form, and of one that is not.
    for (const name of ['part-00000-00001.csv', 'part-00000-00007.parquet', 'part-00002-00000.jsonl.tmp', 'mine.csv'])
      await writeFile(join(out, name), 'half');
    for (const shard of ['0/2', '1/2']) {
      const args = [rows, '--out', out, '--format', 'jsonl', '--restart', '--shard', shard];
      expect(run('places', args)).toMatchObject({ status: 0 });
    }
    const left = (await readdir(out)).filter((name) => !/^_|\.done$/.test(name));
    expect(left.sort()).toEqual(['mine.csv', 'part-00000-00000.jsonl', 'part-00000-00001.jsonl']);
  });

  it('does not take one column for another: two of one name, lists of another shape', async () => {
    const twice = await file('twice.csv', 'a,a,b\n1,2,3\n');
    const { status, err } = run('places', [twice, '--out', join(dir, 'twice')]);
    expect([status, err]).toEqual([1, expect.stringContaining('two columns are named "a"')]);
    const rows = [[[1], [2], [3]], [[1, 2, 3]], [1, 2, 3], [[1, 2], [3]], [[[1, 2, 3]]], [[1], [2, 3]]];
    const input = rows.map((x) => `${JSON.stringify({ x })}\n`).join('');
    const answers = run('places', ['-'], input).out.trimEnd().split('\n');
    expect(answers.map((line) => (line.includes('error') ? 'error' : line))).toEqual([
      '{"y":123}',
      '{"y":123}',
      '{"y":123}',
      'error',
      '{"y":123}',
      'error',
    ]);
    const tables = [
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [1, 2, 3, 4, 5, 6],
    ];
    const asked = tables.map((x) => `${JSON.stringify({ x })}\n`).join('');
    const [wrong, ...good] = run('planes', ['-'], asked).out.trimEnd().split('\n');
    expect(wrong).toContain('column \\"x\\" has lists of [3, 2], and the input \\"x\\" takes [2, 3]');
    expect(good).toEqual(['{"y":[1,2,3,4,5,6]}', '{"y":[1,2,3,4,5,6]}']);
  });

  it('does not take the rest of a file for one cell where a quote is never closed', async () => {
    const path = await file('quote.csv', 'a,b,c\n1,2,3\n"4,5,6\n7,8,9\n1,1,1\n');
    const out = join(dir, 'quote');
    const { status, err } = run('places', [path, '--out', out]);
    expect([status, err]).toEqual([
      1,
      expect.stringContaining('quote.csv: a quote that line 3 opens is closed nowhere'),
    ]);
    expect(await readdir(out)).not.toContain('_SUCCESS');
  });

  it('puts rows aside whose bytes are not UTF-8, instead of other text in their place', async () => {
    const name = (bytes: number[]): Buffer => Buffer.from(bytes);
    const table = (rows: Buffer[]): Buffer => Buffer.concat(rows.flatMap((row) => [row, Buffer.from('\n')]));
    const cells = (text: Buffer): Buffer => Buffer.concat([Buffer.from('1,2,3,'), text]);
    // Windows-1252 and UTF-8.
    const texts = [name([0x63, 0xe9]), Buffer.from('é€😀')];
    const path = await file('latin.csv', '');
    await writeFile(path, table([Buffer.from('a,b,c,who'), ...texts.map(cells)]));
    const out = join(dir, 'latin');
    const args = ['--keep', 'who', '--format', 'jsonl'];
    expect(run('places', [path, '--out', out, ...args])).toMatchObject({ status: 0 });
    expect(await lines(join(out, 'part-00000-00000.errors.jsonl'))).toMatchObject([
      { row: 0, error: 'the row is not UTF-8' },
    ]);
    expect((await lines(join(out, 'part-00000-00000.jsonl'))).map((row) => row.row)).toEqual([1]);

    const json = texts.map((text) => Buffer.concat([Buffer.from('{"x":[1,2,3],"who":"'), text, Buffer.from('"}')]));
    const whole = await file('latin.jsonl', '');
    await writeFile(whole, table([json[1], json[0], json[1]].map((row) => row ?? Buffer.alloc(0))));
    expect(run('places', [whole, '--out', `${out}-lines`, ...args])).toMatchObject({ status: 0 });
    expect(await lines(join(`${out}-lines`, 'part-00000-00000.errors.jsonl'))).toMatchObject([
      { row: 1, error: 'the line is not UTF-8' },
    ]);
    expect(await lines(join(`${out}-lines`, 'part-00000-00000.jsonl'))).toMatchObject([
      { who: 'é€😀' },
      { who: 'é€😀' },
    ]);

    const wide = await file('wide.csv', '');
    await writeFile(wide, Buffer.from('\ufeffa,b,c\r\n1,2,3\r\n', 'utf16le'));
    const { status, err } = run('places', [wide, '--out', `${out}-wide`]);
    expect([status, err]).toEqual([1, expect.stringMatching(/^\S+wide\.csv is not UTF-8, by its first line; .*\n$/)]);
  });

  it('cuts no letter where the pieces of a file end', async () => {
    // 64 kB are read at once: letters of two, three and four bytes lie across each end. The last one is a letter like others.
    const text = (i: number): string => `${'a'.repeat(i % 7)}${'é€😀'.repeat(20)}\ufffd`;
    const path = await file(
      'cut.jsonl',
      Array.from({ length: 2000 }, (_, i) => `${JSON.stringify({ x: [1, 2, 3], who: text(i) })}\n`).join(''),
    );
    const out = join(dir, 'cut');
    expect(run('places', [path, '--out', out, '--keep', 'who', '--format', 'jsonl'])).toMatchObject({ status: 0 });
    expect((await lines(join(out, 'part-00000-00000.jsonl'))).map(({ who }) => who)).toEqual(
      Array.from({ length: 2000 }, (_, i) => text(i)),
    );
  });

  it('reads whole numbers of JSON beyond 2^53 exactly, and no other differently', async () => {
    const rows = [
      '{"id":9007199254740993,"h":18446744073709551615,"i":-9223372036854775808}',
      '{"id":"9007199254740993 of \\"12345678901234567890\\"","h":1,"i":9007199254740991}',
      '{"id":0.12345678901234567890,"h":1,"i":[-12345678901234567]}',
    ];
    const path = await file('exact.jsonl', rows.join('\n'));
    const out = join(dir, 'exact');
    expect(run('hashes', [path, '--out', out, '--format', 'jsonl', '--keep', 'id'])).toMatchObject({ status: 0 });
    expect(await lines(join(out, 'part-00000-00000.jsonl'))).toEqual([
      { row: 0, id: '9007199254740993', same: '18446744073709551615', too: '-9223372036854775808' },
      { row: 1, id: '9007199254740993 of "12345678901234567890"', same: 1, too: 9_007_199_254_740_991 },
      { row: 2, id: 0.12345678901234568, same: 1, too: '-12345678901234567' },
    ]);
  });

  it('says of a kept column that there is none, or that its name is taken', async () => {
    const path = await file('keep.csv', 'a,b,c,y,row\n1,2,3,4,5\n');
    const out = join(dir, 'keep');
    const refused = (keep: string): string =>
      run('places', [path, '--out', out, '--columns', 'x=a,b,c', '--keep', keep]).err;
    expect(refused('A')).toContain('no column "A" to keep; it has a, b, c, y, row');
    expect(refused('y')).toContain('--keep y');
    expect(refused('y.0')).toContain('--keep y.0');
    expect(refused('row')).toContain('--keep row');
  });

  it('takes columns in the order of the table, also those that are named by numbers, each file by its own names', async () => {
    const years = await file('years.csv', '2024,2023,2022\n1,2,3\n');
    const equal = await file('equal.csv', 'a=1,b,c\n1,2,3\n');
    expect(run('places', [equal, '--out', join(dir, 'equal'), '--columns', 'x=a=1,b,c'])).toMatchObject({ status: 0 });
    const names = await file('names.csv', 'p,q,r\n4,5,6\n');
    const same = await parquet('years.parquet', [
      { name: '2', data: [7], type: 'DOUBLE' },
      { name: '1', data: [8], type: 'DOUBLE' },
      { name: '0', data: [9], type: 'DOUBLE' },
    ]);
    const out = join(dir, 'order');
    expect(run('places', [years, names, same, '--out', out, '--format', 'jsonl'])).toMatchObject({ status: 0 });
    for (const [i, y] of [123, 456, 789].entries())
      expect(await lines(join(out, `part-0000${i}-00000.jsonl`)), String(i)).toEqual([{ row: 0, y }]);
  });

  it('gives a row all that its run found, and no other row a part of it', async () => {
    const path = await file('found.csv', 'a,b,c\n1,1,0\n0,0,0\n0,0,1\n');
    for (const batch of ['0', '2', '3']) {
      const out = join(dir, `found-${batch}`);
      expect(run('found', [path, '--out', out, '--format', 'jsonl', '--batch', batch])).toMatchObject({ status: 0 });
      expect(await lines(join(out, 'part-00000-00000.jsonl')), batch).toEqual([
        { row: 0, y: [0, 0, 0, 1] },
        { row: 1, y: [] },
        { row: 2, y: [0, 2] },
      ]);
    }
  });

  it('holds whole numbers of 64 bits exactly, and refuses those that are none', async () => {
    const path = await parquet('hashes.parquet', [
      { name: 'h', data: [-1n, 2n], type: 'INT64' },
      { name: 'i', data: [1n, -9_007_199_254_740_993n], type: 'INT64' },
    ]);
    const text = await file('hashes.csv', 'h,i\n18446744073709551615,-9007199254740993\n1,9223372036854775808\n');
    const out = join(dir, 'hashed');
    expect(run('hashes', [path, text, '--out', out])).toMatchObject({ status: 0 });
    expect(await parquetRows(join(out, 'part-00000-00000.parquet'))).toEqual([
      { row: 1n, same: expect.anything(), too: -9_007_199_254_740_993n },
    ]);
    const [first] = await parquetRows(join(out, 'part-00001-00000.parquet'));
    expect(String(first?.same)).toBe('18446744073709551615');
    expect(first?.too).toBe(-9_007_199_254_740_993n);
    expect((await lines(join(out, 'part-00000-00000.errors.jsonl')))[0]).toMatchObject({ row: 0 });
    expect((await lines(join(out, 'part-00001-00000.errors.jsonl')))[0]).toMatchObject({ row: 1 });
  });

  it('begins anew without anything of the work before, also when it is ended half-way', async () => {
    const out = join(dir, 'restarted');
    const rows = (from: number, count: number): string =>
      Array.from({ length: count }, (_, i) => `0,0,${from + i}`).join('\n');
    const before = await file('before.csv', `a,b,c\n${rows(0, 20_000)}\n`);
    expect(run('places', [before, '--out', out, '--format', 'jsonl'])).toMatchObject({ status: 0 });
    // The second piece has more errors than are allowed: the work ends there, as it would be by a crash.
    const after = await file('after.csv', `a,b,c\n${rows(50_000, 8192)}\n0,0,z\n${rows(60_000, 100)}\n`);
    const again = [after, '--out', out, '--format', 'jsonl'];
    expect(run('places', [...again, '--restart', '--max-errors', '0'])).toMatchObject({ status: 1 });
    expect((await readdir(out)).filter((name) => /SUCCESS|00002/.test(name))).toEqual([]);
    expect(run('places', again)).toMatchObject({ status: 0 });
    const second = await lines(join(out, 'part-00000-00001.jsonl'));
    expect(second[0]).toEqual({ row: 8193, y: 60_000 });
    expect((await readdir(out)).filter((name) => name.endsWith('.done'))).toHaveLength(2);
    // A shard that was not there before takes nothing of other work for its own.
    const shard = run('places', [before, '--out', out, '--format', 'jsonl', '--shard', '1/2']);
    expect(shard).toMatchObject({ status: 1, err: expect.stringContaining('output of other files') });
  });
});
