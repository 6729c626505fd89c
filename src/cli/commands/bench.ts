import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { count, integer, number } from '../numbers.ts';

interface Flags extends CommonFlags {
  readonly provider?: string[];
  readonly seconds: number;
  readonly threads?: number;
  readonly batch?: number;
  readonly inputShape?: string[];
  readonly seed: number;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('bench')
      .summary('latency, throughput, session creation and memory; models interleaved, the first is the base')
      .argument('<model...>', 'models; the first is the one the others are compared with')
      .option('--provider <ids>', 'execution providers: cpu, web-wasm, … (default cpu)', collect)
      .option('--seconds <s>', 'time to measure each model', number, 2)
      .option('--threads <n>', 'threads of the runtime (default: its own choice)', count)
      .option('--input-shape <shapes>', 'values for symbolic dimensions: batch=1,sequence=128', collect)
      .option('--seed <n>', 'seed of the inputs and of the order', integer, 0),
  ).action(async (models: string[], flags: Flags) => {
    await start(flags, async (session) => {
      const { benchCommand } = await import('../bench.ts');
      return benchCommand(models, flags, session);
    });
  });
}
