import { formatMetricValue } from '../../messages.ts';
import type { Measured } from './measured.ts';

export interface Floors {
  /** Largest allowed drop of the task metric, or of the agreement with the base model where there are no labels. */
  readonly maxDrop: number;
  /** Without any data, a variant must reproduce the base model at least this well, in decibels. */
  readonly minSqnrDb: number;
  /** Why the task metric says nothing (see `whyNoSkill`): variants then have to reproduce base as without data. */
  readonly noSkill?: string | undefined;
  /** Why no metric can read the outputs, where there is data: variants have to reproduce them. */
  readonly unread?: string | undefined;
}

/** Why a variant does not keep the floor; undefined: it does. */
export function floorReason(variant: Measured, floors: Floors, base?: Measured): string | undefined {
  const { accuracy, fidelity } = variant;
  if (accuracy) {
    const { drop } = accuracy;
    const kept = drop !== null && Number.isFinite(drop) && drop <= floors.maxDrop + 1e-12;
    if (kept) return floors.noSkill === undefined ? undefined : unlikeBase(fidelity, floors);
    return (
      `${accuracy.metric} ${(accuracy.value ?? 0) > (accuracy.base ?? 0) ? 'rises' : 'falls'} from ${formatMetricValue(accuracy.base)} to ${formatMetricValue(accuracy.value)} on ${accuracy.samples} samples, ` +
      `a drop of ${formatMetricValue(drop)} where ${Number(floors.maxDrop.toPrecision(4))} is allowed`
    );
  }
  if (!fidelity) return 'its outputs could not be compared with the base model';
  if (fidelity.sqnrDb === null || fidelity.sqnrDb >= floors.minSqnrDb) return undefined;
  const itself = base?.fidelity?.sqnrDb ?? Number.POSITIVE_INFINITY;
  if (itself < floors.minSqnrDb) {
    return (
      `the model does not reproduce itself: on the same inputs its outputs differ from run to run (${itself.toFixed(1)} dB; it draws ` +
      'random numbers), so nothing can be held against them; give --data to judge variants by the task'
    );
  }
  return (
    `without ${floors.unread === undefined ? 'labelled data' : 'a metric that reads its outputs'} it has to reproduce the base model at ${floors.minSqnrDb} dB, and reaches ${fidelity.sqnrDb.toFixed(1)} dB; ` +
    (floors.unread === undefined
      ? 'give --data to judge it by the task'
      : 'a metric of your own judges it by the task (docs/metrics.md)')
  );
}

/** Where the metric cannot tell a good model from a ruined one. */
function unlikeBase(fidelity: Measured['fidelity'], { minSqnrDb }: Floors): string | undefined {
  const reached = fidelity === null ? Number.NEGATIVE_INFINITY : (fidelity.sqnrDb ?? Number.POSITIVE_INFINITY);
  if (reached >= minSqnrDb) return undefined;
  return (
    `on this data base scores no better than an answer that knows nothing of the inputs, so the metric says nothing and variants have to reproduce its outputs at ${minSqnrDb} dB; ` +
    `this one reaches ${reached.toFixed(1)} dB`
  );
}
