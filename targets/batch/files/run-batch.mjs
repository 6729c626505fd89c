/**
 * Predictions for tables: `node run-batch.mjs data/*.parquet --out predictions`. `-` instead of files reads JSON Lines from
 * stdin and writes them to stdout. README.md has all flags.
 */

import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { beginJob, doneBefore, removeParts } from './batch/job.mjs';
import { keptTypes } from './batch/kept.mjs';
import { answerLines } from './batch/lines.mjs';
import { openModel } from './batch/open.mjs';
import { encodeRows, keptValue, removeIfThere, typesOf, writeWhole } from './batch/parts.mjs';
import { columnsProblem, keptProblem, planPiece } from './batch/plan.mjs';
import { predict } from './batch/predict.mjs';
import { formatOf, pieces } from './batch/tables.mjs';

const dir = dirname(fileURLToPath(import.meta.url));
const say = (text) => process.stderr.write(`${text}\n`);

const formats = ['parquet', 'csv', 'jsonl'];

function settings() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string', short: 'o', default: 'predictions' },
      format: { type: 'string', default: 'parquet' },
      columns: { type: 'string', multiple: true, default: [] },
      keep: { type: 'string', default: '' },
      shard: {
        type: 'string',
        default: process.env.JOB_COMPLETION_INDEX
          ? `${process.env.JOB_COMPLETION_INDEX}/${process.env.SHARDS ?? '1'}`
          : '0/1',
      },
      batch: { type: 'string', default: '0' },
      'max-errors': { type: 'string', default: '' },
      restart: { type: 'boolean', default: false },
    },
  });
  if (positionals.length === 0) throw new Error('which files? node run-batch.mjs data.parquet --out predictions');
  if (!formats.includes(values.format)) throw new Error(`--format is parquet, csv or jsonl, not "${values.format}"`);
  const [, index, count] = values.shard.match(/^(\d+)\/(\d+)$/)?.map(Number) ?? [];
  if (!(index < count)) throw new Error(`--shard is <number>/<how many>, counted from 0, not "${values.shard}"`);
  const columns = Object.fromEntries(
    values.columns.map((text) => {
      const [, input, list] = text.match(/^([^=]*)=(.*)$/s) ?? [];
      if (!list) throw new Error(`--columns is <input>=<column>,<column>…, not "${text}"`);
      return [input, list.split(',')];
    }),
  );
  const batch = Number(values.batch);
  if (!Number.isInteger(batch) || batch < 0) throw new Error(`--batch is a whole number, not "${values.batch}"`);
  const maxErrors = values['max-errors'] === '' ? Number.POSITIVE_INFINITY : Number(values['max-errors']);
  if (Number.isNaN(maxErrors)) throw new Error(`--max-errors is a number, not "${values['max-errors']}"`);
  const keep = values.keep === '' ? [] : values.keep.split(',');
  return { ...values, files: positionals, columns, keep, batch, maxErrors, index, count };
}

/** This shard's pieces. @param {Set<string>} names filled with those of all */
async function* work({ files, index, count }, names) {
  let number = 0;
  for (const [f, path] of files.entries()) {
    let p = 0;
    for await (const piece of pieces(path)) {
      const name = `part-${String(f).padStart(5, '0')}-${String(p).padStart(5, '0')}`;
      names.add(name);
      if (number++ % count === index) yield { path, piece, name };
      p++;
    }
  }
}

async function makeFolder(path) {
  try {
    await mkdir(path, { recursive: true });
  } catch {
    // With its parents, a disk that nobody may write to is "no such file": alone it says why.
    const { message } = (await mkdir(path).catch((error) => error)) ?? {};
    if (message !== undefined) throw new Error(`the folder ${path} cannot be made: ${message}`);
  }
}

