import { type Command, Option } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { modelAmongNames } from '../model-among-names.ts';
import { count, dropLimit, integer, number } from '../numbers.ts';
import type { OptimizeFlags } from '../optimize/flags.ts';
import { targetNames } from '../target-names.ts';

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('optimize')
      .summary('the main job: simplify, fuse, make variants, measure, choose, report, bundle')
      .argument('[model]', '.onnx file, model folder or hub id (or `model` in the config)')
      .option('-o, --out <dir>', 'folder to write (default: <model-name>-mlpack)')
      .option('-t, --target <ids...>', `what to bundle for: ${targetNames.join(', ')} (default: server)`, collect)
      .option('-v, --variant <names...>', 'variants to build (default: the ones that make sense)', collect)
      .option('-d, --data <dir>', 'labelled data to judge by (default: the dataset beside the model)')
      .option(
        '--max-drop <x>',
        'largest allowed drop of the task metric against the base model, in its own unit (0.01 is a point of accuracy, 0.5 half a decibel of psnr) or as a share of base (1%) (default: 0.01 where the metric is a share of 1, such as accuracy, else 1%)',
        dropLimit,
      )
      .option(
        '--provider <ids...>',
        'providers to measure on: cpu, cpu:threads=1, web-wasm, … (default: cpu and what the targets run on)',
        collect,
      )
      .option('-c, --config <file>', 'mlpack.config.{json,mjs,ts}')
      .option('--input-shape <shapes>', 'values for symbolic dimensions in measurements: batch=1,sequence=128', collect)
      .option('--seed <n>', 'seed of everything random (default: 0)', integer)
      .option('--samples <n>', 'evaluate on the first n samples only', count)
      .option('--seconds <s>', 'time to measure each variant (default: 2)', number)
      .option('--no-bench', 'do not measure latency')
      .option('--allow-modules', 'let the dataset bring a metric of its own, which runs its code')
      .option('--frozen', 'fail unless every variant is bit by bit the one of mlpack.lock.json')
      .option('--lock <file>', 'the lock for --frozen (default: in the working folder, else in the output folder)')
      .option('--no-cache', 'build every variant and count every sample anew, and keep none of it for later runs')
      .addOption(
        new Option(
          '--naming <style>',
          'transformers-js: the variants once more as onnx/model_q4.onnx, model_fp16.onnx … (and those built by default)',
        ).choices(['plain', 'transformers-js']),
      )
      .option('--force', 'replace an existing output folder'),
  ).action(async (named: string | undefined, given: OptimizeFlags & CommonFlags) => {
    const { model, flags } =
      named === undefined ? modelAmongNames(given, ['target', 'variant', 'provider']) : { model: named, flags: given };
    await start(flags, async (session) => {
      const { optimize } = await import('../optimize/optimize.ts');
      return optimize(model, flags, session);
    });
  });
}
