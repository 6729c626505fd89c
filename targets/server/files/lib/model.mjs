/** One model on ONNX Runtime: its signature in terms of the protocol, and inference. */

import { datatypeOf, fromBytes } from './datatypes.mjs';
import { RequestError } from './errors.mjs';

/** @param manifest of the bundle @returns what the protocol says about the model, and an empty place for the session */
export function describeModel(manifest) {
  const tensor = ({ name, dtype, shape }) => ({ name, dtype, datatype: datatypeOf(dtype), shape });
  return {
    name: manifest.model.name,
    version: '1',
    inputs: manifest.inputs.map(tensor),
    outputs: manifest.outputs.map(tensor),
    properties: { variant: manifest.variant, sha256: manifest.model.sha256 },
    labels: manifest.labels,
  };
}

/** Opens the session and runs the warm-up inputs once, so that the first request pays for nothing. */
export async function openModel(path, { threads, warmUp }) {
  // ONNX Runtime would report usage to Microsoft; set ORT_DISABLE_TELEMETRY=0 to let it.
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(path, threads > 0 ? { intraOpNumThreads: threads } : {});
  const run = (feeds, outputs) => runSession(session, Tensor, feeds, outputs);
  if (warmUp) {
    const feeds = warmUp.map(({ name, dtype, shape, bytes }) => {
      const count = shape.reduce((product, dim) => product * dim, 1);
      return { name, dtype, shape, data: fromBytes(datatypeOf(dtype), bytes, count) };
    });
    await run(feeds, undefined);
  }
  return { run, release: () => session.release() };
}

async function runSession(session, Tensor, feeds, outputs) {
  const tensors = Object.fromEntries(
    feeds.map(({ name, dtype, shape, data }) => [name, new Tensor(dtype, data, shape)]),
  );
  try {
    return outputs === undefined ? await session.run(tensors) : await session.run(tensors, outputs);
  } catch (error) {
    // What passed the signature and still fails is a value or a size that the graph itself does not accept.
    throw new RequestError(`the model cannot run these inputs: ${firstLine(error)}`);
  }
}

function firstLine(error) {
  const line = String(error instanceof Error ? error.message : error).split('\n', 1)[0];
  return line.replace(/(?:\/[\w.+-]+){2,}(?::\d+)?/g, '…').slice(0, 300);
}
