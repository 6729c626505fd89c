import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Dataset, openDataset } from '../data/dataset.ts';
import { UserError } from '../errors.ts';
import type { IoInfo } from '../report/report.ts';
import type { Session } from './command.ts';
import type { ModelSource } from './model-source.ts';

/**
 * The dataset that was named, or the one that stands beside the model, or none. What was inferred or looks odd is said once.
 * @throws UserError when the folder named is no dataset, or does not fit.
 */
export async function openData(
  source: ModelSource,
  named: string | undefined,
  session: Session,
  inputs?: readonly IoInfo[],
): Promise<Dataset | undefined> {
  const dir = named === undefined ? source.data : resolve(session.io.cwd, named);
  if (dir === undefined) return undefined;
  if (!existsSync(dir) || !statSync(dir).isDirectory()) {
    throw new UserError('data.missing', `there is no data folder "${named}"; check --data.`);
  }
  const dataset = await openDataset(dir, inputs);
  session.atEnd.push(() => dataset.close());
  for (const note of dataset.notes) session.talk.note(`data: ${note}`);
  return dataset;
}
