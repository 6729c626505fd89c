import type { Floor, Score } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import type { Candidate } from '../channels/choose.ts';
import { layersOf } from '../coupling/groups.ts';
import { after, type Move, type Prices, path, whole } from './moves.ts';
import type { Parts, Shape } from './parts.ts';
import type { TimeModel } from './time.ts';
import type { Trials } from './trials.ts';

export interface SearchOptions {
  readonly floor: Floor;
  /** Moves to price, at most. */
  readonly trials: number;
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

/** What the search ends with. */
export interface Found {
  readonly shape: Shape;
  readonly time: number;
}

/** The farthest shape on the path that keeps the floor, by halving. */
export async function farthest(
  parts: Parts,
  time: TimeModel,
  prices: Prices,
  trials: Trials,
  { floor, fits, least }: SearchOptions,
  ctx: PassContext,
): Promise<Found | undefined> {
  const shapes = path(parts, time, prices, least);
  let [low, high] = [-1, shapes.length];
  for (let fit = 0; fit < fits && high - low > 1; fit++) {
    ctx.signal.throwIfAborted();
    const at = Math.floor((low + high) / 2);
    const shape = shapes[at] as Shape;
    const share = percent(time.of(shape) / time.total);
    ctx.progress?.(`fit ${fit + 1}: ${share} of the work`);
    const { keeps, scores } = await trials.verdict(shape, floor);
    ctx.note?.(
      `${share} of its work (${describe(shape, parts)}): ${scores.map(lost).join(', then ')}: ${keeps ? 'kept' : 'too much'}`,
    );
    if (keeps) low = at;
    else high = at;
  }
  const shape = shapes[low];
  return shape && { shape, time: time.of(shape) / time.total };
}

export function describe({ widths, dropped }: Shape, { candidates }: Parts): string {
  const narrowed = candidates.filter(({ group }) => (widths.get(group.id) ?? group.size) < group.size).length;
  return [
    ...(dropped.size > 0 ? [`${dropped.size} blocks gone`] : []),
    ...(narrowed > 0 ? [`${narrowed} groups of channels narrower`] : []),
  ].join(', ');
}

const lost = ({ metric, drop, value, samples }: Score): string =>
  metric === 'sqnr'
    ? `${value.toFixed(1)} dB on ${samples} samples`
    : `${metric} lost ${drop.toFixed(4)} on ${samples} samples`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
