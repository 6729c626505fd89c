import type { PassContext } from '../../../src/pass/pass.ts';
import { after, expected, keyOf, movesFrom, type Prices, whole } from './moves.ts';
import type { Parts, Shape } from './parts.ts';
import { describe } from './search.ts';
import type { TimeModel } from './time.ts';
import type { Trials } from './trials.ts';

/** Shapes that are followed at a time. */
const beam = 48;
/** Steps from the whole model, at most. */
const mostSteps = 64;

/**
 * The shapes with at most so many multiply-accumulates that are expected to lose least: step by step, following those that lose least for what
 * they save.
 */
export function cheapestShapes(
  parts: Parts,
  time: TimeModel,
  prices: Prices,
  mostMacs: number,
  count: number,
): Shape[] {
  const found = new Map<string, { shape: Shape; loss: number }>();
  let front = [whole];
  for (let step = 0; step < mostSteps && front.length > 0; step++) {
    const next = new Map<string, { shape: Shape; price: number }>();
    for (const from of front) {
      const taken = time.macs(from);
      for (const move of movesFrom(parts, from)) {
        const shape = after(from, move, parts);
        const [loss, macs] = [expected(parts, shape, prices), time.macs(shape)];
        if (!Number.isFinite(loss) || macs >= taken) continue;
        if (macs <= mostMacs) found.set(keyOf(shape), { shape, loss: loss * time.of(shape) });
        else next.set(keyOf(shape), { shape, price: loss / (time.totalMacs - macs) });
      }
    }
    front = [...next.values()]
      .sort((a, b) => a.price - b.price)
      .slice(0, beam)
      .map(({ shape }) => shape);
  }
  const sorted = [...found.values()].sort((a, b) => a.loss - b.loss).map(({ shape }) => shape);
  return byTurns(sorted, ({ dropped }) => [...dropped].sort((a, b) => a - b).join(' ')).slice(0, count);
}

/**
 * The first of each kind, then the second of each: what is expected adds up losses that do not quite add up, most of all over blocks, so shapes without
 * the same blocks are not all that is looked at.
 */
function byTurns(shapes: readonly Shape[], kindOf: (shape: Shape) => string): Shape[] {
  const kinds = new Map<string, Shape[]>();
  for (const shape of shapes) {
    const own = kinds.get(kindOf(shape)) ?? [];
    kinds.set(kindOf(shape), own);
    own.push(shape);
  }
  // Ranked by its place within its kind, then by what it is expected to lose.
  const turn = new Map([...kinds.values()].flatMap((own) => own.map((shape, at) => [shape, at] as const)));
  return shapes.toSorted((a, b) => (turn.get(a) ?? 0) - (turn.get(b) ?? 0));
}

/** Of those shapes the one whose fitted model loses least at its outputs, weighed by the work left. No label is looked at. */
export async function leastLoss(
  shapes: readonly Shape[],
  parts: Parts,
  time: TimeModel,
  trials: Trials,
  ctx: PassContext,
): Promise<Shape> {
  let best: { shape: Shape; loss: number } | undefined;
  for (const [at, shape] of shapes.entries()) {
    ctx.signal.throwIfAborted();
    ctx.progress?.(`fit ${at + 1} of ${shapes.length}`);
    const loss = await trials.closeLoss(shape);
    const macs = (100 * time.macs(shape)) / time.totalMacs;
    ctx.note?.(
      `${macs.toFixed(1)} % of its multiply-accumulates (${describe(shape, parts)}): a loss of ${loss.toPrecision(3)}`,
    );
    // Of two that meet the target, one with less work (by blocks of channels) is worth a little more loss.
    const weighed = loss * time.of(shape);
    if (!best || weighed < best.loss) best = { shape, loss: weighed };
  }
  return best?.shape ?? whole;
}
