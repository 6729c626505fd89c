import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';
import type { EvalFlags } from '../eval.ts';
import { count, dropLimit } from '../numbers.ts';

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('eval')
      .summary('task metric on labelled data, with its interval, beside a base model')
      .argument('<model>', '.onnx file, model folder or hub id')
      .option('-d, --data <dir>', 'dataset folder (default: the one beside the model)')
      .option('--base <model>', 'judge this model on the same samples, and the drop against it')
      .option('--base-scores <file>', 'the same against scores that an earlier run wrote with --scores')
      .option(
        '--max-drop <x>',
        'largest drop allowed against base, in the unit of the metric (0.01, or 0.5 dB) or as a share of base (1%): exit 1 when it is surely more',
        dropLimit,
      )
      .option('--preset <name>', 'mlperf-99 or mlperf-99.9: keep 99 % or 99.9 % of base')
      .option('--strict', 'exit 1 as well when the samples cannot tell')
      .option('--scores <file>', 'write the score of every sample (JSON)')
      .option('--metric <name>', 'another metric than the dataset names')
      .option('--samples <n>', 'only the first n samples', count)
      .option('--allow-modules', 'let the dataset bring a metric of its own, which runs its code')
      .option('--provider <id>', 'execution provider: cpu, web-wasm, …', 'cpu'),
  ).action(async (model: string, flags: EvalFlags & CommonFlags) => {
    await start(flags, async (session) => {
      const { evalCommand } = await import('../eval.ts');
      return evalCommand(model, flags, session);
    });
  });
}
