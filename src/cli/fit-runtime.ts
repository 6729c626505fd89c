import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toOpset } from '../../passes/opset/to-opset.ts';
import { createCompute } from '../engine/compute.ts';
import { UserError } from '../errors.ts';
import { ceilingOf, minorOf, runtimeCeilings } from '../ir/ceilings.ts';
import type { Model } from '../ir/graph.ts';
import { newestOpset } from '../ir/opset-upgrade.ts';
import { loadModel } from '../onnx/load.ts';
import { saveModel } from '../onnx/save.ts';
import { runSteps } from '../pass/pipeline.ts';
import type { Target } from '../target/target.ts';
import type { Session } from './command.ts';
import type { VariantPlan } from './optimize/variants.ts';

/** A target with its options, complete and checked. */
interface Chosen {
  readonly target: Target;
  readonly options: Readonly<Record<string, never>>;
}

/** The oldest ONNX Runtime that is to load what goes into the bundles. */
interface Oldest {
  readonly target: string;
  readonly version: string;
  readonly minor: number;
}

/** @returns undefined where no target names another than the one it ships. @throws UserError for a version that is none. */
export function oldestRuntime(chosen: readonly Chosen[]): Oldest | undefined {
  let oldest: Oldest | undefined;
  for (const { target, options } of chosen) {
    const version = target.loadedBy?.(options);
    if (version === undefined) continue;
    const minor = minorOf(version);
    if (minor === undefined)
      throw new UserError(
        'option.value',
        `${target.id}: ort takes a version of ONNX Runtime such as 1.20, not "${version}".`,
      );
    if (!oldest || minor < oldest.minor) oldest = { target: target.id, version, minor };
  }
  return oldest;
}

/** Opset or IR version is beyond what that runtime reads. */
export function isBeyond({ opset, irVersion }: Pick<Model, 'opset' | 'irVersion'>, { minor }: Oldest): boolean {
  const ceiling = ceilingOf(minor);
  return ceiling === undefined || opset > ceiling.opset || irVersion > ceiling.irVersion;
}

/**
 * The model in the operators of an older runtime where a target is loaded by one: a file in a scratch folder, which goes when the command ends.
 * @param file of the finished model. @returns the file itself where it fits.
 * @throws UserError with the node that has no older form.
 */
export async function fitRuntime(
  file: string,
  oldest: Oldest | undefined,
  { io, talk, atEnd }: Pick<Session, 'io' | 'talk' | 'atEnd'>,
): Promise<string> {
  if (!oldest) return file;
  const model = await loadModel(file);
  if (!isBeyond(model, oldest)) return file;
  const { opset, irVersion } = model;
  try {
    await runSteps(model, [toOpset({ ort: oldest.version })], {
      context: { compute: createCompute(), activations: undefined, signal: io.signal, seed: 0 },
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      'target.runtime',
      `target ${oldest.target} is loaded by ONNX Runtime ${oldest.version}, and the model cannot be written for that: ${error.message}`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), 'mlpack-fit-'));
  io.scratch.add(folder);
  atEnd.push(async () => {
    await rm(folder, { recursive: true, force: true });
    io.scratch.delete(folder);
  });
  const fitted = join(folder, 'model.onnx');
  await saveModel(model, fitted, { force: true });
  talk.note(
    `opset ${opset} → ${model.opset}, IR version ${irVersion} → ${model.irVersion}: target ${oldest.target} is loaded by ONNX Runtime ${oldest.version}`,
  );
  return fitted;
}

/** The same where one target among several asks for it: the file as it is where it cannot be; the target then refuses it. */
export async function fitIfPossible(
  file: string,
  oldest: Oldest | undefined,
  session: Pick<Session, 'io' | 'talk' | 'atEnd'>,
): Promise<string> {
  try {
    return await fitRuntime(file, oldest, session);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    session.talk.warn(error.message);
    return file;
  }
}

/** A variant that ends in what the oldest runtime reads; `base` is the model as it came, and stays that until it is packed. */
export function writtenFor(plan: VariantPlan, oldest: Oldest | undefined): VariantPlan {
  const ceiling = oldest && ceilingOf(oldest.minor);
  const reads = (ceiling?.opset ?? 0) >= newestOpset && (ceiling?.irVersion ?? 0) >= runtimeCeilings.irVersion;
  if (!oldest || plan.name === 'base' || reads) return plan;
  return { ...plan, steps: [...plan.steps, toOpset({ ort: oldest.version })] };
}
