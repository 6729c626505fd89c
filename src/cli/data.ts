import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import { type OpenOptions, openDataset } from '../data/open-dataset.ts';
import { findOverlap } from '../data/overlap.ts';
import { openSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import type { IoInfo } from '../report/report.ts';
import type { Session } from './command.ts';
import type { ModelSource } from './model-source.ts';

/**
 * The dataset that was named, or the one that stands beside the model, or none. What was inferred or looks odd is said once.
 * @param inputs the model's; a function is asked only where no dataset.json says what feeds what, or where it leaves types and shapes to the model
 * @throws UserError when the folder named is no dataset, or does not fit.
 */
export async function openData(
  source: ModelSource,
  named: string | undefined,
  session: Session,
  inputs: readonly IoInfo[] | (() => Promise<readonly IoInfo[]>) = () => signatureOf(source.file),
  options: Omit<OpenOptions, 'modelDir'> = {},
): Promise<Dataset | undefined> {
  const dir = named === undefined ? source.data : resolve(session.io.cwd, named);
  if (dir === undefined) return undefined;
  if (!existsSync(dir) || !statSync(dir).isDirectory()) {
    const why = existsSync(dir)
      ? `"${named}" is a file, and --data takes the folder it is in (docs/datasets.md)`
      : `there is no data folder "${named}"; check --data`;
    throw new UserError('data.missing', `${why}.`);
  }
  // What feeds what is told by dataset.json, or else by the names and shapes of the model's inputs.
  const known = typeof inputs === 'function' ? (isComplete(dir) ? undefined : await inputs()) : inputs;
  const dataset = await openDataset(dir, known, { modelDir: modelFolder(source.file), ...options });
  session.atEnd.push(() => dataset.close());
  for (const note of dataset.notes) session.talk.note(`data: ${note}`);
  session.atEnd.push(() => Promise.resolve(warnOfBad(dataset, session)));
  return dataset;
}

/** Whether dataset.json says all by itself: cells of tables have neither types nor shapes of their own, so the model's inputs have to say what they are. */
function isComplete(dir: string): boolean {
  try {
    return !readFileSync(join(dir, 'dataset.json'), 'utf8').includes('"columns"');
  } catch (error) {
    // What is there and cannot be read is told as that by who parses it.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/** Samples looked at for those that serve both ends, in passing; `mlpack data check` looks at all. */
const overlapSamples = 2_000;

/** Warns where samples to evaluate on were calibrated on too, or occur twice. */
export async function warnOfOverlap(dataset: Dataset, session: Session): Promise<void> {
  if (dataset.calibrationSamples === 0) return;
  const { shared, examples, looked } = await findOverlap(dataset, overlapSamples);
  if (shared === 0) return;
  session.talk.warn(
    `${shared} of ${looked.eval} samples to evaluate on are calibration samples as well (${examples.join(', ')}${shared > examples.length ? ', …' : ''}): the accuracy measured will flatter the result.`,
  );
}

function warnOfBad({ bad, dir }: Dataset, { talk }: Session): void {
  if (bad.count === 0) return;
  talk.warn(`${bad.count} samples of ${dir} could not be read and were left out: ${bad.examples.join(' ')}`);
}

/** A model's inputs. @throws UserError when the runtime refuses it */
export async function signatureOf(file: string): Promise<readonly IoInfo[]> {
  const session = await openSession(file);
  try {
    return session.inputs;
  } finally {
    await session.dispose();
  }
}

/** `onnx/model.onnx` belongs to the folder above `onnx`, where the tokenizer is. */
export function modelFolder(file: string): string {
  const folder = dirname(file);
  return basename(folder) === 'onnx' ? dirname(folder) : folder;
}
