import { truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Batch } from '../../src/data/dataset.ts';
import type { ModelInput } from '../../src/data/model-input.ts';
import { openDataset } from '../../src/data/open-dataset.ts';
import { UserError } from '../../src/errors.ts';
import { toNumbers } from '../../src/ir/tensor.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-tables-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const put = (name: string, text: string): void => writeFileSync(join(dir, name), text);
const describeAs = (json: Record<string, unknown>): void =>
  put('dataset.json', JSON.stringify({ schema: 'mlpack.dataset/1', ...json }));

const age: ModelInput = { name: 'age', dtype: 'int64', shape: ['n', 1] };
const income: ModelInput = { name: 'income', dtype: 'float32', shape: ['n', 1] };
const code: ModelInput = { name: 'code', dtype: 'string', shape: ['n'] };

async function first(inputs: readonly ModelInput[]): Promise<{ batch: Batch | undefined; notes: readonly string[] }> {
  const dataset = await openDataset(dir, inputs);
  try {
    for await (const batch of dataset.batches({ inputs, batch: 2 })) return { batch, notes: dataset.notes };
    return { batch: undefined, notes: dataset.notes };
  } finally {
    await dataset.close();
  }
}

const texts = (batch: Batch | undefined, name: string): string[] | undefined =>
  batch?.feeds
    .get(name)
    ?.strings?.()
    .map((bytes) => Buffer.from(bytes).toString());

async function refusal(inputs: readonly ModelInput[]): Promise<string> {
  const error: unknown = await first(inputs).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UserError);
  return (error as UserError).message;
}

describe('cells that are no numbers are named', () => {
  const column = { file: 't.csv', columns: ['income'] };

  test.each([
    ['a decimal comma', '32970,5', 'write a point before decimals, and nothing between thousands (1234.5)'],
    ['points between thousands', '1.234.567,89', 'write a point before decimals'],
    ['a word', 'unknown', 'leave cells empty where a value is missing'],
  ])('%s, with and without a type', async (_, cell, advice) => {
    put('t.csv', `age;income\n1;7\n2;${cell}\n`);
    for (const dtype of ['float32', undefined]) {
      describeAs({ inputs: { income: { ...column, dtype } } });
      const said = await refusal([income]);
      expect(said).toContain(`t.csv: column "income" has "${cell}" in row 2, which is no number`);
      expect(said).toContain(advice);
    }
  });

  test('among targets', async () => {
    put('t.csv', 'income;y\n7;0,5\n');
    describeAs({ inputs: { income: column }, targets: { file: 't.csv', columns: ['y'] }, metric: 'rmse' });
    expect(await refusal([income])).toContain('targets are numbers, but');
    expect(await refusal([income])).toContain('column "y" has "0,5" in row 1');
  });

  test('and a file that is more than a text may have', async () => {
    put('t.csv', '');
    truncateSync(join(dir, 't.csv'), 600_000_000);
    describeAs({ inputs: { income: column } });
    expect(await refusal([income])).toContain('has 600000000 bytes, more than a text may have');
  });

  test('and a missing value is no word', async () => {
    put('t.csv', 'age,income\n1,7\n2,\n');
    describeAs({ inputs: { income: column } });
    const { batch } = await first([income]);
    expect([...(toNumbers(batch?.feeds.get('income') as never) ?? [])]).toEqual([7, Number.NaN]);
  });
});

test('a whole number that is missing or has decimals is refused, not fed as another', async () => {
  describeAs({ inputs: { age: { file: 't.csv', columns: ['age'], dtype: 'int32' } } });
  const whole = [{ ...age, dtype: 'int32' }];
  put('t.csv', 'id,age\n1,7\n2,\n');
  expect(await refusal(whole)).toContain('column "age" has no number in row 2, and int32 takes whole numbers');
  put('t.csv', 'id,age\n1,7.5\n2,8\n');
  expect(await refusal(whole)).toContain('column "age" has 7.5 in row 1');
  put('t.csv', 'id,age\n1,7.0\n2,8e0\n');
  expect(toNumbers((await first(whole)).batch?.feeds.get('age') as never)).toEqual([7, 8]);
});

test('digits feed an input of strings as they stand, and "dtype" says otherwise', async () => {
  put('t.csv', 'code\n08001\n1e3\n');
  describeAs({ inputs: { code: { file: 't.csv', columns: ['code'] } } });
  expect(texts((await first([code])).batch, 'code')).toEqual(['08001', '1e3']);
  describeAs({ inputs: { code: { file: 't.csv', columns: ['code'], dtype: 'float32' } } });
  expect(await refusal([code])).toContain('say "dtype": "string" for "code"');
});

test('whole numbers feed an input of integers without a word about their type', async () => {
  describeAs({ inputs: { age: { file: 't.csv', columns: ['age'], calibration: 'c.csv' } } });
  put('c.csv', 'age\n1\n');
  put('t.csv', 'age\n7\n8.0\n');
  const { batch } = await first([age]);
  expect(batch?.feeds.get('age')?.dtype).toBe('int64');
  expect(toNumbers(batch?.feeds.get('age') as never)).toEqual([7, 8]);
  put('c.csv', 'age\n1.5\n');
  expect(await refusal([age])).toContain('column "age" has 1.5 in row 1, and int64 takes whole numbers');
});

describe('without a dataset.json, columns named like the inputs feed them', () => {
  test('with their types, classes, and a table for calibration', async () => {
    put('test.csv', '\uFEFF"code";"age";"income";"label"\r\n"08001";"41";"7.5";"yes"\r\n"8002";"20";"";"no"\r\n');
    put('train.csv', 'code,age,income,label\n1,2,3,no\n');
    const { batch, notes } = await first([age, income, code]);
    expect(toNumbers(batch?.feeds.get('age') as never)).toEqual([41, 20]);
    expect(batch?.feeds.get('age')?.shape).toEqual([2, 1]);
    expect(texts(batch, 'code')).toEqual(['08001', '8002']);
    expect(batch?.labels).toEqual([1, 0]);
    expect(notes).toEqual([
      'Without a dataset.json: columns of test.csv feed the inputs of their names (age, income, code), those of train.csv calibrate them.',
      'Without a dataset.json: its column "label" gives the classes, judged by top1.',
    ]);
  });

  test('with targets', async () => {
    put('t.jsonl', '{"age": 3, "target": 0.5}\n');
    const { batch, notes } = await first([age]);
    expect(toNumbers(batch?.targets as never)).toEqual([0.5]);
    expect(notes.at(-1)).toContain('"target" is what the first output should equal, judged by rmse');
  });

  test.each([
    ['two tables', { 'a.csv': 'age\n1\n', 'b.csv': 'age\n1\n' }, 'several tables have a column for each input'],
    ['labels and targets', { 'a.csv': 'age,label,target\n1,1,1\n' }, 'columns "label" and "target"'],
    ['a column that is lacking', { 'a.csv': 'age,incom\n1,1\n' }, 'none for "income" (did you mean "incom"?)'],
    ['other columns', { 'a.csv': 'x,y\n1,1\n' }, 'of a.csv say in a dataset.json which "columns" feed what'],
  ])('%s: refused', async (_, files, message) => {
    for (const [name, text] of Object.entries(files)) put(name, text);
    expect(await refusal(message.includes('"income"') ? [age, income] : [age])).toContain(message);
  });
});
