import { elementCount, type Tensor } from '../../src/ir/tensor.ts';
import { type Match, miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNorm, batchNormAffine, infers } from './batch-norm.ts';
import { finiteTensor, floatRoom, floatsOf } from './floats.ts';
import { convLinear, mayCopy } from './fold.ts';

/**
 * Conv(s · x + t, w, b) = Conv(x, w · s, b + Σ w · t). The zeros that Conv pads with are not shifted by t, so with
 * padding it holds only where every t is 0.
 */
export const batchNormConv: Rule = {
  id: 'bn-conv',
  summary: 'folds BatchNormalization into the Conv behind it, where that is exact',
  ops: ['Conv'],
  pattern: op('Conv', [batchNorm(any('x'), true), constant('w'), maybe(constant('b'))], { as: 'conv' }),
  check: infers,
  apply(match, edit) {
    const conv = match.root;
    const refuse = (why: string) => miss(conv, why);
    const affine = batchNormAffine(match);
    if (typeof affine === 'string') return refuse(affine);
    const linear = convLinear(match, edit);
    if (typeof linear === 'string') return refuse(linear);
    if (pads(match) && affine.shift.some((shift) => shift !== 0)) {
      return refuse(
        `${conv} pads with zeros, which ${match.node('bn')} does not shift: folding would change the border`,
      );
    }
    const weight = match.tensor('w');
    const shared = mayCopy(linear.weight, weight, conv);
    if (shared) return refuse(shared);
    const group = conv.int('group', 1);
    if (affine.scale.length !== (weight.shape[1] as number) * group) {
      return refuse(
        `${match.node('bn')} has ${affine.scale.length} channels, ${conv} reads ${(weight.shape[1] ?? 0) * group}`,
      );
    }
    const scaled = scaleInputs(weight, group, affine.scale, affine.shift);
    const { dtype } = linear;
    const shift = scaled.shift.map((sum, channel) => sum + (linear.bias?.numbers[channel] ?? 0));
    const bias = floatRoom(dtype, shift.length);
    bias.set(shift);
    const [w, b] = [finiteTensor(dtype, weight.shape, scaled.weight), finiteTensor(dtype, [shift.length], bias)];
    if (!w || !b) return refuse(`the folded weight of ${conv} would not be finite in ${dtype}`);
    const values = [
      edit.constant(linear.weight.name, w),
      edit.constant(linear.bias?.value.name ?? `${linear.weight.name}_bias`, b),
    ];
    edit.replace(conv, edit.insertLike(conv, { inputs: [match.value('x'), ...values] }));
  },
};

function pads(match: Match): boolean {
  const conv = match.root;
  const auto = conv.string('auto_pad') ?? 'NOTSET';
  if (auto === 'VALID') return false;
  return auto !== 'NOTSET' || (conv.ints('pads') ?? []).some((pad) => pad !== 0);
}

/** w[m, j, …] · s[channel of (m, j)], and Σ over j, … of w[m, j, …] · t. */
function scaleInputs(
  tensor: Tensor,
  group: number,
  scale: Float64Array,
  shift: Float64Array,
): { weight: Float32Array | Float64Array; shift: Float64Array } {
  const from = floatsOf(tensor) ?? new Float32Array(0);
  const [outputs = 0, inputs = 0] = tensor.shape;
  const inner = elementCount(tensor.shape.slice(2));
  const weight = floatRoom(tensor.dtype, from.length);
  const sums = new Float64Array(outputs);
  let i = 0;
  for (let m = 0; m < outputs; m++) {
    const first = Math.floor(m / (outputs / group)) * inputs;
    for (let j = 0; j < inputs; j++) {
      const [s, t] = [scale[first + j] as number, shift[first + j] as number];
      for (let k = 0; k < inner; k++, i++) {
        const w = from[i] as number;
        weight[i] = w * s;
        sums[m] = (sums[m] as number) + w * t;
      }
    }
  }
  return { weight, shift: sums };
}
