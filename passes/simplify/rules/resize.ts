import { constantNumbers } from '../../../src/ir/constant.ts';
import { localRule } from '../local-rule.ts';

/**
 * Resize by 1: every output position falls on an input position, whatever the transformation (save tf_crop_and_resize,
 * which cuts), and nearest and linear give the element there. Cubic mixes its neighbours in with weight 0, which NaN and
 * infinity survive.
 */
export const resizeNoop = localRule(
  'resize-noop',
  'Resize or Upsample by 1: its input',
  ['Resize', 'Upsample'],
  (node, known, site) => {
    const input = node.input(0);
    const factors = constantNumbers(node.input(node.is('Resize') && site.opset >= 11 ? 2 : 1));
    const rank = known.rank(input);
    if (!input || !factors || factors.length === 0 || !factors.every((factor) => factor === 1)) return undefined;
    if (node.attrs.has('axes') ? factors.length !== node.ints('axes')?.length : factors.length !== rank)
      return undefined;
    const mode = node.string('mode') ?? 'nearest';
    if (mode !== 'nearest' && mode !== 'linear') return { why: `mode ${mode} mixes in the neighbours with weight 0` };
    const transformation = node.string('coordinate_transformation_mode') ?? 'half_pixel';
    if (transformation === 'tf_crop_and_resize') return { why: `${transformation} cuts a region out` };
    return { bypass: input };
  },
);

/** A reduction over no axes, where that is said to mean none (and not all). */
export const reduceNoop = localRule(
  'reduce-noop',
  'ReduceSum, ReduceMax, ReduceMin, ReduceMean or ReduceProd over no axes: its input',
  ['ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceMean', 'ReduceProd'],
  (node) => {
    const input = node.input(0);
    if (!input || node.int('noop_with_empty_axes', 0) === 0) return undefined;
    const axes = node.input(1);
    if (axes === undefined) return { bypass: input };
    const list = constantNumbers(axes);
    if (!list) return { why: `its axes "${axes.name}" are computed at run time` };
    return list.length === 0 ? { bypass: input } : undefined;
  },
);
