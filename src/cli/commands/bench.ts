import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { counts, integer, number } from '../numbers.ts';

interface Flags extends CommonFlags {
  readonly provider?: string[];
  readonly seconds: number;
  readonly threads?: number[];
  readonly batch?: number[];
  readonly seq?: number[];
  readonly concurrency?: number[];
  readonly inputShape?: string[];
  readonly profile?: boolean;
  readonly trace?: string;
  readonly cold: boolean;
  readonly seed: number;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('bench')
      .summary('latency, throughput, session creation and memory; models interleaved, the first is the base')
      .argument('[model...]', 'models; the first is the one the others are compared with')
      .option(
        '--provider <ids...>',
        'execution providers, with options: cpu, web-wasm:threads=2, web-webgpu, cuda:device=1, … (default cpu)',
        collect,
      )
      .option('--seconds <s>', 'time to measure each model', number, 2)
      .option('--threads <n,…>', 'threads of the runtime, one measurement each (default: its own choice)', counts)
      .option('--batch <n,…>', 'batch sizes, one measurement each; binds the open batch dimension', counts)
      .option('--seq <n,…>', 'sequence lengths, one measurement each; binds the open sequence dimension', counts)
      .option('--concurrency <n,…>', 'throughput with so many processes at once', counts)
      .option('--input-shape <shapes>', 'values for symbolic dimensions: batch=1,sequence=128', collect)
      .option('--profile', 'time by operator, from the profile of the runtime')
      .option('--trace <file>', 'write the profile as a trace that Perfetto opens')
      .option('--no-cold', 'leave out session creation, first inference and memory in fresh processes')
      .option('--seed <n>', 'seed of the inputs and of the order', integer, 0),
  ).action(async (named: string[], flags: Flags) => {
    // `--provider cpu a.onnx`: a flag that takes several names has taken the models too; no provider has a dot or a slash.
    const isModel = (name: string): boolean => /[./\\]/.test(name);
    const models = [...(flags.provider ?? []).filter(isModel), ...named];
    const provider = flags.provider?.filter((name) => !isModel(name));
    await start(flags, async (session) => {
      const { benchCommand } = await import('../bench.ts');
      return benchCommand(models, { ...flags, ...(provider && { provider }) }, session);
    });
  });
}
