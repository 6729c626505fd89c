import { type Command, Option } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import { count, integer } from '../numbers.ts';
import type { TeacherFlags } from '../teacher/export.ts';

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('export-teacher')
      .summary('inputs, outputs and inner values of a model in shards, with a script that trains a student on them')
      .argument('<model>', '.onnx file, model folder or hub id: the teacher')
      .option('-o, --out <dir>', 'folder to write; one that was begun is gone on with')
      .option('-d, --data <dir>', 'dataset folder (default: the one beside the model)')
      .addOption(
        new Option('--split <name>', 'samples to take (default: calibration where there are some, else eval)').choices([
          'calibration',
          'eval',
        ]),
      )
      .option('--hidden <names>', 'inner values to write too, by node or value', collect)
      .option('--samples <n>', 'only so many samples', count)
      .option('--batch <n>', 'samples a batch, where the model leaves it open', count)
      .option('--shard <n>', 'samples a shard', count, 512)
      .addOption(
        new Option('--format <name>', 'form of the shards: tensors by batch, or a row for each sample')
          .choices(['safetensors', 'parquet'])
          .default('safetensors'),
      )
      .option('--half', 'outputs and inner values in float16')
      .option('--seed <n>', 'seed of the order of samples', integer, 0)
      .option('--force', 'begin anew, whatever the folder holds of an earlier export'),
  ).action(async (model: string, flags: TeacherFlags & CommonFlags) => {
    await start(flags, async (session) => {
      const { exportTeacher } = await import('../teacher/export.ts');
      return exportTeacher(model, flags, session);
    });
  });
}
