import { basename } from 'node:path';
import { openSession } from '../engine/session.ts';
import type { ManifestProgram } from '../target/manifest.ts';
import type { ProgramRunner, ProgramRunners } from '../target/replay-programs.ts';
import { fromGolden, toGolden } from './golden.ts';

/** A model file on ONNX Runtime's CPU provider, which reads both formats by their content. */
const onnxRuntime: ProgramRunner = async (file: string, { config = {} }: ManifestProgram) => {
  const session = await openSession(file, { extra: config, label: basename(file) });
  return {
    provider: 'cpu',
    how: 'ONNX Runtime',
    async run(inputs) {
      const outputs = await session.run(new Map(inputs.map((input) => [input.name, fromGolden(input)])));
      return [...outputs].map(([name, tensor]) => toGolden(name, tensor));
    },
    close: () => session.dispose(),
  };
};

/** What `mlpack check` runs the programs of bundles on, by format. */
export const programRunners: ProgramRunners = { onnx: onnxRuntime, ort: onnxRuntime };
