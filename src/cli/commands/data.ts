import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';
import type { DataCheckFlags } from '../data-check.ts';
import { count } from '../numbers.ts';

export function register(program: Command, start: Start): void {
  const data = program.command('data').summary('look at a dataset as a model will see it');
  addCommonFlags(
    data
      .command('check')
      .summary('samples as the model will see them, classes, duplicates, bad files')
      .argument('<dir>', 'dataset folder')
      .option('--model <model>', 'hold the data against this model')
      .option('--show <n>', 'samples to show (default: 3)', count)
      .option('--pictures <dir>', 'write the shown pictures, as they are fed, to PNG files there'),
  ).action(async (dir: string, flags: DataCheckFlags & CommonFlags) => {
    await start(flags, async (session) => {
      const { dataCheck } = await import('../data-check.ts');
      return dataCheck(dir, flags, session);
    });
  });
}
