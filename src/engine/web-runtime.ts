import type * as OrtWeb from 'onnxruntime-web';
import { UserError } from '../errors.ts';
import { tinyModel } from './tiny-model.ts';

/**
 * onnxruntime-web in Node: the same WebAssembly as in browsers, in this process and beside onnxruntime-node, with which it
 * shares nothing. Loaded on first use; compiled before this returns, so that nobody's session pays for it.
 * @param threads the WebAssembly module is started once for the process, with the threads first asked for; default 1,
 * which is what pages without cross-origin isolation get.
 * @throws UserError when it already runs with another number of threads.
 */
export async function loadWebRuntime(threads?: number): Promise<typeof OrtWeb> {
  const ort = await import('onnxruntime-web');
  const { wasm } = ort.env;
  if (wasm.numThreads === undefined) {
    ort.env.logLevel = 'fatal';
    wasm.numThreads = threads ?? 1;
  } else if (threads !== undefined && threads !== wasm.numThreads) {
    throw new UserError(
      'web-threads',
      `WebAssembly already runs with ${wasm.numThreads} threads in this process; ${threads} take another process.`,
    );
  }
  const session = await ort.InferenceSession.create(tinyModel().bytes, { executionProviders: ['wasm'] });
  await session.release();
  return ort;
}
