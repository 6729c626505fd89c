import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/target/package-root.ts';
import { note } from './note.ts';

/** What decides what npm installs in a bundle, and the name of the literal file. Only the edge bundle has a script of its own that npm runs. */
const inputs = {
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  'prune.mjs': 'prune.mjs',
};
const command = 'npm ci --omit=dev';

/** node_modules of a target's bundles, installed once. Undefined, with a note, where npm cannot install it. */
export function installedModules(target = 'server'): string | undefined {
  const files = join(packageRoot(), 'targets', target, 'files');
  return installOnce(
    target,
    Object.entries(inputs).map(([path, name]) => [path, join(files, name)]),
  );
}

/**
 * Gives a bundle its node_modules without installing the same once more: a folder of links to what its documented command installs.
 * @returns false, with a note, where npm cannot install it
 */
export function linkModules(bundle: string, install: string): boolean {
  if (install !== command) throw new Error(`the bundle is installed by "${install}", and "${command}" would be run`);
  const modules = installOnce(
    bundle,
    Object.keys(inputs).map((path) => [path, join(bundle, path)]),
  );
  if (modules === undefined) return false;
  // A link in place of the whole folder would be a finding of `check`.
  mkdirSync(join(bundle, 'node_modules'));
  for (const name of readdirSync(modules)) symlinkSync(join(modules, name), join(bundle, 'node_modules', name));
  return true;
}

/** Runs the command for what these files say, unless it was run for the same: bundles of several targets have the same server. */
function installOnce(label: string, files: readonly (readonly [path: string, from: string])[]): string | undefined {
  const contents = files.flatMap(([path, from]) => (existsSync(from) ? [[path, readFileSync(from)] as const] : []));
  const hash = createHash('sha256');
  for (const [path, bytes] of contents) hash.update(`${path} ${bytes.length}\n`).update(bytes);
  const place = join(packageRoot(), 'node_modules/.cache/mlpack-test', hash.digest('hex').slice(0, 16));
  if (existsSync(place)) return join(place, 'node_modules');
  const temp = `${place}.${process.pid}`;
  mkdirSync(temp, { recursive: true });
  for (const [path, bytes] of contents) writeFileSync(join(temp, path), bytes);
  try {
    const [program = '', ...args] = command.split(' ');
    execFileSync(program, [...args, '--no-audit', '--no-fund'], { cwd: temp, stdio: 'pipe' });
  } catch (error) {
    note(`${label} is not tested, npm cannot install it here: ${String(error).split('\n', 1)[0]}`);
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
