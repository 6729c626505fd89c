import { tmpdir } from 'node:os';
import type { Dataset } from '../../data/dataset.ts';
import { agreement } from '../../data/metrics/classify.ts';
import { allowedDrop } from '../../drop-limit.ts';
import { auditModel } from '../../engine/audit.ts';
import { type Comparison, compare, toFidelity } from '../../engine/compare.ts';
import { type Evaluation, evaluate } from '../../engine/evaluate.ts';
import { probe } from '../../engine/isolated.ts';
import { remembering } from '../../engine/remembering.ts';
import { openSession, type Session as RuntimeSession } from '../../engine/session.ts';
import { whyNothingIsTold } from '../../engine/tells-apart.ts';
import { UserError } from '../../errors.ts';
import type { Model } from '../../ir/graph.ts';
import { modelStats } from '../../ir/stats.ts';
import { loadModel } from '../../onnx/load.ts';
import { isLossy } from '../../pass/pipeline.ts';
import type { Accuracy } from '../../report/report.ts';
import { packScores } from '../../report/scores.ts';
import type { Session } from '../command.ts';
import { downloadBytes } from '../compressed-size.ts';
import { type FeedOptions, feedBatches, firstFeeds } from '../feeds.ts';
import { findPass } from '../steps.ts';
import type { Built } from './built.ts';
import type { Measured } from './measured.ts';
import { pairAccuracy } from './paired.ts';
import type { Settings } from './settings.ts';

export interface MeasureContext {
  readonly settings: Settings;
  readonly base: Model;
  readonly dataset: Dataset | undefined;
  /** Why no metric can read the outputs: then fidelity alone judges. */
  readonly unread: string | undefined;
  readonly session: Session;
  /** What base scored, as soon as it was judged. */
  readonly onBase?: (evaluation: Evaluation) => void;
}

/** Samples that fidelity is measured on. */
const fidelitySamples = 64;
const madeUpSamples = 8;

/**
 * Measures every variant that was built on the CPU: loads it in a child process first, then fidelity, task metric and
 * audit. Latency comes afterwards, with all variants side by side (latency.ts).
 */
export async function measureAll(built: readonly Built[], context: MeasureContext): Promise<Measured[]> {
  const measured: Measured[] = [];
  const baseFile = built.find((one) => one.name === 'base')?.path;
  if (baseFile === undefined)
    throw new UserError('base.unbuilt', 'the model itself could not be written, so nothing can be compared with it.');
  // All variants are compared with it on the same samples.
  const base = remembering(await openSession(baseFile, { label: 'the model' }));
  try {
    // Base comes first: the others' drop is measured against its scores.
    const judged: Judged = {};
    for (const one of built) {
      measured.push(await measureOne(one, base, judged, context));
      // Without its figures nothing could be held against the floor.
      const [why] = measured[0]?.blockers ?? [];
      if (why !== undefined) throw new UserError('base.unmeasured', `the model itself cannot be measured: ${why}`);
    }
  } finally {
    await base.dispose();
  }
  return measured;
}

/** What base scored, once it was judged. */
interface Judged {
  base?: Evaluation;
  /** Why its outputs say nothing by themselves; found out when a variant first has to be judged by them. */
  nothingTold?: Promise<string | undefined>;
}

/** Whether a step that changed something may have lost something. */
const mayLose = ({ pass, options, changed }: Built['steps'][number]): boolean =>
  changed && isLossy({ pass: findPass(pass), options });

