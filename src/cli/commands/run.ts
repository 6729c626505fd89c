import type { Command } from 'commander';
import { passes } from '../../../passes/index.ts';
import { presets } from '../../../passes/presets.ts';
import { UserError } from '../../errors.ts';
import { nearest } from '../../messages.ts';
import type { Step } from '../../pass/pass.ts';
import { makeStep } from '../../pass/resolve-options.ts';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';
import { addTransformFlags } from '../pass-commands.ts';
import type { TransformFlags } from '../transform.ts';

export function register(program: Command, start: Start): void {
  const command = program
    .command('run')
    .summary('apply named passes in order')
    .description(
      'Apply named passes in order. A step is a pass with options, `quantize-weights:bits=4,block=32`, or a preset.\n' +
        `Presets: ${Object.keys(presets).join(', ')}.`,
    )
    .argument('<model>', '.onnx file, model folder or hub id')
    .argument('<step...>', 'passes or presets, in order');
  addTransformFlags(command);
  addCommonFlags(command).action(async (model: string, names: string[], flags: TransformFlags & CommonFlags) => {
    await start(flags, async (session) => {
      const steps = names.flatMap(parseStep);
      const { transform } = await import('../transform.ts');
      return transform(model, steps, flags, session);
    });
  });
}

/** `fuse`, `quantize-weights:bits=4,symmetric=false`, or the name of a preset. */
export function parseStep(text: string): Step[] {
  const [name = '', ...rest] = text.split(':');
  const preset = presets[name];
  if (preset && rest.length === 0) return [...preset];
  const pass = findPass(name);
  const given: Record<string, unknown> = {};
  for (const pair of rest.join(':').split(',')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    given[at < 0 ? pair : pair.slice(0, at)] = at < 0 ? 'true' : pair.slice(at + 1);
  }
  return [makeStep(pass, given)];
}

export function findPass(name: string): (typeof passes)[number] {
  const pass = passes.find((candidate) => candidate.id === name);
  if (pass) return pass;
  const known = [...passes.map((candidate) => candidate.id), ...Object.keys(presets)];
  throw new UserError(
    'pass.unknown',
    `there is no pass "${name}"${nearest(name, known)}; \`mlpack --help\` lists them.`,
  );
}
