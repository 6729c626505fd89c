import { miss } from '../../src/rewrite/match.ts';
import { any, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { mergedPads, spatialPadding } from './padding.ts';

/** Conv pads with zeros itself. */
export const padConv: Rule = {
  id: 'pad-conv',
  summary: 'moves a Pad with zeros into the pads of the Conv behind it',
  ops: ['Conv'],
  pattern: op('Conv', [op('Pad', undefined, { as: 'pad' }), any('w'), maybe(any('b'))]),
  apply(match, edit) {
    const conv = match.root;
    const pad = match.node('pad');
    const rank = (edit.types.shapeOf(match.value('w')) ?? edit.types.shapeOf(conv.input(0)))?.length;
    if (rank === undefined) return miss(conv, `the rank of the weight of ${conv} is not known`);
    const padding = spatialPadding(pad, edit.opset, rank - 2);
    if (typeof padding === 'string') return miss(conv, padding);
    if (padding.value !== 0) return miss(conv, `${pad} pads with ${padding.value}, Conv with 0`);
    const pads = mergedPads(conv, padding);
    if (typeof pads === 'string') return miss(conv, pads);
    const attrs = { pads, ...(conv.attr('auto_pad') && { auto_pad: 'NOTSET' }) };
    edit.replace(conv, edit.insertLike(conv, { inputs: [pad.input(0), ...conv.inputs.slice(1)], attrs }));
  },
};
