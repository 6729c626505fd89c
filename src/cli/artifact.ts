import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import { openSession, type Session } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import { modelStats } from '../ir/stats.ts';
import type { Tensor } from '../ir/tensor.ts';
import { externalFiles } from '../onnx/external-files.ts';
import { hashFile } from '../onnx/hash.ts';
import { loadModel } from '../onnx/load.ts';
import type { IoInfo } from '../report/report.ts';
import type { Artifact, GoldenCase, GoldenTensor } from '../target/target.ts';
import { goldenTolerance } from '../target/tolerance.ts';
import { bestBatch, bestSplit } from './best-batch.ts';
import { findCompanions } from './companions.ts';
import { feedBatches } from './feeds.ts';
import { goldenDifference, toGolden } from './golden.ts';
import { partName } from './model-parts.ts';
import { makeReference } from './reference.ts';
import { parseShapes } from './shapes.ts';
import { staticGraph } from './static-graph.ts';
import { withTolerances } from './tolerances.ts';
import { weightsApart } from './weights-apart.ts';
import { createWorkshop } from './workshop.ts';

export interface ArtifactOptions {
  readonly name: string;
  readonly variant: string;
  /** The .onnx file; external data files are found through the model. */
  readonly file: string;
  readonly dataset: Dataset | undefined;
  readonly seed: number;
  readonly shapes: readonly string[];
  /** Make `Artifact.graph`, for targets that compile it. */
  readonly wantsGraph: boolean;
  readonly signal: AbortSignal;
  /** The model as it came, where `file` was made of it: what stands beside that tells about its inputs. */
  readonly origin?: string;
}

const goldenCount = 4;

/**
 * Samples in one golden case where the model leaves it open: what `--input-shape` says of the first axis of an input, else one.
 * @throws UserError when there are not as many samples.
 */
function goldenBatch(dataset: Dataset, inputs: readonly IoInfo[], pairs: readonly string[]): number {
  const { dims = {}, shapes } = parseShapes(pairs);
  const asked = inputs.flatMap(({ name, shape }) => {
    const symbol = shape?.[0];
    return shapes?.get(name)?.[0] ?? (typeof symbol === 'string' ? dims[symbol] : undefined) ?? [];
  });
  const batch = asked[0] ?? 1;
  if (batch > dataset.samples)
    throw new UserError(
      'shape.batch',
      `--input-shape asks for ${batch} samples at a time, and ${dataset.name} has ${dataset.samples}.`,
    );
  return batch;
}

/**
 * A finished model file as targets want it: its files with hashes, its signature, and golden cases recorded now on the
 * CPU provider from the first samples of the data (or seeded inputs).
 */
export async function makeArtifact(options: ArtifactOptions): Promise<Artifact> {
  const { file, dataset } = options;
  const model = await loadModel(file);
  const ops = countOps(model);
  const weightBytes = Object.fromEntries([...modelStats(model).byType].map(([dtype, { bytes }]) => [dtype, bytes]));
  const tolerance = goldenTolerance(ops, weightBytes);
  const session = await openSession(file, { label: basename(file) });
  try {
    const recorded: GoldenCase[] = [];
    const feeds: ReadonlyMap<string, Tensor>[] = [];
    const answers: ReadonlyMap<string, Tensor>[] = [];
    const batch = dataset ? goldenBatch(dataset, session.inputs, options.shapes) : 1;
    const samples = Math.min(goldenCount, dataset ? Math.floor(dataset.samples / batch) : goldenCount) * batch;
    const batches = feedBatches({ ...options, model, runtime: session, samples, batch });
    for await (const batch of batches) {
      const outputs = await session.run(batch.feeds);
      recorded.push({ inputs: record(batch.feeds), outputs: record(outputs), tolerance });
      feeds.push(batch.feeds);
      answers.push(outputs);
    }
    const varies = await outputThatVaries(session, recorded[0], feeds[0]);
    const golden =
      varies === undefined ? await withTolerances(recorded, model, { feeds, answers, signal: options.signal }) : [];
    const [first] = recorded;
    const part = partName(options.origin ?? file);
    return {
      name: options.name,
      variant: options.variant,
      ...(part !== undefined && { part }),
      files: await artifactFiles(file, model),
      inputs: session.inputs,
      outputs: session.outputs,
      irVersion: model.irVersion,
      opsets: Object.fromEntries(model.opsets),
      ops,
      weightBytes,
      largestWeight: largestInitializer(model),
      companions: await findCompanions(options.origin ?? file, dataset),
      golden,
      ...(varies !== undefined && { varies }),
      labels: dataset?.labelNames,
      hasClasses: dataset?.hasLabels === true,
      preprocessing: dataset?.preprocessing,
      license: dataset?.license,
      ...(options.wantsGraph && first && { graph: await staticGraph(model, first, options.signal) }),
      workshop: {
        ...createWorkshop(file, options.seed, options.signal),
        apart: () => weightsApart(file),
        bestBatch: () => bestBatch(file, golden),
        bestSplit: (rows, cpus) => bestSplit(file, golden, { rows, cpus, signal: options.signal }),
        reference: async () => (dataset ? makeReference(file, dataset) : undefined),
      },
    };
  } finally {
    await session.dispose();
  }
}

/** What is said where `Artifact.varies` is set. */
export function variesSentence(output: string): string {
  return `output "${output}" differs from run to run on the same inputs (the model draws random numbers): bundles hold no recorded answers, and checks only start them`;
}

/** An output that is beyond its tolerance when the same inputs come again: a model that draws random numbers (TTS, samplers). */
async function outputThatVaries(
  session: Session,
  first: GoldenCase | undefined,
  feeds: ReadonlyMap<string, Tensor> | undefined,
): Promise<string | undefined> {
  if (!first || !feeds) return undefined;
  const again = await session.run(feeds);
  return first.outputs.find((want) => {
    const got = again.get(want.name);
    return got && goldenDifference(toGolden(want.name, got), want, first.tolerance) !== undefined;
  })?.name;
}

function record(tensors: ReadonlyMap<string, Tensor>): GoldenTensor[] {
  return [...tensors].map(([name, tensor]) => toGolden(name, tensor));
}

function largestInitializer(model: Model): number {
  let largest = 0;
  for (const graph of model.graphs())
    for (const { initializer } of graph.initializers) largest = Math.max(largest, initializer?.byteLength ?? 0);
  return largest;
}

/** Node counts by `domain:op`, the way targets name operators ('' domain without colon). */
function countOps(model: Model): Record<string, number> {
  const counts = new Map<string, number>();
  for (const graph of model.graphs()) {
    for (const { domain, op } of graph.nodes) {
      const name = domain === '' ? op : `${domain}:${op}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return Object.fromEntries([...counts].sort(([x], [y]) => (x < y ? -1 : 1)));
}

/** The model file, as `model.onnx`, and the files that its external data are in. */
export async function artifactFiles(file: string, model: Model): Promise<Artifact['files']> {
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
