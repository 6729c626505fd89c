import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { modelAmongNames } from '../model-among-names.ts';
import { integer } from '../numbers.ts';
import { targetNames } from '../target-names.ts';

interface Flags extends CommonFlags {
  readonly target: string[];
  readonly out?: string;
  readonly data?: string;
  readonly force?: boolean;
  readonly option?: string[];
  readonly lang?: string;
  readonly inputShape?: string[];
  readonly name?: string;
  readonly seed: number;
  readonly bundleVersion?: string;
  readonly previous?: string;
  readonly report?: string;
  readonly also?: string[];
  readonly variant?: string[];
  readonly allowModules?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('bundle')
      .summary('emit a deployment bundle from a finished model')
      .argument('[model]', '.onnx file, model folder or hub id')
      .requiredOption('-t, --target <ids...>', `targets: ${targetNames.join(', ')}`, collect)
      .option(
        '-o, --out <dir>',
        'folder to write; with several targets, one folder in it for each (default: bundles/<target>)',
      )
      .option(
        '-d, --data <dir>',
        'dataset for golden inputs, labels and preprocessing (default: the one beside the model)',
      )
      .option('--allow-modules', 'let the dataset bring a metric of its own, which runs its code')
      .option('--option <pair>', 'an option of the target: name=value; again for each', collectPairs)
      .option('--lang <lang>', 'target edge: node (a program with updates) or c (a library with the model linked in)')
      .option('--name <name>', 'name of the model in the bundle (default: by its file or folder)')
      .option('--force', 'replace an existing bundle')
      .option(
        '--input-shape <shapes>',
        'shapes of made-up golden inputs: batch=1,sequence=128 or x=1x3x224x224',
        collect,
      )
      .option('--bundle-version <v>', 'semantic version of the bundle (default: 1.0.0, or the patch after --previous)')
      .option('--previous <dir>', 'the bundle that this one follows: what to roll back to')
      .option('--report <file>', 'report.json of the run that made the model: its figures go into the model card')
      .option('--also <files>', 'further variants of the model, for bundles that choose where they run', collect)
      .option(
        '-v, --variant <names>',
        'variants to build for such bundles; not judged by data, which is what optimize does',
        collect,
      )
      .option('--seed <n>', 'seed of made-up golden inputs', integer, 0),
  ).action(async (named: string | undefined, given: Flags, command: Command) => {
    const { model, flags } = named === undefined ? modelAmongNames(given, ['target']) : { model: named, flags: given };
    if (model === undefined) return command.error("error: missing required argument 'model'");
    await start(flags, async (session) => {
      const { bundleCommand } = await import('../bundle.ts');
      return bundleCommand(model, flags, session);
    });
  });
}

/** `a=1,b=2` are two pairs, `broker=kafka://x,y` is one: a comma ends a pair where a name and = follow. */
function collectPairs(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), ...value.split(/,(?=[A-Za-z]\w*=)/)];
}
