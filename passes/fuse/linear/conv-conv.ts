import type { Node } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { miss } from '../../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../../src/rewrite/pattern.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { finiteTensor, floatRoom, floatsOf } from '../floats.ts';

/** Products that are taken to join two weights; beyond, the pass would take seconds. */
const mostProducts = 2e8;

const hasPads = (conv: Node): boolean => {
  const auto = conv.string('auto_pad') ?? 'NOTSET';
  return (auto !== 'NOTSET' && auto !== 'VALID') || (conv.ints('pads') ?? []).some((pad) => pad !== 0);
};

const isPointwise = (conv: Node, kernel: readonly number[]): boolean =>
  conv.int('group', 1) === 1 &&
  kernel.every((extent) => extent === 1) &&
  (conv.ints('strides') ?? []).every((stride) => stride === 1) &&
  !hasPads(conv);

/**
 * Two convolutions with nothing between them, one of them 1×1, are one: V ∗ (W ∗ x + b) + c. Where the 1×1 comes first, the zeros
 * that the other one pads with meet no b, so there must be no padding or no b.
 */
export const convConv: Rule = {
  id: 'conv-conv',
  summary:
    'merges a 1×1 Conv with the Conv before or behind it, where the weight that comes out is no larger than both',
  ops: ['Conv'],
  quiet: true,
  pattern: op(
    'Conv',
    [
      op('Conv', [any('x'), constant('w'), maybe(constant('b'))], { as: 'first', once: true }),
      constant('v'),
      maybe(constant('c')),
    ],
    { as: 'second' },
  ),
  apply(match, edit) {
    const [first, second] = [match.node('first'), match.node('second')];
    const [w, v] = [match.tensor('w'), match.tensor('v')];
    const refuse = (why: string) => miss(second, why);
    const [middle = 0, inputs = 0, ...firstKernel] = w.shape;
    const [outputs = 0, read = 0, ...secondKernel] = v.shape;
    const behind = isPointwise(second, secondKernel) && first.int('group', 1) === 1;
    const before = isPointwise(first, firstKernel) && second.int('group', 1) === 1;
    if ((!behind && !before) || read !== middle || w.dtype !== v.dtype) return miss(second, 'neither is 1×1', false);
    const [from, by] = [floatsOf(w), floatsOf(v)];
    const b = match.maybeTensor('b');
    const c = match.maybeTensor('c');
    const [bias, shift] = [b && floatsOf(b), c && floatsOf(c)];
    if (!from || !by || (b && !bias) || (c && !shift)) return refuse(`${second} computes in ${w.dtype}`);
    if (!behind && hasPads(second) && bias?.some((number) => number !== 0))
      return refuse(`${second} pads with zeros, to which ${first} would have added its bias`);
    const kernel = behind ? firstKernel : secondKernel;
    const inner = elementCount(kernel);
    const size = outputs * inputs * inner;
    if (size > from.length + by.length)
      return miss(second, `one weight would have ${size} numbers, both have ${from.length + by.length}`, false);
    if (size * middle > mostProducts) return refuse(`joining the weights takes ${size * middle} products`);
    const [kept, other] = behind ? [first, second] : [second, first];
    const weight = floatRoom(w.dtype, size);
    const sum = floatRoom(w.dtype, outputs);
    const row = new Float64Array(inputs * inner);
    for (let o = 0; o < outputs; o++) {
      row.fill(0);
      let added = shift?.[o] ?? 0;
      for (let m = 0; m < middle; m++) {
        for (let k = 0; k < (behind ? 1 : inner); k++) {
          const factor = by[(o * middle + m) * (behind ? 1 : inner) + k] as number;
          added += factor * (bias?.[m] ?? 0);
          if (behind) {
            for (let i = 0; i < row.length; i++)
              row[i] = (row[i] as number) + factor * (from[m * row.length + i] as number);
          } else {
            for (let i = 0; i < inputs; i++)
              row[i * inner + k] = (row[i * inner + k] as number) + factor * (from[m * inputs + i] as number);
          }
        }
      }
      weight.set(row, o * row.length);
      sum[o] = added;
    }
    const joined = finiteTensor(w.dtype, [outputs, inputs, ...kernel], weight);
    const total = finiteTensor(w.dtype, [outputs], sum);
    if (!joined || !total) return refuse(`the weight of both would not be finite in ${w.dtype}`);
    const one = edit.insertLike(kept, {
      inputs: [
        match.value('x'),
        edit.constant(match.value('w').name, joined),
        b || c ? edit.constant(match.maybeValue('c')?.name ?? match.value('b').name, total) : undefined,
      ],
      attrs: { kernel_shape: kernel },
    });
    edit.replace(second, one);
    return { detail: `${other} goes into ${kept}` };
  },
};
