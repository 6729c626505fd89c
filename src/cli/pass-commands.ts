import { type Command, Option } from 'commander';
import type { OptionSpec } from '../pass/options.ts';
import { addCommonFlags, type CommonFlags, collect, type Start } from './command.ts';
import { count, integer } from './numbers.ts';
import type { PassInfo } from './pass-list.ts';
import type { TransformFlags } from './transform.ts';

/** Every pass is a command; its flags and their help come from the option table. */
export function registerPassCommand(program: Command, start: Start, pass: PassInfo): void {
  const command = program
    .command(pass.id)
    .summary(pass.summary)
    .description(describePass(pass))
    .argument('<model>', '.onnx file, model folder or hub id');
  addTransformFlags(command);
  for (const [name, spec] of Object.entries(pass.options)) command.addOption(optionFlag(name, spec));
  addCommonFlags(command).action(
    async (model: string, flags: TransformFlags & CommonFlags & Record<string, unknown>) => {
      await start(flags, async (session) => {
        const given = Object.fromEntries(Object.keys(pass.options).map((name) => [name, flags[name]]));
        const { loadPass } = await import('./load-step.ts');
        const { makeStep } = await import('../pass/resolve-options.ts');
        const step = makeStep(await loadPass(pass.id), given);
        const { transform } = await import('./transform.ts');
        return transform(model, [step], flags, session);
      });
    },
  );
}

export function addTransformFlags(command: Command): Command {
  return command
    .option('-o, --out <file>', 'file to write')
    .option('--force', 'replace an existing file')
    .option(
      '-d, --data <dir>',
      'dataset folder, for passes that look at activations (default: the one beside the model)',
    )
    .option(
      '--allow-modules',
      'let the dataset bring a metric of its own, which runs its code, for passes that search by it',
    )
    .option(
      '--calibration-samples <n>',
      'take at most so many samples to look at activations (default: 128, and 256 where pruned layers are fitted)',
      count,
    )
    .option('--verify', 'run both models on seeded inputs and hold the difference against the promise of the passes')
    .option('--seed <n>', 'seed of everything random', integer, 0)
    .option('--no-cache', 'do not keep what calibration counted, nor use what was kept')
    .addOption(
      new Option('--external-data <when>', 'weights in a file beside the model')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    );
}

function describePass(pass: PassInfo): string {
  const rules = Object.entries(pass.rules);
  if (rules.length === 0) return pass.summary;
  const width = Math.max(...rules.map(([rule]) => rule.length));
  return `${pass.summary}\n\nRules:\n${rules.map(([rule, line]) => `  ${rule.padEnd(width)}  ${line}`).join('\n')}`;
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flag of one declared option. Values stay text: makeStep checks and converts them in one place. */
function optionFlag(name: string, spec: OptionSpec): Option {
  const flag = kebab(name);
  switch (spec.type) {
    case 'boolean':
      return spec.default ? new Option(`--no-${flag}`, `switch off: ${spec.help}`) : new Option(`--${flag}`, spec.help);
    case 'list':
      return new Option(`--${flag} <names>`, `${spec.help} (repeatable, comma-separated)`).argParser(collect);
    case 'choice':
      return new Option(`--${flag} <value>`, `${spec.help} (${spec.choices.join(', ')}; default ${spec.default})`);
    default:
      return new Option(`--${flag} <value>`, `${spec.help}${spec.default === '' ? '' : ` (default ${spec.default})`}`);
  }
}
