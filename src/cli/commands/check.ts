import type { Command } from 'commander';
import { addCommonFlags, collect, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly provider?: string[];
  readonly start: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('check')
      .summary('verify a bundle: hashes, start it the documented way, replay the golden inputs')
      .argument('<bundle-dir>', 'folder that `mlpack bundle` or `mlpack optimize` wrote')
      .option('--provider <ids>', 'for browser bundles: web-wasm, web-webgpu (default: what this machine has)', collect)
      .option('--no-start', 'verify files and manifest only'),
  ).action(async (dir: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { checkCommand } = await import('../check.ts');
      return checkCommand(dir, flags, session);
    });
  });
}
