import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly start: boolean;
  readonly install: boolean;
  readonly chromium?: string;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('check')
      .summary('verify a bundle: hashes, start it the documented way, replay the golden inputs')
      .argument('<bundle-dir>', 'folder that `mlpack bundle` or `mlpack optimize` wrote')
      .option('--no-start', 'verify files and manifest only')
      .option('--no-install', 'do not install the packages of a bundle that is not installed')
      .option('--chromium <path>', 'browser for browser bundles (default: where systems usually have it)'),
  ).action(async (dir: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { checkCommand } = await import('../check.ts');
      return checkCommand(dir, flags, session);
    });
  });
}
