import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly inputShape?: string[];
  readonly text?: boolean;
  readonly nodes?: boolean;
  readonly hash?: boolean;
  readonly run?: boolean;
  readonly zeros?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('inspect')
      .summary('what is in a model: ops, parameters, sizes, opsets, I/O, MACs, what can be quantized')
      .argument('<model>', '.onnx file, model folder or hub id')
      .option(
        '--input-shape <shapes>',
        'values for symbolic dimensions, for MACs: batch=1,sequence=128 (default 1)',
        collect,
      )
      .option('--nodes', 'list every node with its output shapes')
      .option('--text', 'print the whole graph in the text form')
      .option('--run', 'run the model on made-up inputs to learn shapes that cannot be inferred')
      .option('--zeros', 'read the weights: how many are zero, and in which layers 2 of 4')
      .option('--hash', 'add the SHA-256 of the file'),
  ).action(async (model: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { inspect } = await import('../inspect.ts');
      return inspect(model, flags, session);
    });
  });
}
