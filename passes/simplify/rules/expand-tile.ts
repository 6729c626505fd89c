import { constantNumbers } from '../../../src/ir/constant.ts';
import { equalShapes } from '../../../src/ir/dim.ts';
import type { Value } from '../../../src/ir/graph.ts';
import type { Shape } from '../../../src/ir/types.ts';
import { broadcastShape } from '../../../src/rewrite/conditions.ts';
import type { Known } from '../known.ts';
import { localRule } from '../local-rule.ts';
import { formatShape } from '../shapes.ts';

export const expandNoop = localRule(
  'expand-noop',
  'Expand to the shape it has: its input',
  ['Expand'],
  (node, known) => {
    const input = node.input(0);
    if (!input) return undefined;
    if (known.sameShape(input, node.output())) return { bypass: input };
    const target = constantNumbers(node.input(1));
    const rank = known.rank(input);
    if (target && rank !== undefined && target.length <= rank && target.every((dim) => dim === 1))
      return { bypass: input };
    return undefined;
  },
);

export const tileNoop = localRule('tile-noop', 'Tile of one copy: its input', ['Tile'], (node, _known, site) => {
  const input = node.input(0);
  if (!input || site.opset < 6) return undefined;
  const repeats = constantNumbers(node.input(1));
  return repeats?.every((count) => count === 1) ? { bypass: input } : undefined;
});

/** Operators of two operands that broadcast by themselves (ONNX multidirectional broadcasting). */
const broadcasting = [
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'Mod',
  'Equal',
  'Less',
  'LessOrEqual',
  'Greater',
  'GreaterOrEqual',
  'And',
  'Or',
  'Xor',
  'Where',
];

/** An operand need not be expanded first where the operator would do it. */
export const expandBroadcast = localRule(
  'expand-broadcast',
  'Expand in front of an operator that broadcasts by itself: the operand as it is',
  broadcasting,
  (node, known, site) => {
    if (site.opset < 8) return undefined;
    let why: string | undefined;
    for (const [index, value] of node.inputs.entries()) {
      const expand = value?.producer;
      const source = expand?.input(0);
      if (!expand?.is('Expand') || !source) continue;
      const inputs = node.inputs.map((other, at) => (at === index ? source : other));
      const result = broadcastAll(inputs, known);
      const expected = known.shape(node.output());
      if (equalShapes(result, expected)) {
        return { detail: `operand ${index}`, make: (edit) => edit.insertLike(node, { inputs }) };
      }
      why = `without ${expand} its result would be ${formatShape(result)}, not surely ${formatShape(expected)}`;
    }
    return why === undefined ? undefined : { why };
  },
);

/**
 * The shape all operands broadcast to, where that is certain: two different dimensions of which none is 1 must both be
 * numbers or the same symbol, since a symbol may stand for 1.
 */
function broadcastAll(values: readonly (Value | undefined)[], known: Known): Shape | undefined {
  let result: Shape = [];
  for (const value of values) {
    const shape = known.shape(value);
    if (!shape || shape.includes(undefined)) return undefined;
    const next = broadcastShape(result, shape);
    if (!next) return undefined;
    result = next;
  }
  return result;
}
