import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Model } from '../ir/graph.ts';
import { encodeModel } from '../onnx/encode.ts';
import { saveModel } from '../onnx/save.ts';
import { isWeb, parseProvider } from './providers.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';

/** Protobuf messages end at 2 GiB; some room is left for everything that is not tensor data. */
const largestMessage = 1.9e9;

/**
 * Opens a model of the IR: as bytes, or, when it is too big for one message, through files in a temporary folder.
 * @throws UserError when the runtime refuses it.
 */
export async function openModel(model: Model, options: SessionOptions = {}): Promise<Session> {
  if (tensorBytes(model) < largestMessage) return await fromMemory(model, options);
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-session-'));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    const path = join(dir, 'model.onnx');
    await saveModel(model, path, { externalData: 'always' });
    // The runtime maps the data file as long as the session stands.
    return disposedWith(await openSession(path, { label: 'the model', ...options }), remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Bytes that are kept for the next model, at most. */
const largestKept = 256 * 1024 * 1024;
let kept = new Uint8Array(0);
let isTaken = false;

/**
 * Opens a model from memory that was used before: a search opens hundreds of them, and fresh memory costs more than writing to it (on a virtual
 * machine a quarter of the ranking of ResNet-50's layers). The native runtime has parsed the bytes when the session is there.
 */
async function fromMemory(model: Model, options: SessionOptions): Promise<Session> {
  if (isTaken || isWeb(parseProvider(options.provider ?? 'cpu').id))
    return await openSession(encodeModel(model), options);
  isTaken = true;
  try {
    return await openSession(encodeModel(model, memoryOf), options);
  } finally {
    isTaken = false;
  }
}

function memoryOf(bytes: number): Uint8Array {
  if (bytes <= kept.byteLength) return kept;
  const fresh = new Uint8Array(bytes);
  if (bytes <= largestKept) kept = fresh;
  return fresh;
}

/** The same session; what it needed on disk goes with it. */
function disposedWith(session: Session, remove: () => Promise<void>): Session {
  const { provider, inputs, outputs, createMs } = session;
  return {
    provider,
    inputs,
    outputs,
    createMs,
    run: (feeds, wanted) => session.run(feeds, wanted),
    timer: (feeds) => session.timer(feeds),
    async dispose() {
      await session.dispose();
      await remove();
    },
  };
}

function tensorBytes(model: Model): number {
  let bytes = 0;
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) bytes += value.initializer?.byteLength ?? 0;
    for (const node of graph.nodes)
      for (const attr of node.attrs.values()) if (attr.type === 'tensor') bytes += attr.value.byteLength;
  }
  return bytes;
}
