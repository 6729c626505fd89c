import { UserError } from '../../errors.ts';
import { nearest } from '../../messages.ts';
import { Fields } from '../json-fields.ts';
import type { MetricSpec } from '../specs.ts';
import { rocAuc } from './auc.ts';
import { accuracy, agreement, f1, mcc, precision, recall, top1, top5 } from './classify.ts';
import { meanAveragePrecision } from './detect.ts';
import { cosine, recallAtK } from './embed.ts';
import { meanIou, psnr, ssim } from './image.ts';
import { exactMatch, nextToken, perplexity, tokenAccuracy, tokenAgreement } from './language.ts';
import type { Metric, MetricContext, MetricKind } from './metric.ts';
import { isModule, loadModuleMetric } from './module.ts';
import { mae, pearson, rmse, spearman } from './regress.ts';
import { characterErrors, siSnr, wordErrors } from './speech.ts';

export const metricKinds: readonly MetricKind[] = [
  top1,
  top5,
  accuracy,
  precision,
  recall,
  f1,
  mcc,
  rocAuc,
  agreement,
  mae,
  rmse,
  pearson,
  spearman,
  psnr,
  ssim,
  meanIou,
  meanAveragePrecision,
  perplexity,
  nextToken,
  tokenAgreement,
  tokenAccuracy,
  exactMatch,
  wordErrors,
  characterErrors,
  cosine,
  recallAtK,
  siSnr,
];

const nowhere: MetricContext = {
  resolve: (file) =>
    Promise.reject(
      new UserError('metric-settings', `The metric names the file "${file}", but there is no data folder.`),
    ),
  labelNames: undefined,
};

/** @throws UserError with the nearest name when there is no such metric, or for a setting that it does not have. */
export async function makeMetric(spec: MetricSpec | string, context: MetricContext = nowhere): Promise<Metric> {
  const { name, settings } = typeof spec === 'string' ? { name: spec, settings: {} } : spec;
  if (isModule(name)) return loadModuleMetric(name, settings, context);
  const kind = metricKinds.find((candidate) => candidate.id === name);
  if (!kind) {
    const known = metricKinds.map((candidate) => candidate.id);
    const near = nearest(name, known) || ` (known: ${known.join(', ')})`;
    throw new UserError('metric-unknown', `There is no metric "${name}"${near}.`);
  }
  const fields = new Fields(settings, `metric ${name}`);
  const metric = await kind.make(fields, context);
  fields.done();
  return metric;
}
