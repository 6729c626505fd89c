import type { Dataset } from '../../data/dataset.ts';
import { checkLabels } from '../../data/metrics/rows.ts';
import { evaluate } from '../../engine/evaluate.ts';
import { openModel } from '../../engine/open-model.ts';
import type { Session as RuntimeSession } from '../../engine/session.ts';
import { UserError } from '../../errors.ts';
import type { Model } from '../../ir/graph.ts';
import type { IoInfo } from '../../report/report.ts';
import type { Session } from '../command.ts';
import { openData } from '../data.ts';
import { firstFeeds } from '../feeds.ts';
import type { ModelSource } from '../model-source.ts';
import type { Settings } from './settings.ts';

/** Samples held out for calibration where the data set names none: as many as calibration takes. */
const heldOutSamples = 128;

interface Fitting extends Pick<RuntimeSession, 'inputs' | 'outputs'> {
  readonly dataset: Dataset | undefined;
  /** Why no metric can read the outputs, where nobody asked for one: variants then have to reproduce them. */
  readonly unread: string | undefined;
}

/**
 * The data, and what the model takes and gives. One sample (or made-up input) goes through the model: data that does not fit it is told before
 * the minutes that building takes.
 */
export async function openFitting(
  source: ModelSource,
  model: Model,
  { data, allowModules, seed, inputShape }: Settings,
  session: Session,
): Promise<Fitting> {
  const runtime = await openModel(model, { label: 'the model' });
  try {
    const { inputs, outputs } = runtime;
    const dataset = await openData(source, data, session, inputs, { allowModules, holdOut: heldOutSamples });
    if (dataset) checkClasses(dataset, outputs);
    await runtime.run(await firstFeeds({ dataset, model, runtime, seed, shapes: inputShape, samples: 1 }));
    const unread = dataset && (await whyUnread(runtime, dataset));
    if (unread !== undefined) session.talk.note(`data: ${unread}`);
    return { inputs, outputs, dataset, unread };
  } finally {
    await runtime.dispose();
  }
}

/** A detector may have found one box in the first picture, which looks like a row of scores. */
const triedSamples = 4;

/**
 * Judges the first samples, so that a metric that cannot read the outputs is told before anything is built. Where none was named and there are no labels,
 * that only means that the outputs are no classes whose agreement could be counted.
 * @throws UserError where the metric, or the labels, ask for outputs that the model does not have
 */
async function whyUnread(runtime: RuntimeSession, dataset: Dataset): Promise<string | undefined> {
  try {
    await evaluate(runtime, dataset, { samples: triedSamples, reference: runtime });
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== 'metric-output') throw error;
    const shapes = runtime.outputs.map(
      ({ name, dtype, shape }) => `"${name}" (${dtype} [${shape?.join(', ') ?? '?'}])`,
    );
    const list = `${shapes.slice(0, 8).join(', ')}${shapes.length > 8 ? ', …' : ''}`;
    if (dataset.metric !== undefined || dataset.hasLabels)
      throw new UserError(
        error.code,
        `${error.message} The model gives ${list}: name the output that the metric reads ("output" in ${dataset.dir}/dataset.json), another "metric", or a module of your own (docs/metrics.md); ` +
          'without "metric" and "labels" variants are held against the outputs of the model itself.',
        { cause: error },
      );
    const advice = dataset.hasTruths
      ? 'to judge by the boxes, set "metric": "map" and how outputs become boxes ("decode")'
      : 'a metric of your own judges them by the task';
    return `no labels, and outputs that are no classes which could agree or not (${list}), so variants have to reproduce them; ${advice} (docs/metrics.md)`;
  }
}

/** Metrics that look up the label among the scores of a sample. */
const byClass = new Set(['top1', 'top5', 'accuracy', 'precision', 'recall', 'f1', 'mcc', 'roc-auc']);

/** @throws UserError for a label beyond the classes of the output that is judged, where its shape says how many these are. */
function checkClasses({ highestLabel, metric, output }: Dataset, outputs: readonly IoInfo[]): void {
  if (highestLabel === undefined || metric === undefined || !byClass.has(metric)) return;
  const scores = (outputs.find(({ name }) => name === output) ?? outputs[0])?.shape?.slice(1) ?? [];
  const width = scores.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : Number.NaN), 1);
  // One number a sample is a class, or the probability of the second of two.
  if (scores.length > 0 && width > 1) checkLabels([highestLabel], width);
}
