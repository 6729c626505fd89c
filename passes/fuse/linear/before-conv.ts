import { elementCount } from '../../../src/ir/tensor.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../../src/rewrite/pattern.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { binaryOperand } from '../binary.ts';
import { perChannel } from '../channels.ts';
import { foldIntoConv, inputChannels } from './fold-input.ts';
import { endsFormula, spreads } from './formula.ts';

const names = ['Mul', 'Div', 'Add', 'Sub'];

/** Conv(x · c) = Conv with weights · c; Conv(x + c), without padding, takes c into its bias: what exporters make of normalized pixels. */
export const scaleConv: Rule = {
  id: 'scale-conv',
  summary: 'folds a constant factor, or a shift where Conv does not pad, into the Conv behind it',
  ops: ['Conv'],
  quiet: true,
  pattern: op(
    'Conv',
    [op(names, [any('x'), constant('c')], { as: 'scale', once: true }), constant('w'), maybe(constant('b'))],
    { as: 'conv' },
  ),
  check: (match, site) => {
    const scale = match.node('scale');
    if (endsFormula(scale)) return miss(match.root, `${scale} may be the last step of an activation or a norm`);
    return binaryOperand(match, site);
  },
  apply(match, edit) {
    const { root } = match;
    const scale = match.node('scale');
    const channels = inputChannels(match);
    const rank = match.tensor('w').shape.length;
    if (!channels) return miss(root, `the weight of ${root} has no channels`);
    const c = perChannel(match.tensor('c'), match.value('c').name, { rank, axis: 1, channels });
    if (typeof c === 'string') return miss(root, c);
    const wider = widens(match, edit, rank, channels);
    if (wider) return miss(root, wider);
    const uneven = ['Mul', 'Div'].includes(scale.op) ? spreads(c, match.value('c').name) : undefined;
    if (uneven) return miss(root, uneven);
    const [ones, zeros] = [new Float64Array(channels).fill(1), new Float64Array(channels)];
    const affine = {
      Mul: { scale: c, shift: zeros },
      Div: { scale: c.map((value) => 1 / value), shift: zeros },
      Add: { scale: ones, shift: c },
      Sub: { scale: ones, shift: c.map((value) => -value) },
    }[scale.op as 'Mul'];
    return foldIntoConv(match, edit, affine, String(scale));
  },
};

/** A sentence where the constant `c` may give `x` axes or channels that it does not have by itself: gray pixels, and a mean for each of three colours. */
function widens(match: Match, { types }: Edit, rank: number, channels: number): string | undefined {
  const [x, c] = [match.value('x'), match.tensor('c')];
  const shape = types.shapeOf(x);
  if (c.shape.length >= rank && shape?.length !== rank) return `the rank of "${x.name}" is not known to be ${rank}`;
  return elementCount(c.shape) > 1 && shape?.[1] !== channels
    ? `"${x.name}" is not known to have ${channels} channels before "${match.value('c').name}" meets them`
    : undefined;
}
