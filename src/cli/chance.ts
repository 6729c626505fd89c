import type { Evaluation } from '../engine/evaluate.ts';

/** Metrics of right and wrong, and how many classes an answer may name. */
const answers: Readonly<Record<string, number>> = { top1: 1, accuracy: 1, top5: 5 };

/**
 * That a model answers no better than one that always names the most frequent class (the five, for top5), or that of no other answer
 * that knows nothing of the inputs (`Metric.blind`), in a sentence; undefined where it does better, or the metric has no such figure. Such an accuracy says nothing of what a change to the model costs: a model that
 * was ruined scores the same. Labels of another model, inputs prepared in another way and untrained weights all look like this.
 */
export function whyNoSkill({
  metric,
  value,
  labels,
  labelNames,
  higherIsBetter,
  blind,
}: Pick<Evaluation, 'metric' | 'value' | 'labels' | 'labelNames' | 'higherIsBetter' | 'blind'>): string | undefined {
  const known = blind();
  if (known && (higherIsBetter ? value <= known.value : value >= known.value)) {
    return (
      `the model itself reaches ${metric} ${Number(value.toPrecision(4))}, no better than ${known.answer}: labels or targets, ` +
      'preparation of the inputs and model do not fit each other, or it was not trained (mlpack data check shows the samples as the model sees them)'
    );
  }
  const named = answers[metric];
  if (named === undefined || labels === undefined || labels.length === 0) return undefined;
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const frequent = [...counts].sort((a, b) => b[1] - a[1]).slice(0, named);
  const share = frequent.reduce((sum, [, count]) => sum + count, 0) / labels.length;
  if (!(value <= share)) return undefined;
  const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
  const names = frequent.map(([label]) => `"${labelNames?.[label] ?? label}"`).join(', ');
  // All right, and of so few classes that any one answer is: nothing speaks against the model, and nothing for a changed one.
  if (value === 1)
    return (
      `the samples are of ${counts.size === 1 ? 'one class alone' : `${counts.size} classes alone`} (${names}), so an answer that names ${counts.size === 1 ? 'it' : 'them'} whatever the input is right in 100 %, too: ` +
      'take samples of more classes (--samples takes the first of the data set)'
    );
  return (
    `the model itself is right in ${percent(value)} of the samples, no more than always answering ${names} would be (${percent(share)}): labels, ` +
    'preparation of the inputs and model do not fit each other, or it was not trained (mlpack data check shows the samples as the model sees them)'
  );
}
