import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/target/package-root.ts';
import { note } from './note.ts';

/**
 * node_modules of a bundle with an npm lock file, installed once per lock file. Undefined, with a note, where npm cannot install it.
 */
export function installedModules(target = 'server'): string | undefined {
  const files = join(packageRoot(), 'targets', target, 'files');
  const lock = readFileSync(join(files, 'package-lock.json'));
  const key = createHash('sha256').update(lock).digest('hex').slice(0, 16);
  const place = join(packageRoot(), 'node_modules/.cache/mlpack-test', `${target}-${key}`);
  if (existsSync(place)) return join(place, 'node_modules');
  const temp = `${place}.${process.pid}`;
  mkdirSync(temp, { recursive: true });
  for (const [from, to] of [
    ['package.json', 'package.json'],
    ['package-lock.json', 'package-lock.json'],
    ['dot-npmrc', '.npmrc'],
    ['prune.mjs', 'prune.mjs'],
  ] as const) {
    // Only the edge bundle has a script of its own that npm runs.
    if (existsSync(join(files, from))) cpSync(join(files, from), join(temp, to));
  }
  try {
    execFileSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], { cwd: temp, stdio: 'pipe' });
  } catch (error) {
    note(`the ${target} bundle is not tested, npm cannot install it here: ${String(error).split('\n', 1)[0]}`);
    return undefined;
  }
  try {
    renameSync(temp, place);
  } catch (error) {
    // Another test file has installed the same meanwhile.
    if (!existsSync(place)) throw error;
    rmSync(temp, { recursive: true });
  }
  return join(place, 'node_modules');
}