async function measureOne(
  one: Built,
  base: RuntimeSession,
  judged: Judged,
  context: MeasureContext,
): Promise<Measured> {
  const { session, settings } = context;
  const say = (what: string): void => session.talk.progress(`measure ${one.name}`, what);
  const empty: Measured = {
    name: one.name,
    steps: one.steps.map(({ applications: _, ...step }) => step),
    file: one.path === undefined ? null : `variants/${one.name}/model.onnx`,
    sha256: one.sha256 ?? null,
    bytes: one.bytes ?? null,
    compressedBytes: null,
    parameters: null,
    nodes: one.nodes,
    ops: one.ops,
    fidelity: null,
    accuracy: null,
    latency: {},
    sessionMs: null,
    peakRssBytes: null,
    audit: null,
    blockers: one.blockers,
    failures: {},
  };
  if (one.path === undefined) return empty;
  say('load in a child process');
  const options: FeedOptions = {
    dataset: context.dataset,
    model: context.base,
    runtime: base,
    seed: settings.seed,
    shapes: settings.inputShape,
    samples: context.dataset ? fidelitySamples : madeUpSamples,
  };
  const probed = await probe(one.path, await firstFeeds(options), { signal: session.io.signal });
  if (!probed.ok) return { ...empty, blockers: [probed.why] };
  say('size');
  const model = await loadModel(one.path);
  const sized: Measured = {
    ...empty,
    compressedBytes: await downloadBytes(one.path, model),
    parameters: modelStats(model).parameters,
    sessionMs: probed.sessionMs,
    peakRssBytes: probed.peakRssBytes,
    firstMs: probed.firstRunMs,
  };
  const candidate = await openSession(one.path, { label: `variant ${one.name}` });
  try {
    say('compare with base');
    const comparison = await compare(base, candidate, feedBatches(options), session.io.signal);
    refuseNothingFinite(comparison, context.dataset !== undefined);
    const fidelity = toFidelity(comparison);
    const accuracy = await judge(candidate, base, judged, context, one.name);
    if ((!accuracy || accuracy.metric === agreement.id) && one.steps.some(mayLose)) {
      judged.nothingTold ??= whyNothingIsTold(
        base,
        feedBatches(options),
        context.dataset ? 'samples' : 'made-up inputs',
      );
      const why = await judged.nothingTold;
      if (why !== undefined) return { ...sized, blockers: [why] };
    }
    say('audit');
    return { ...sized, fidelity, accuracy, audit: await audit(one.path, one.name, session) };
  } catch (error) {
    session.io.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    return { ...sized, blockers: [error.message] };
  } finally {
    await candidate.dispose();
  }
}

/**
 * NaN equals NaN, so a model that computes nothing else would be reproduced perfectly by all that ruin it further.
 * @throws UserError when no value of any float output of the model itself is a number.
 */
function refuseNothingFinite({ outputs, samples }: Comparison, hasData: boolean): void {
  const floats = outputs.filter(({ dtype, elements }) => elements > 0 && /float/.test(dtype));
  if (floats.length === 0 || floats.length < outputs.length) return;
  if (!floats.every(({ nonFinite, elements }) => nonFinite.base === elements)) return;
  throw new UserError(
    'base.not-finite',
    `the model itself gives only NaN or infinite values (${floats.map(({ name }) => `"${name}"`).join(', ')}, on ${samples} samples), ` +
      `so nothing can be compared with it: look for NaN in its weights, and ${hasData ? 'at its inputs with mlpack data check' : 'give inputs that it can take with --data'}.`,
  );
}

/** The audit explains a variant, it does not judge it: where it cannot be made (no room for a temporary file), the rest stands. */
async function audit(path: string, name: string, session: Session): Promise<Measured['audit']> {
  try {
    return await auditModel(path);
  } catch (error) {
    session.io.signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    session.talk.warn(
      `variant ${name} has no fusion audit (the folder for temporary files is ${tmpdir()}): ${error.message}`,
    );
    return null;
  }
}

/** The task metric where the data can tell it, else agreement with base on the data, else nothing. */
async function judge(
  candidate: RuntimeSession,
  base: RuntimeSession,
  judged: Judged,
  context: MeasureContext,
  name: string,
): Promise<Accuracy | null> {
  const { dataset, settings, session } = context;
  if (!dataset || context.unread !== undefined) return null;
  const result = await evaluate(candidate, dataset, {
    signal: session.io.signal,
    reference: base,
    onProgress: (done, total) => session.talk.progress(`measure ${name}`, `evaluate ${done} of ${total}`),
    ...(settings.samples !== undefined && { samples: settings.samples }),
  });
  if (!judged.base) {
    judged.base = result;
    context.onBase?.(result);
  }
  // A later run pairs them by their mean: of no use where the metric is folded from all samples.
  const scores = result.resampled ? undefined : packScores(result.scores, result);
  const { seed } = settings;
  const maxDrop = allowedDrop(settings.maxDrop, judged.base.metric, judged.base.value);
  return { ...pairAccuracy(judged.base, result, { seed, maxDrop }), ...(scores && { scores }) };
}
