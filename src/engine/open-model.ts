import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Model } from '../ir/graph.ts';
import { encodeModel } from '../onnx/encode.ts';
import { saveModel } from '../onnx/save.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';

/** Protobuf messages end at 2 GiB; some room is left for everything that is not tensor data. */
const largestMessage = 1.9e9;

/**
 * Opens a model of the IR: as bytes, or, when it is too big for one message, through files in a temporary folder.
 * @throws UserError when the runtime refuses it.
 */
export async function openModel(model: Model, options: SessionOptions = {}): Promise<Session> {
  if (tensorBytes(model) < largestMessage) return await openSession(encodeModel(model), options);
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
