import type { Dataset } from '../../data/dataset.ts';
import { checkLabels } from '../../data/metrics/rows.ts';
import { openModel } from '../../engine/open-model.ts';
import type { Session as RuntimeSession } from '../../engine/session.ts';
import type { Model } from '../../ir/graph.ts';
import type { IoInfo } from '../../report/report.ts';
import type { Session } from '../command.ts';
import { openData } from '../data.ts';
import { firstFeeds } from '../feeds.ts';
import type { ModelSource } from '../model-source.ts';
import type { Settings } from './settings.ts';

/** Samples held out for calibration where the data set names none: as many as calibration takes. */
const heldOutSamples = 128;

/**
 * The data, and what the model takes and gives. One sample (or made-up input) goes through the model: data that does not fit it is told before
 * the minutes that building takes.
 */
export async function openFitting(
  source: ModelSource,
  model: Model,
  { data, allowModules, seed, inputShape }: Settings,
  session: Session,
): Promise<Pick<RuntimeSession, 'inputs' | 'outputs'> & { readonly dataset: Dataset | undefined }> {
  const runtime = await openModel(model, { label: 'the model' });
  try {
    const { inputs, outputs } = runtime;
    const dataset = await openData(source, data, session, inputs, { allowModules, holdOut: heldOutSamples });
    if (dataset) checkClasses(dataset, outputs);
    await runtime.run(await firstFeeds({ dataset, model, runtime, seed, shapes: inputShape, samples: 1 }));
    return { inputs, outputs, dataset };
  } finally {
    await runtime.dispose();
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
