import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { count, integer, number } from '../numbers.ts';

interface Flags extends CommonFlags {
  readonly data?: string;
  readonly samples: number;
  readonly seed: number;
  readonly layers?: boolean;
  readonly saturation?: boolean;
  readonly minSqnr?: number;
  readonly inputShape?: string[];
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('compare')
      .summary('same inputs through two models: SQNR, cosine, largest error per output and per layer')
      .argument('<a>', 'the reference model')
      .argument('<b>', 'the model to judge')
      .option(
        '-d, --data <dir>',
        'dataset folder (default: the one beside the first model; without any, seeded inputs made from the signature)',
      )
      .option('--samples <n>', 'how many samples', count, 16)
      .option('--input-shape <shapes>', 'shapes of made-up inputs: batch=1,sequence=128 or x=1x3x224x224', collect)
      .option('--seed <n>', 'seed of made-up inputs', integer, 0)
      .option('--layers', 'compare values inside that both models have, and name the first bad one')
      .option(
        '--saturation',
        'what the second model would lose on processors that add int8 products in 16 bits (no VNNI)',
      )
      .option('--min-sqnr <db>', 'exit with 1 when an output is worse than this many decibels', number),
  ).action(async (a: string, b: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { compareCommand } = await import('../compare.ts');
      return compareCommand(a, b, flags, session);
    });
  });
}
