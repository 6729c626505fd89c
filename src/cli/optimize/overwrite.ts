import { existsSync, readdirSync, statSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { refuseLosing } from '../output.ts';
import { isReport } from '../read-report.ts';
import { lockName } from './lock.ts';
import type { Settings } from './settings.ts';

/**
 * What runs write is deleted by `--force`, so the folder must be an earlier run's, and must not hold what this run reads.
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

/** What runs write at the top of their folder. */
const ours: ReadonlySet<string> = new Set(['variants', 'bundles', 'onnx', 'report.json', 'report.html', lockName]);

/**
 * Takes what somebody else put into the folder of an earlier run over into that of this one.
 * @returns the names of what was taken over
 */
export async function carryOver(old: string, out: string): Promise<string[]> {
  const others = readdirSync(old).filter((name) => !ours.has(name) && !existsSync(join(out, name)));
  for (const name of others) await rename(join(old, name), join(out, name));
  return others.sort();
}

function isOutput(folder: string): boolean {
  const report = join(folder, 'report.json');
  return existsSync(report) && isReport(report);
}
