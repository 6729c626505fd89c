import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';
import { count } from '../numbers.ts';

interface Flags extends CommonFlags {
  readonly data?: string;
  readonly metric?: string;
  readonly samples?: number;
  readonly provider: string;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('eval')
      .summary('task metric on labelled data')
      .argument('<model>', '.onnx file, model folder or hub id')
      .option('-d, --data <dir>', 'dataset folder (default: the one beside the model)')
      .option('--metric <name>', 'another metric than the dataset names')
      .option('--samples <n>', 'only the first n samples', count)
      .option('--provider <id>', 'execution provider: cpu, web-wasm, …', 'cpu'),
  ).action(async (model: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { evalCommand } = await import('../eval.ts');
      return evalCommand(model, flags, session);
    });
  });
}
