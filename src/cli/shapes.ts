import type { ShapeOverrides } from '../engine/feed-shapes.ts';
import { UserError } from '../errors.ts';

/**
 * `--input-shape` on measurements: `batch=1` binds a symbol, `x=1x3x224x224` gives an input's whole shape.
 * @throws UserError for anything else.
 */
export function parseShapes(pairs: readonly string[]): ShapeOverrides {
  const dims: Record<string, number> = {};
  const shapes = new Map<string, readonly number[]>();
  for (const pair of pairs) {
    const match = /^(.+)=(\d+(?:x\d+)*)$/.exec(pair);
    if (!match?.[1] || !match[2]) {
      throw new UserError('shape.syntax', `--input-shape takes symbol=1 or input=1x3x224x224, not "${pair}".`);
    }
    const numbers = match[2].split('x').map(Number);
    if (!numbers.every(Number.isSafeInteger)) throw new UserError('shape.size', `--input-shape ${pair} is too large.`);
    if (numbers.includes(0))
      throw new UserError('shape.size', `--input-shape ${pair} leaves no element; sizes begin at 1.`);
    const [first] = numbers;
    if (numbers.length === 1 && first !== undefined) dims[match[1]] = first;
    else shapes.set(match[1], numbers);
  }
  return { dims, shapes };
}
