import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly force?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('init')
      .summary('write a commented mlpack.config.mjs')
      .argument('[model]', 'the model it is for')
      .option('--force', 'replace an existing one'),
  ).action(async (model: string | undefined, flags: Flags) => {
    await start(flags, async (session) => {
      const { initCommand } = await import('../init.ts');
      return initCommand(model, flags, session);
    });
  });
}
