import type { Evaluation } from '../../engine/evaluate.ts';
import type { Discordant } from '../../kernels/proportions.ts';

/** What of an evaluation is paired. Without `ofMean` and `resampled` the metric is the mean of the scores. */
export type Scored = Pick<Evaluation, 'metric' | 'higherIsBetter' | 'value' | 'samples' | 'scores'> &
  Partial<Pick<Evaluation, 'graded' | 'ofMean' | 'resampled' | 'cost' | 'labels' | 'labelNames' | 'classes'>>;

/** The metric is the share of samples that are right. */
export const isRightOrWrong = ({ higherIsBetter, scores, resampled, graded }: Scored): boolean =>
  higherIsBetter && !graded && resampled === undefined && scores.every((score) => score === 0 || score === 1);

export function countDiscordant(base: readonly number[], candidate: readonly number[]): Discordant {
  let lost = 0;
  let gained = 0;
  for (const [sample, score] of candidate.entries()) {
    const before = base[sample] as number;
    if (score < before) lost++;
    else if (score > before) gained++;
  }
  return { lost, gained };
}