async function runFiles(options) {
  for (const path of options.files) formatOf(path);
  const model = await openModel(dir);
  const wrong = columnsProblem(model.info, options.columns) ?? keptProblem(model.info, options.keep);
  if (wrong !== undefined) throw new Error(wrong);
  await makeFolder(options.out);
  const job = await beginJob(options, model);
  model.batch = job.batch;
  const progress = { written: false };
  try {
    await answerFiles(options, model, job, progress);
  } catch (error) {
    if (!progress.written) await job.withdraw();
    throw error;
  }
}

async function answerFiles(options, model, job, progress) {
  const given =
    options.format === 'parquet' && options.keep.length > 0 ? await keptTypes(options.files, options.keep) : {};
  const total = { rows: 0, errors: 0, parts: 0, resumed: 0 };
  let firstError;
  const names = new Set();
  for await (const { path, piece, name } of work(options, names)) {
    const done = join(options.out, `${name}.done`);
    const before = await doneBefore(done, job);
    const counts = before ?? (await onePiece());
    if (before !== undefined) total.resumed++;
    total.rows += counts.rows;
    total.errors += counts.errors;
    total.parts++;
    say(`${name}: ${counts.rows} rows, ${counts.errors} errors${before === undefined ? '' : ' (done before)'}`);
    if (total.errors > options.maxErrors)
      throw new Error(`${total.errors} rows could not be used, more than --max-errors ${options.maxErrors}`);

    async function onePiece() {
      const table = await piece.rows();
      const plan = planPiece(model.info, options, piece, table);
      const { good, bad } = await predict(model, plan, table);
      firstError ??= bad[0]?.error;
      const rowOf = (i) => piece.first + i;
      const kept = (i) => Object.fromEntries(options.keep.map((column) => [column, keptValue(table[i][column])]));
      const answers = good.map(({ index: i, columns: values }) => ({ row: rowOf(i), ...kept(i), ...values }));
      const errors = bad.map(({ index: i, error }) => ({ file: basename(path), row: rowOf(i), error }));
      await job.sameFiles([path]);
      progress.written = true;
      await removeIfThere(join(options.out, `${name}.errors.jsonl`));
      // What other work that was broken off has left of this piece, whatever its form.
      if (options.restart) for (const ending of formats) await removeIfThere(join(options.out, `${name}.${ending}`));
      if (errors.length > 0) await writeWhole(join(options.out, `${name}.errors.jsonl`), encodeRows(errors, 'jsonl'));
      if (answers.length > 0)
        await writeWhole(
          join(options.out, `${name}.${options.format}`),
          encodeRows(answers, options.format, typesOf(model.info, options.keep, piece.types ?? given)),
        );
      const result = { rows: answers.length, errors: errors.length };
      // Last: what has this file is whole.
      await writeWhole(done, `${JSON.stringify({ ...result, id: job.id, shard: options.index })}\n`);
      return result;
    }
  }
  // Of other work that was broken off, pieces that this one has none of.
  if (options.restart) await removeParts(options.out, (name) => !names.has(name));
  await model.close();
  // One that is left out is an error of its row, all of them one of the table or the flags.
  if (total.rows === 0 && total.errors > 0)
    throw new Error(`none of the ${total.errors} rows could be used; the first: ${firstError}`);
  await job.sameFiles(options.files);
  const { resumed, ...counts } = total;
  await writeWhole(
    join(options.out, options.count > 1 ? `_SUCCESS-${options.index}` : '_SUCCESS'),
    `${JSON.stringify(counts)}\n`,
  );
  say(`${total.rows} rows in ${total.parts} parts, ${total.errors} errors, ${resumed} parts were done before`);
}

async function runLines({ columns }) {
  const model = await openModel(dir);
  const wrong = columnsProblem(model.info, columns);
  if (wrong !== undefined) throw new Error(wrong);
  model.batch = 1;
  await answerLines(model, columns);
  await model.close();
}

function told() {
  try {
    return settings();
  } catch (error) {
    say(error.message);
    process.exit(2);
  }
}

try {
  const options = told();
  await (options.files[0] === '-' ? runLines(options) : runFiles(options));
} catch (error) {
  say(error.message);
  process.exit(1);
}
