import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { refuseLosing } from '../output.ts';
import type { Settings } from './settings.ts';

/**
 * What `--force` replaces is deleted whole, so it must be what an earlier run wrote, and must not hold what this run reads.
 * @param needed the model, and the folder that the command runs in
 * @throws UserError `out.exists`
 */
export function refuseOverwrite(out: string, { force, data }: Settings, needed: readonly string[]): void {
  if (!existsSync(out)) return;
  const refuse = (why: string): UserError => new UserError('out.exists', `"${out}" ${why}; give another --out.`);
  if (!force) throw new UserError('out.exists', `"${out}" exists; give another --out, or --force to replace it.`);
  if (!statSync(out).isDirectory()) throw refuse('exists and is no folder');
  refuseLosing(out, [...needed, data]);
  if (readdirSync(out).length > 0 && !isOutput(out))
    throw refuse('is not empty and holds no report of mlpack, so it is left alone');
}

function isOutput(folder: string): boolean {
  const report = join(folder, 'report.json');
  return existsSync(report) && readFileSync(report, 'utf8').includes('"mlpack.report/');
}
