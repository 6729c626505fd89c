import { float } from '../../src/ir/attr.ts';
import type { DType } from '../../src/ir/dtype.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import type { Edit } from '../../src/rewrite/edit.ts';
import { miss } from '../../src/rewrite/match.ts';
import { any, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { type Bounds, boundsOf, compose } from './bounds.ts';
import { finiteTensor, floatRoom, isFoldable } from './floats.ts';

const limits = ['Relu', 'Clip'];

/** Two limits one after the other are one: Relu(Relu(x)), Clip(Relu(x)), Relu(Clip(x)), Clip(Clip(x)). */
export const clipClip: Rule = {
  id: 'clip-clip',
  summary: 'merges consecutive Relu and Clip into one',
  ops: limits,
  pattern: op(limits, [op(limits, undefined, { as: 'inner', once: true }), maybe(any()), maybe(any())]),
  apply(match, edit) {
    const outer = match.root;
    const inner = match.node('inner');
    const first = boundsOf(inner, edit.opset);
    const second = boundsOf(outer, edit.opset);
    if (typeof first === 'string') return miss(outer, first);
    if (typeof second === 'string') return miss(outer, second);
    const x = inner.input(0);
    const bounds = compose(first, second);
    const dtype = edit.types.dtypeOf(x) ?? edit.types.dtypeOf(outer.output());
    if (!isRelu(bounds) && edit.opset >= 11 && !isFoldable(dtype)) {
      return miss(outer, `${outer} works on ${dtype ?? 'a type that is not known'}`);
    }
    edit.replace(outer, insertLimit(edit, x, bounds, dtype ?? 'float32'));
  },
};

const isRelu = ({ low, high }: Bounds): boolean => low === 0 && high === Number.POSITIVE_INFINITY;

/** The Relu or Clip with these bounds, in the form of the opset at hand. */
export function insertLimit(edit: Edit, x: Value | undefined, bounds: Bounds, dtype: DType): Node {
  const { low, high } = bounds;
  if (isRelu(bounds)) return edit.insert('Relu', { inputs: [x] });
  if (edit.opset < 11) return edit.insert('Clip', { inputs: [x], attrs: { min: float(low), max: float(high) } });
  const min = bounds.lowValue ?? scalar(edit, 'min', dtype, low);
  const max = bounds.highValue ?? scalar(edit, 'max', dtype, high);
  return edit.insert('Clip', { inputs: [x, min, max] });
}

/** A bound that no node states yet: the 0 of a Relu. None for infinity. */
function scalar(edit: Edit, name: string, dtype: DType, value: number): Value | undefined {
  const room = floatRoom(dtype, 1);
  room[0] = value;
  const tensor = finiteTensor(dtype, [], room);
  return tensor && edit.constant(`clip_${name}`, tensor);
}
