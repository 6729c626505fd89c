import type { Floor, Score } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import type { Candidate } from '../channels/choose.ts';
import { layersOf } from '../coupling/groups.ts';
import { after, expected, keyOf, leastGain, type Move, movesFrom, type Prices, path, whole } from './moves.ts';
import type { Parts, Shape } from './parts.ts';
import type { TimeModel } from './time.ts';
import type { Trials } from './trials.ts';

export interface SearchOptions {
  readonly floor: Floor;
  /** Whole shapes to fit and judge, at most. */
  readonly fits: number;
  /** Share of the time below which nothing is tried. */
  readonly least: number;
}

/** Share of a group that goes when its price is measured: enough to show, not so much that nothing else is seen. */
const priced = 0.3;

/** One move of each kind, in the order of what it saves. */
function firstMoves(parts: Parts, time: TimeModel): Move[] {
  const moves: Move[] = [];
  for (const candidate of parts.candidates) {
    const [, ...steps] = candidate.steps;
    const wanted = candidate.group.size * (1 - priced);
    const left = steps.reduce(
      (best: number | undefined, step) =>
        best === undefined || Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best,
      undefined,
    );
    if (left !== undefined) moves.push({ kind: 'channels', candidate, left });
  }
  for (const [index, { nodes }] of parts.blocks.entries()) if (nodes.size > 0) moves.push({ kind: 'block', index });
  const saves = (move: Move): number => time.total - time.of(after(whole, move, parts));
  return moves
    .map((move) => ({ move, saved: saves(move) }))
    .filter(({ saved }) => saved > 0)
    .sort((a, b) => b.saved - a.saved)
    .map(({ move }) => move);
}

const nameOf = (move: Move, { blocks }: Parts): string =>
  move.kind === 'block'
    ? `the block up to "${blocks[move.index]?.block.to.name}"`
    : `${move.left} of ${move.candidate.group.size} channels of ${layersOf(move.candidate.group, 'out')[0]}`;

/** Measures what moves cost, each alone, everything behind fitted. */
export async function priceMoves(
  parts: Parts,
  time: TimeModel,
  trials: Trials,
  most: number,
  ctx: PassContext,
): Promise<Prices> {
  const scale = new Map<number, number>();
  const blocks = new Map<number, number>();
  const moves = firstMoves(parts, time);
  for (const [at, move] of moves.slice(0, most).entries()) {
    ctx.signal.throwIfAborted();
    ctx.progress?.(`${at + 1} of ${Math.min(most, moves.length)}: without ${nameOf(move, parts)}`);
    const loss = await trials.loss(after(whole, move, parts));
    if (!Number.isFinite(loss)) continue;
    if (move.kind === 'block') blocks.set(move.index, loss);
    else scale.set(move.candidate.group.id, loss / Math.max(1e-9, costAt(move.candidate, move.left)));
  }
  const unpriced = moves.slice(most);
  if (unpriced.length > 0) {
    // Groups that save little are taken to cost what the others do; blocks that nobody looked at stay.
    const sorted = [...scale.values()].sort((a, b) => a - b);
    const usual = sorted[Math.floor(sorted.length / 2)];
    for (const move of unpriced)
      if (move.kind === 'channels' && usual !== undefined) scale.set(move.candidate.group.id, usual);
    ctx.skipped(
      'search',
      'model',
      `${unpriced.length} of ${moves.length} moves, those that save least, were not measured (--trials, and what there is time for)`,
    );
  }
  return { scale, blocks };
}

const costAt = ({ cost, group }: Candidate, left: number): number => cost[group.size - left] as number;

/** A shape that keeps the floor, and what it scored on the samples of the search. */
interface Kept {
  readonly shape: Shape;
  readonly score: Score;
}

/**
 * Shapes that keep the floor on the samples of the search, the one with the least work first: the farthest on the path, by halving, then single
 * moves behind it, those first that cost least for what they save, as long as there are fits left. What fails once is not tried again.
 */
export async function farthest(
  parts: Parts,
  time: TimeModel,
  prices: Prices,
  trials: Trials,
  { floor, fits, least }: SearchOptions,
  ctx: PassContext,
): Promise<Kept[]> {
  const shapes = path(parts, time, prices, least);
  const kept: Kept[] = [];
  const tried: Shape[] = [];
  const keeps = async (shape: Shape): Promise<boolean> => {
    ctx.signal.throwIfAborted();
    tried.push(shape);
    const share = percent(time.of(shape) / time.total);
    ctx.progress?.(`fit ${tried.length}: ${share} of the work`);
    const verdict = await trials.verdict(shape, floor);
    const outcome = verdict.keeps ? 'kept' : 'too much';
    ctx.note?.(`${share} of its work (${describe(shape, parts)}): ${lost(verdict.score)}: ${outcome}`);
    if (verdict.keeps) kept.unshift({ shape, score: verdict.score });
    return verdict.keeps;
  };
  let [low, high] = [-1, shapes.length];
  while (tried.length < fits && high - low > 1) {
    const at = Math.floor((low + high) / 2);
    if (await keeps(shapes[at] as Shape)) low = at;
    else high = at;
  }
  const failed = new Set(shapes.slice(high, high + 1).map(keyOf));
  while (tried.length < fits && kept[0] && time.of(kept[0].shape) > least * time.total) {
    const next = cheapestFirst(kept[0].shape, parts, time, prices).find((shape) => !failed.has(keyOf(shape)));
    if (!next) break;
    if (await keeps(next)) continue;
    failed.add(keyOf(next));
  }
  return kept;
}

/** What one more move leads to, those first that are expected to cost least for the work they save. */
function cheapestFirst(from: Shape, parts: Parts, time: TimeModel, prices: Prices): Shape[] {
  const [taken, before] = [time.of(from), expected(parts, from, prices)];
  return movesFrom(parts, from)
    .map((move) => {
      const shape = after(from, move, parts);
      const saved = taken - time.of(shape);
      return { shape, saved, price: (expected(parts, shape, prices) - before) / saved };
    })
    .filter(({ saved, price }) => saved >= leastGain * time.total && Number.isFinite(price))
    .sort((a, b) => a.price - b.price)
    .map(({ shape }) => shape);
}

export function describe({ widths, dropped }: Shape, { candidates }: Parts): string {
  const narrowed = candidates.filter(({ group }) => (widths.get(group.id) ?? group.size) < group.size).length;
  return [
    ...(dropped.size > 0 ? [`${dropped.size} blocks gone`] : []),
    ...(narrowed > 0 ? [`${narrowed} groups of channels narrower`] : []),
  ].join(', ');
}

export const lost = ({ metric, drop, value, samples }: Score): string =>
  metric === 'sqnr'
    ? `${value.toFixed(1)} dB on ${samples} samples`
    : `${metric} lost ${drop.toFixed(4)} on ${samples} samples`;

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
