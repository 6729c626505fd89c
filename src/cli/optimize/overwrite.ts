import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { UserError } from '../../errors.ts';
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

/** @throws UserError `out.exists` where a folder that is to be replaced holds one of these. */
export function refuseLosing(out: string, needed: readonly (string | undefined)[]): void {
  const kept = existsSync(out) ? needed.find((path) => path !== undefined && holds(out, path)) : undefined;
  if (kept === undefined) return;
  throw new UserError('out.exists', `"${out}" holds ${kept}, and --force would delete it; give another --out.`);
}

function holds(folder: string, path: string): boolean {
  if (!existsSync(path)) return false;
  const inside = relative(realpathSync(folder), realpathSync(path));
  return inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside);
}

function isOutput(folder: string): boolean {
  const report = join(folder, 'report.json');
  return existsSync(report) && readFileSync(report, 'utf8').includes('"mlpack.report/');
}
