import { spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { type Manifest, manifestName } from './manifest.ts';

/** A folder in which a bundle can be started. */
export interface Stage {
  readonly dir: string;
  remove(): Promise<void>;
}

/**
 * A place with everything installed that the bundle needs. A bundle that needs nothing, or is installed already, is its own
 * stage; else it is copied to a temporary folder and installed there, so that the bundle stays as it is.
 * @throws UserError `bundle-not-installed` when it is not installed and must not be, `bundle-install` when npm fails.
 */
export async function prepareStage(
  dir: string,
  manifest: Manifest,
  install: boolean,
  signal?: AbortSignal,
): Promise<Stage> {
  const command = manifest.commands.install;
  if (command === null || existsSync(join(dir, 'node_modules'))) return { dir, remove: async () => {} };
  if (!install) {
    throw new UserError(
      'bundle-not-installed',
      `${dir} is not installed; run "${command}" in it, or let check install a copy.`,
    );
  }
  const args = npmArguments(command);
  const stage = await mkdtemp(join(tmpdir(), 'mlpack-check-'));
  const remove = (): Promise<void> => rm(stage, { recursive: true, force: true });
  try {
    for (const path of [manifestName, ...manifest.files.map((file) => file.path)]) {
      const place = join(stage, path);
      await makeFolder(dirname(place));
      await copyFile(join(dir, path), place, constants.COPYFILE_FICLONE);
    }
    await runNpm(args, stage, command, signal);
  } catch (error) {
    await remove();
    throw error;
  }
  return { dir: stage, remove };
}

function npmArguments(command: string): string[] {
  const [program, verb, ...flags] = command.trim().split(/\s+/);
  if (program !== 'npm' || verb !== 'ci' || !flags.every((flag) => /^--[a-z-]+(=[a-z]+)?$/.test(flag))) {
    throw new UserError(
      'bundle-command',
      `The install command "${command}" is not "npm ci" with flags, so it is not run.`,
    );
  }
  return [verb, ...flags, '--no-audit', '--no-fund'];
}

async function runNpm(
  args: readonly string[],
  cwd: string,
  command: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const windows = process.platform === 'win32';
  const child = spawn(windows ? 'npm.cmd' : 'npm', args, {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: windows,
    signal,
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(-4000);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const missing =
        'Installing a copy of the bundle needs npm, which is not there; install it, or check with an installed bundle.';
      reject(error.code === 'ENOENT' ? new UserError('npm-missing', missing, { cause: error }) : error);
    });
    child.once('close', resolve);
  });
  if (code === 0) return;
  const lines = complaint.split('\n').filter((line) => line.startsWith('npm error'));
  const why = lines.slice(0, 3).join(' ') || `exit code ${code}`;
  throw new UserError('bundle-install', `"${command}" fails for a copy of the bundle: ${why}`);
}
