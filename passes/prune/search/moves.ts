import type { Candidate } from '../channels/choose.ts';
import type { Parts, Shape } from './parts.ts';
import type { TimeModel } from './time.ts';

/** One thing that may go next. */
export type Move =
  | { readonly kind: 'channels'; readonly candidate: Candidate; readonly left: number }
  | { readonly kind: 'block'; readonly index: number };

export const whole: Shape = { widths: new Map(), dropped: new Set() };

/** The same for shapes that are the same. */
export function keyOf({ widths, dropped }: Shape): string {
  const sorted = [...widths].sort(([a], [b]) => a - b);
  return `${sorted.join(' ')}|${[...dropped].sort((a, b) => a - b).join(' ')}`;
}

/** Whether channels of the group are still there to go. */
function isThere(candidate: Candidate, { blocks }: Parts, { dropped }: Shape): boolean {
  return ![...dropped].some((index) => blocks[index]?.groups.has(candidate.group.id));
}

/** Every block that is left, and the next step of every group. */
export function movesFrom(parts: Parts, shape: Shape): Move[] {
  const moves: Move[] = [];
  for (const candidate of parts.candidates) {
    if (!isThere(candidate, parts, shape)) continue;
    const now = shape.widths.get(candidate.group.id) ?? candidate.group.size;
    // A step may gain nothing alone (blocks of channels that two groups share), so all further ones are looked at.
    for (const left of candidate.steps) if (left < now) moves.push({ kind: 'channels', candidate, left });
  }
  for (const [index, { nodes }] of parts.blocks.entries())
    if (nodes.size > 0 && !shape.dropped.has(index)) moves.push({ kind: 'block', index });
  return moves;
}

export function after(shape: Shape, move: Move, { blocks }: Parts): Shape {
  if (move.kind === 'channels')
    return { ...shape, widths: new Map(shape.widths).set(move.candidate.group.id, move.left) };
  // Channels that go with the block need no step of their own.
  const own = blocks[move.index]?.groups ?? new Set<number>();
  const widths = new Map([...shape.widths].filter(([id]) => !own.has(id)));
  return { widths, dropped: new Set(shape.dropped).add(move.index) };
}

/** What each move costs at the outputs, as measured for one of each kind. */
export interface Prices {
  /** By the id of a group: loss for one unit of its own measure of cost. */
  readonly scale: ReadonlyMap<number, number>;
  /** By index. */
  readonly blocks: ReadonlyMap<number, number>;
}

const channelsCost = ({ group, cost }: Candidate, left: number, scale: number): number =>
  scale * (cost[group.size - left] as number);

/** What a shape is expected to lose: losses of independent errors add up. Infinite where no price is known for a part of it. */
export function expected(parts: Parts, { widths, dropped }: Shape, { scale, blocks }: Prices): number {
  let sum = 0;
  for (const candidate of parts.candidates) {
    const own = scale.get(candidate.group.id);
    const left = widths.get(candidate.group.id);
    if (left === undefined || left >= candidate.group.size) continue;
    sum += own === undefined ? Number.POSITIVE_INFINITY : channelsCost(candidate, left, own);
  }
  for (const index of dropped) sum += blocks.get(index) ?? Number.POSITIVE_INFINITY;
  return sum;
}

/** Least of what the whole model takes that is worth a step. */
export const leastGain = 0.004;

/**
 * Shapes from the whole model down, each with the move behind the one before it that costs least for the time it saves. What no price is known for stays.
 * @returns the whole model is not among them
 */
export function path(parts: Parts, time: TimeModel, prices: Prices, leastTime: number): Shape[] {
  const shapes: Shape[] = [];
  let now = whole;
  let [taken, lost] = [time.total, 0];
  while (taken > leastTime * time.total) {
    let best: { shape: Shape; price: number; time: number; lost: number } | undefined;
    for (const move of movesFrom(parts, now)) {
      if (move.kind === 'channels' ? !prices.scale.has(move.candidate.group.id) : !prices.blocks.has(move.index))
        continue;
      const shape = after(now, move, parts);
      const own = time.of(shape);
      if (taken - own < leastGain * time.total) continue;
      const loss = expected(parts, shape, prices);
      const price = Math.max(0, loss - lost) / (taken - own);
      if (!best || price < best.price) best = { shape, price, time: own, lost: loss };
    }
    if (!best) break;
    [now, taken, lost] = [best.shape, best.time, best.lost];
    shapes.push(now);
  }
  return shapes;
}
