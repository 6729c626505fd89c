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
      for (const move of movesFrom(parts, from)) {
        const shape = after(from, move, parts);
        const [loss, macs] = [expected(parts, shape, prices), time.macs(shape)];
        if (!Number.isFinite(loss) || macs >= time.macs(from)) continue;
        if (macs <= mostMacs) found.set(keyOf(shape), { shape, loss: loss * time.of(shape) });
        else next.set(keyOf(shape), { shape, price: loss / (time.totalMacs - macs) });
      }
    }
    front = [...next.values()]
      .sort((a, b) => a.price - b.price)
      .slice(0, beam)
      .map(({ shape }) => shape);
  }
  return [...found.values()]
    .sort((a, b) => a.loss - b.loss)
    .slice(0, count)
    .map(({ shape }) => shape);
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
