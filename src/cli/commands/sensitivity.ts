import { type Command, Option } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { count, integer } from '../numbers.ts';
import type { SensitivityFlags } from '../sensitivity.ts';

type Flags = CommonFlags & SensitivityFlags;

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('sensitivity')
      .summary('which layers hurt when they are quantized: measured one by one, ranked')
      .argument('<model>', '.onnx file, model folder or hub id')
      .option('-d, --data <dir>', 'dataset folder (default: the one beside the model; without any, made-up inputs)')
      .option(
        '--formats <names>',
        'int8, int8-dynamic, int8-weights, int4, fp16 (default: all that apply but int8-weights)',
        collect,
      )
      .option('--samples <n>', 'samples to look at, as far as memory allows', count, 64)
      .option('--close-samples <n>', 'samples for layers whose places in the ranking those leave to chance', count, 256)
      .option('--calibrate <method>', 'how ranges of int8 are chosen, as in quantize-static')
      .option('--cpu <profile>', 'processor the model will run on, as in quantize-static')
      .option('--provider <id>', 'execution provider to run and time layers on: cpu, web-wasm, …', 'cpu')
      .option('--seed <n>', 'seed of the choice of samples', integer, 0)
      .option('--no-time', 'do not time layers')
      .option('--as-is', 'take the graph as it is, without simplify and fuse')
      .addOption(new Option('--top <n>', 'rows of the table').argParser(count).default(20)),
  ).action(async (model: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { sensitivityCommand } = await import('../sensitivity.ts');
      return sensitivityCommand(model, flags, session);
    });
  });
}
