import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import { openSession } from '../engine/session.ts';
import { byteSize } from '../ir/dtype.ts';
import type { Model } from '../ir/graph.ts';
import { modelStats } from '../ir/stats.ts';
import { elementCount, type Tensor } from '../ir/tensor.ts';
import { externalFiles } from '../onnx/external-files.ts';
import { hashFile } from '../onnx/hash.ts';
import { loadModel } from '../onnx/load.ts';
import type { Artifact, GoldenCase, GoldenTensor } from '../target/target.ts';
import { feedBatches } from './feeds.ts';

export interface ArtifactOptions {
  readonly name: string;
  readonly variant: string;
  /** The .onnx file; external data files are found through the model. */
  readonly file: string;
  readonly dataset: Dataset | undefined;
  readonly seed: number;
  readonly shapes: readonly string[];
}

const goldenCount = 4;

/**
 * A finished model file as targets want it: its files with hashes, its signature, and golden cases recorded now on the
 * CPU provider from the first samples of the data (or seeded inputs).
 */
export async function makeArtifact(options: ArtifactOptions): Promise<Artifact> {
  const { file, dataset } = options;
  const model = await loadModel(file);
  const session = await openSession(file, { label: basename(file) });
  try {
    const golden: GoldenCase[] = [];
    const feeds = feedBatches({ ...options, model, runtime: session, samples: goldenCount, batch: 1 });
    for await (const batch of feeds) {
      const outputs = await session.run(batch.feeds);
      golden.push({ inputs: record(batch.feeds), outputs: record(outputs), tolerance: toleranceFor(model, outputs) });
    }
    return {
      name: options.name,
      variant: options.variant,
      files: await artifactFiles(file, model),
      inputs: session.inputs,
      outputs: session.outputs,
      irVersion: model.irVersion,
      opsets: Object.fromEntries(model.opsets),
      ops: Object.fromEntries(modelStats(model).ops),
      weightBytes: weightBytes(model),
      golden,
      labels: dataset?.labelNames,
      preprocessing: dataset?.preprocessing,
      license: dataset?.license,
    };
  } finally {
    await session.dispose();
  }
}

/** Bytes of initializers by element type, subgraphs included: targets see from it what a provider must be able to do. */
function weightBytes(model: Model): Record<string, number> {
  const bytes: Record<string, number> = {};
  for (const graph of model.graphs()) {
    for (const { constant } of graph.initializers) {
      if (!constant) continue;
      bytes[constant.dtype] = (bytes[constant.dtype] ?? 0) + byteSize(constant.dtype, elementCount(constant.shape));
    }
  }
  return bytes;
}

function record(tensors: ReadonlyMap<string, Tensor>): GoldenTensor[] {
  return [...tensors].map(([name, tensor]) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    bytes: Uint8Array.from(tensor.bytes()),
  }));
}

/**
 * How far another runtime may be off and still be right: float kernels of other back ends sum in another order (1e-3
 * relative to the largest output); where integers or halves are inside, one rounding step may flip (2e-2).
 */
function toleranceFor(model: Model, outputs: ReadonlyMap<string, Tensor>): GoldenCase['tolerance'] {
  const coarse =
    [...modelStats(model).ops.keys()].some((op) => /Integer|QLinear|Quantize|NBits|Bnb4/.test(op)) || hasHalves(model);
  const rtol = coarse ? 2e-2 : 1e-3;
  let largest = 0;
  for (const tensor of outputs.values()) {
    if (tensor.dtype !== 'float32') continue;
    const bytes = tensor.bytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < elementCount(tensor.shape); at++) {
      const value = Math.abs(view.getFloat32(4 * at, true));
      if (Number.isFinite(value)) largest = Math.max(largest, value);
    }
  }
  return { rtol, atol: Math.max(1e-6, rtol * largest) };
}

function hasHalves(model: Model): boolean {
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) if (value.dtype === 'float16' || value.dtype === 'bfloat16') return true;
  }
  return false;
}

async function artifactFiles(file: string, model: Model): Promise<Artifact['files']> {
  const names = externalFiles(model);
  const files = [];
  for (const [name, source] of [['model.onnx', file], ...names.map((one) => [one, join(dirname(file), one)])] as [
    string,
    string,
  ][]) {
    files.push({ name, source, bytes: (await stat(source)).size, sha256: await hashFile(source) });
  }
  return files;
}
