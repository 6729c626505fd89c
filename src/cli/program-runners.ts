import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { runCoreml } from '../../targets/coreml/run.ts';
import { runLite } from '../../targets/tflite/run.ts';
import { openSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { cRunner } from '../target/c-runner.ts';
import { elementsOf } from '../target/compare.ts';

import type { ManifestProgram } from '../target/manifest.ts';
import { ortCRunner } from '../target/ort-c-runner.ts';
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

/**
 * A file of a folder in the Hugging Face layout, opened by transformers.js as an app would: by the folder and a dtype. The session that it
 * opens is fed the recorded inputs themselves, since its model classes make inputs of their own.
 */
const transformersJs: ProgramRunner = async (file: string, { config = {} }: ManifestProgram) => {
  const { AutoModel, Tensor, env } = await import('@huggingface/transformers');
  const folder = dirname(dirname(file));
  const { part = 'model' } = config;
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  let model: Awaited<ReturnType<typeof AutoModel.from_pretrained>>;
  try {
    const dtype = config.dtype as 'fp32';
    const options = { dtype, device: 'cpu' as const, local_files_only: true, model_file_name: part };
    model = await AutoModel.from_pretrained(basename(folder), {
      ...options,
      ...(config.model_type !== undefined && { config: { model_type: config.model_type } as never }),
    });
  } catch (error) {
    throw new UserError(
      'program-start',
      `transformers.js does not open ${folder} with dtype ${config.dtype}: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const sessions = (model as unknown as { sessions: Record<string, RuntimeSession> }).sessions;
  // The first of several files is the session "model" there, whatever the file is called.
  const session = sessions[part] ?? sessions.model ?? Object.values(sessions)[0];
  if (!session) throw new UserError('program-start', `transformers.js opens no session for ${file}.`);
  return {
    provider: 'cpu',
    how: `@huggingface/transformers, dtype ${config.dtype}`,
    async run(inputs) {
      const feeds = inputs.map((input) => {
        const tensor = fromGolden(input);
        const elements = elementsOf(tensor.dtype, input.bytes);
        const data = tensor.dtype === 'float16' ? new Uint16Array(input.bytes.slice().buffer) : elements;
        return [
          input.name,
          new Tensor(tensor.dtype as 'float32', data as Float32Array, [...input.shape]).ort_tensor,
        ] as const;
      });
      const outputs = await session.run(Object.fromEntries(feeds));
      return Object.entries(outputs).map(([name, { type, dims, data }]) => ({
        name,
        dtype: type,
        shape: dims,
        bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      }));
    },
    close: async () => {
      await model.dispose();
    },
  };
};

/** What a session of transformers.js is, of which its types say nothing. */
interface RuntimeSession {
  run(feeds: Record<string, unknown>): Promise<Record<string, { type: string; dims: number[]; data: Float32Array }>>;
}

/** A TensorFlow Lite file on the interpreter of this package. */
const liteInterpreter: ProgramRunner = async (file) => {
  const run = runLite(new Uint8Array(await readFile(file)));
  return {
    provider: 'cpu',
    how: 'TensorFlow Lite reference interpreter of mlpack',
    run: async (inputs) => run(inputs),
    close: async () => {},
  };
};

/** A Core ML package on the interpreter of this package: its weights lie beside the model. */
const coremlInterpreter: ProgramRunner = async (file) => {
  const [model, weights] = await Promise.all(
    [file, join(dirname(file), 'weights/weight.bin')].map((path) => readFile(path)),
  );
  const run = runCoreml(new Uint8Array(model ?? []), new Uint8Array(weights ?? []));
  return {
    provider: 'cpu',
    how: 'reference interpreter of mlpack, not Core ML',
    run: async (inputs) => run(inputs),
    close: async () => {},
  };
};

/** What `mlpack check` runs the programs of bundles on, by format. */
export const programRunners: ProgramRunners = {
  onnx: onnxRuntime,
  ort: onnxRuntime,
  'transformers-js': transformersJs,
  c99: cRunner,
  'ort-c': ortCRunner,
  tflite: liteInterpreter,
  coreml: coremlInterpreter,
};
