import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';
import { calibrationFile, help, type InferContext, type Inferred, noLabels } from './inferred.ts';
import { Fields } from './json-fields.ts';
import type { ModelInput } from './model-input.ts';
import { parseArray, parseInput } from './parse-input.ts';
import { columnsOf } from './table.ts';

export const tableEnding = /\.(jsonl|ndjson|csv|tsv|parquet)$/i;

/** One table with a column for each input; its columns "label" or "target" are what the model should answer. */
export async function inferColumns(
  dir: string,
  files: readonly string[],
  inputs: readonly ModelInput[],
  { notes }: InferContext,
): Promise<Inferred | undefined> {
  // Arrays are told by their names, without a look into tables that may lie beside them.
  if (files.some((file) => file.endsWith('.npy'))) return undefined;
  const known = new Map<string, readonly string[]>();
  for (const file of files) if (tableEnding.test(file)) known.set(file, await columnsOf(join(dir, file)));
  const fitting = [...known].filter(([, columns]) => inputs.every(({ name }) => columns.includes(name)));
  const evaluation = fitting.filter(([file]) => !calibrationFile.test(file));
  const calibration = fitting.map(([file]) => file).filter((file) => calibrationFile.test(file));
  const [[file, columns] = []] = evaluation;
  if (file === undefined || columns === undefined) {
    refuseNearMiss(dir, known, inputs);
    return undefined;
  }
  if (evaluation.length > 1 || calibration.length > 1)
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and several tables have a column for each input of the model (${fitting.map(([name]) => name).join(', ')}). ${help}`,
    );
  const answers = ['label', 'target'].filter(
    (name) => columns.includes(name) && !inputs.some((one) => one.name === name),
  );
  if (answers.length > 1)
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and ${file} has the columns "label" and "target": either could be what the model should answer. ${help}`,
    );
  const section = Object.fromEntries(
    inputs.map(({ name, dtype }) => [name, { file, calibration: calibration[0], columns: [name], dtype }]),
  );
  const specs = new Map(
    Object.entries(section).map(([name, value]) => [name, parseInput(value, `inputs["${name}"]`, {})]),
  );
  const [answer] = answers;
  notes.push(
    `Without a dataset.json: columns of ${file} feed the inputs of their names (${inputs.map(({ name }) => name).join(', ')})${calibration.length > 0 ? `, those of ${calibration[0]} calibrate them` : ''}.`,
  );
  if (answer === 'label') notes.push(`Without a dataset.json: its column "label" gives the classes, judged by top1.`);
  if (answer === 'target')
    notes.push(`Without a dataset.json: its column "target" is what the first output should equal, judged by rmse.`);
  return {
    inputs: specs,
    labels: answer === 'label' ? { ...noLabels, file } : undefined,
    targets:
      answer === 'target'
        ? parseArray(new Fields({ file, columns: ['target'], dtype: 'float64' }, 'targets'), 'targets')
        : undefined,
    preprocessing: section,
  };
}

/** A table with columns for some of the inputs was meant to feed them all. */
function refuseNearMiss(
  dir: string,
  tables: ReadonlyMap<string, readonly string[]>,
  inputs: readonly ModelInput[],
): void {
  for (const [file, columns] of tables) {
    const missing = inputs.find(({ name }) => !columns.includes(name));
    if (missing === undefined || !inputs.some(({ name }) => columns.includes(name))) continue;
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and ${file} has columns for some inputs of the model, but none for "${missing.name}"${nearest(missing.name, columns)}. Name the column so, or write a dataset.json that says which "columns" feed what.`,
    );
  }
}
