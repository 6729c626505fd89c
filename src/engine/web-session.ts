import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { InferenceSession } from 'onnxruntime-node';
import { bug, UserError } from '../errors.ts';
import { formatBytes } from '../messages.ts';
import { decodeModel } from '../onnx/decode.ts';
import { externalFiles } from '../onnx/external-files.ts';
import { loadModel } from '../onnx/load.ts';
import { runtimeSentence } from './failure.ts';
import { OrtSession } from './ort-session.ts';
import type { Session, SessionOptions } from './session.ts';
import { loadWebRuntime } from './web-runtime.ts';

/** WebAssembly addresses 4 GB, and while a session is made a model is in there twice. */
const largestModel = 2e9;

interface ModelFiles {
  readonly bytes: Uint8Array;
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/**
 * Opens a model on onnxruntime-web's WebAssembly provider.
 * @throws UserError when the model is too big for it, or the runtime refuses it.
 */
export async function openWebSession(
  model: Uint8Array | string,
  options: SessionOptions,
  label: string,
): Promise<Session> {
  if (options.optimizedModelFilePath !== undefined) bug('web-wasm has no file system to write the optimized model to');
  const { bytes, externalData } = await readFiles(model, options.modelDir, label);
  const ort = await loadWebRuntime(options.threads);
  const started = performance.now();
  let inner: InferenceSession;
  try {
    inner = await ort.InferenceSession.create(bytes, {
      executionProviders: ['wasm'],
      graphOptimizationLevel: options.graphOptimizationLevel ?? 'all',
      logSeverityLevel: 4,
      extra: { ...options.extra },
      externalData,
    });
  } catch (error) {
    throw new UserError('session-load', `ONNX Runtime (web-wasm) cannot load ${label}: ${runtimeSentence(error)}`, {
      cause: error,
    });
  }
  return breathing(new OrtSession(ort, inner, 'web-wasm', label, performance.now() - started));
}

/** There is no file system in WebAssembly: external data goes in beside the model, by the names that it uses. */
async function readFiles(model: Uint8Array | string, modelDir: string | undefined, label: string): Promise<ModelFiles> {
  const files = await webModelFiles(model, modelDir, label);
  const externalData = [];
  for (const { path, file } of files.externalData) externalData.push({ path, data: await readFile(file) });
  return { bytes: typeof model === 'string' ? await readFile(model) : model, externalData };
}

/**
 * A model and the files of its external data, by the names that it uses.
 * @throws UserError when it is too big for WebAssembly.
 */
export async function webModelFiles(
  model: Uint8Array | string,
  modelDir: string | undefined,
  label: string,
): Promise<{
  readonly model: Uint8Array | string;
  readonly externalData: readonly { readonly path: string; readonly file: string }[];
}> {
  const [dir, locations] =
    typeof model === 'string'
      ? [dirname(model), externalFiles(await loadModel(model))]
      : [modelDir, externalFiles(decodeModel(model, modelDir === undefined ? {} : { dir: modelDir }))];
  const externalData = locations.map((location) => ({
    path: location.replace(/^\.\//, ''),
    file: join(dir ?? '', location),
  }));
  let total = typeof model === 'string' ? (await stat(model)).size : model.byteLength;
  for (const { file } of externalData) total += (await stat(file)).size;
  if (total > largestModel) {
    throw new UserError(
      'web-memory',
      `${label} has ${formatBytes(total)}; WebAssembly, with its 4 GB of memory, can load about ${formatBytes(largestModel)}.`,
    );
  }
  return { model, externalData };
}

/**
 * The same session, which lets the event loop turn before each run: WebAssembly computes on this thread and never waits,
 * so that otherwise no signal, timer or progress would come through between the samples of a long evaluation.
 */
function breathing(session: Session): Session {
  const { provider, inputs, outputs, createMs } = session;
  return {
    provider,
    inputs,
    outputs,
    createMs,
    async run(feeds, wanted) {
      await setImmediate();
      return session.run(feeds, wanted);
    },
    timer: (feeds) => session.timer(feeds),
    dispose: () => session.dispose(),
  };
}
