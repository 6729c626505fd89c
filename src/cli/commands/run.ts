import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';
import { integer } from '../numbers.ts';
import { addTransformFlags } from '../pass-commands.ts';
import type { PassList } from '../pass-list.ts';
import type { TransformFlags } from '../transform.ts';

export function register(program: Command, start: Start, { presets }: PassList): void {
  const command = program
    .command('run')
    .summary('apply named passes in order')
    .description(
      'Apply named passes in order. A step is a pass with options, `quantize-weights:bits=4,block=32`, or a preset.\n' +
        `Presets: ${presets.join(', ')}.`,
    )
    .argument('<model>', '.onnx file, model folder or hub id')
    .argument('<step...>', 'passes or presets, in order');
  addTransformFlags(command);
  command.option(
    '--opset <n>',
    'raise the opset first, which lets more be fused (LayerNormalization 17, Gelu 20, RMSNormalization 23)',
    integer,
  );
  addCommonFlags(command).action(async (model: string, names: string[], flags: TransformFlags & CommonFlags) => {
    await start(flags, async (session) => {
      const { loadStep } = await import('../load-step.ts');
      const steps = (await Promise.all(names.map(loadStep))).flat();
      const { transform } = await import('../transform.ts');
      return transform(model, steps, flags, session);
    });
  });
}
