import { allowedDrop } from '../../../src/drop-limit.ts';
import { type Floor, keepsFloor, type Score } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import type { Prices } from './moves.ts';
import type { Parts, Shape } from './parts.ts';
import { farthest, lost, percent } from './search.ts';
import { cheapestShapes, leastLoss } from './target.ts';
import type { TimeModel } from './time.ts';
import type { Trials } from './trials.ts';

export interface Searched {
  readonly parts: Parts;
  readonly time: TimeModel;
  readonly prices: Prices;
  readonly trials: Trials;
  /** Whole shapes to fit and judge, at most. */
  readonly fits: number;
}

/** Less of the work than this saved is no gain that a clock would show. */
const leastSaved = 0.03;

const isEmpty = ({ prices }: Searched): boolean => prices.scale.size + prices.blocks.size === 0;
const nothingToTake = 'it has neither channels in the multiples asked for (--round) nor residual blocks that can go';

/**
 * As much as the floor bears, on the samples of the search; those that it has not seen have the last word.
 * @param least share of the work below which nothing is tried
 * @returns a sentence where nothing is worth taking
 */
export async function toFloor(
  searched: Searched,
  floor: Floor,
  least: number,
  ctx: PassContext,
): Promise<Shape | string> {
  const { parts, time, prices, trials, fits } = searched;
  for (const { shape, score } of await farthest(parts, time, prices, trials, { fits, least, floor }, ctx)) {
    const share = time.of(shape) / time.total;
    if (share > 1 - leastSaved) break;
    ctx.signal.throwIfAborted();
    const unseen = await trials.confirm(shape);
    const { keeps, outcome } = lastWord(score, unseen, floor);
    ctx.note?.(`${percent(share)} of its work: ${lost(unseen)} that the search had not seen: ${outcome}`);
    if (keeps) return shape;
  }
  return isEmpty(searched)
    ? nothingToTake
    : `nothing that saves ${100 * leastSaved} % of its work keeps the floor (a drop of ${typeof floor.maxDrop === 'number' ? Number(floor.maxDrop.toPrecision(4)) : floor.maxDrop} at most: --max-drop)`;
}

/** Whether a shape is kept, and the end of its sentence, which names the figure that decided: with that of the unseen samples alone, more than --max-drop was "kept". */
export function lastWord(
  seen: Score,
  unseen: Score,
  floor: Floor,
): { readonly keeps: boolean; readonly outcome: string } {
  const keeps = keepTogether([seen, unseen], floor);
  const together = dropTogether([seen, unseen]);
  const all = together ? `, ${together.drop.toFixed(4)} with the others` : '';
  return { keeps, outcome: keeps ? `kept${all}` : `too much${all}, so the step before it is looked at` };
}

/** What `optimize` judges by is the drop on all samples: parts of a few hundred differ by chance alone. */
function keepTogether(scores: readonly Score[], floor: Floor): boolean {
  const together = dropTogether(scores);
  if (!together) return scores.every((score) => keepsFloor(score, floor));
  return together.drop <= allowedDrop(floor.maxDrop, scores[0]?.metric ?? '', together.base) + 1e-12;
}

/** Drop and base of all samples; decibels have no mean. */
function dropTogether(scores: readonly Score[]): { readonly drop: number; readonly base: number } | undefined {
  if (scores.some(({ metric }) => metric === 'sqnr')) return undefined;
  const samples = scores.reduce((sum, score) => sum + score.samples, 0);
  const mean = (of: (score: Score) => number): number =>
    scores.reduce((sum, score) => sum + (of(score) * score.samples) / samples, 0);
  return { drop: mean(({ drop }) => drop), base: mean(({ base }) => base) };
}

/**
 * Down to so many multiply-accumulates, where it costs the outputs least.
 * @returns a sentence where they cannot be reached
 */
export async function toTarget(searched: Searched, mostMacs: number, ctx: PassContext): Promise<Shape | string> {
  const { parts, time, prices, trials, fits } = searched;
  const shapes = cheapestShapes(parts, time, prices, mostMacs, fits);
  if (shapes.length > 0) return await leastLoss(shapes, parts, time, trials, ctx);
  if (isEmpty(searched)) return nothingToTake;
  return `${percent(mostMacs / time.totalMacs)} of its multiply-accumulates cannot be reached by what may go: ask for more of them, or let more go (--max-ratio, --round)`;
}
