import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';
import { integer } from '../numbers.ts';
import type { PassList } from '../pass-list.ts';

interface Flags extends CommonFlags {
  readonly seed: number;
  readonly data?: string;
  readonly after?: string[];
}

export function register(program: Command, start: Start, { passes }: PassList): void {
  addCommonFlags(
    program
      .command('explain')
      .summary('why a rule fired, or why it did not')
      .description(
        'Apply a pass to the model without writing anything, and say for each node which rule fired and which did not, and why.\n' +
          `Passes: ${passes.map((pass) => pass.id).join(', ')}.`,
      )
      .argument('<model>', '.onnx file, model folder or hub id')
      .argument('<pass>', 'the pass to explain, with options as in `run`: fuse:level=runtime')
      .argument('[node]', 'only this node: its name, one of its outputs, its operator, or a rule')
      .option('--after <steps...>', 'passes to apply first, as in `run`')
      .option(
        '-d, --data <dir>',
        'dataset folder, for passes that look at activations (default: the one beside the model)',
      )
      .option(
        '--allow-modules',
        'let the dataset bring a metric of its own, which runs its code, for passes that search by it',
      )
      .option('--seed <n>', 'seed of everything random', integer, 0),
  ).action(async (model: string, passId: string, node: string | undefined, flags: Flags) => {
    await start(flags, async (session) => {
      const { explain } = await import('../explain.ts');
      return explain(model, passId, node, flags, session);
    });
  });
}
