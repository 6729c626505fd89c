import { labelLines } from '../../src/target/labels.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import { mixingReason } from '../server/mixing.ts';
import { batchObjection, labelledOutput, modelConfig, type TritonOptions, tritonType } from './config.ts';
import { ensembleFiles } from './ensemble.ts';

/** Why requests do not run together, or undefined where they do. */
function batchRefusal(artifact: Artifact): string | undefined {
  return batchObjection(artifact) ?? mixingReason(artifact);
}

/** Sentences on what Triton would refuse. */
export function tritonObjections(artifact: Artifact, { maxBatch }: TritonOptions): string[] {
  const because = [...artifact.inputs, ...artifact.outputs]
    .filter(({ dtype }) => tritonType(dtype) === undefined)
    .map(({ name, dtype }) => `"${name}" is ${dtype}, which Triton's ONNX Runtime backend does not exchange.`);
  const refusal = maxBatch > 0 ? batchObjection(artifact) : undefined;
  if (refusal !== undefined)
    because.push(`maxBatch is ${maxBatch}, and ${refusal}: Triton would not load it; use maxBatch=0.`);
  return because;
}

/** What to know about it. */
export function tritonNotes(artifact: Artifact): string[] {
  const refusal = batchRefusal(artifact);
  return refusal === undefined ? [] : [`Triton does not batch requests of this model: ${refusal}.`];
}

/** A model repository under `root`, with everything that Triton looks for in it. */
export async function* repositoryFiles(
  artifact: Artifact,
  options: TritonOptions,
  root: string,
): AsyncIterable<BundleFile> {
  const model = `${root}/${artifact.name}`;
  const batch = batchRefusal(artifact) === undefined ? await batchOf(artifact, options) : options.maxBatch;
  const placed = { ...options, ...(await splitOf(artifact, options, batch)) };
  yield { path: `${model}/config.pbtxt`, bytes: modelConfig(artifact, placed, batch) };
  // With external data the "file" is a folder of that name.
  const folder = artifact.files.length > 1 ? `${model}/1/model.onnx` : `${model}/1`;
  for (const [i, { name, source }] of artifact.files.entries()) {
    const program = i === 0 ? { program: { format: 'onnx' } } : {};
    yield { path: `${folder}/${name}`, from: source, ...program };
  }
  for (const [i, { bytes }] of artifact.golden[0]?.inputs.entries() ?? []) {
    yield { path: `${model}/warmup/input-${i}`, bytes };
  }
  if (labelledOutput(artifact) !== undefined) {
    yield { path: `${model}/labels.txt`, bytes: labelLines(artifact.labels ?? []) };
  }
  if (options.ensemble) yield* ensembleFiles(artifact, options, root, batch);
}

/** As given, else as measured where this is made, else what most CPU models have gained all of by then. */
async function batchOf(artifact: Artifact, { maxBatch }: TritonOptions): Promise<number> {
  if (maxBatch > 0) return maxBatch;
  return (await artifact.workshop?.bestBatch?.()) ?? 8;
}

/** What KServe's manifest asks for, and what the figures in docs/server.md were taken on. */
const cpus = 2;

/**
 * As given; else as measured, on this machine, for the batch that Triton will run. Where that cannot be done a session for each CPU, which has always
 * been the quicker here (2 × 1 thread: 1127 pictures/s of MobileNet and 2422 of ResNet-20, 1 × 2: 1060 and 1428). On GPUs there is one.
 */
async function splitOf(
  artifact: Artifact,
  { instances, threads, kind }: TritonOptions,
  batch: number,
): Promise<Pick<TritonOptions, 'instances' | 'threads'>> {
  if (instances > 0 && threads > 0) return { instances, threads };
  if (kind === 'gpu') return { instances: instances || 1, threads: threads || 1 };
  if (instances > 0) return { instances, threads: Math.max(1, Math.floor(cpus / instances)) };
  if (threads > 0) return { threads, instances: Math.max(1, Math.floor(cpus / threads)) };
  return (await artifact.workshop?.bestSplit?.(Math.max(1, batch), cpus)) ?? { instances: cpus, threads: 1 };
}
