/** Folds a factor and a shift for each input channel into the weight and bias of the operator behind them. */
import { constantOf } from '../../../src/ir/constant.ts';
import { elementCount, type Tensor } from '../../../src/ir/tensor.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import type { Applied } from '../../../src/rewrite/rule.ts';
import { type Floats, finiteTensor, floatRoom, floatsOf } from '../floats.ts';
import { convLinear, mayCopy } from '../fold.ts';

interface InputAffine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/**
 * Conv(s · x + t, w, b) = Conv(x, w · s, b + Σ w · t), the Conv being the match's root with weight `w` and bias `b`, and `x` what
 * it reads then. The zeros that Conv pads with are not shifted by t, so with padding it holds only where every t is 0.
 * @param source what scales and shifts, for sentences.
 */
export function foldIntoConv(match: Match, edit: Edit, affine: InputAffine, source: string): Applied {
  const conv = match.root;
  const refuse = (why: string) => miss(conv, why);
  const linear = convLinear(match, edit);
  if (typeof linear === 'string') return refuse(linear);
  const shifts = affine.shift.some((shift) => shift !== 0);
  if (pads(match) && shifts) {
    return refuse(`${conv} pads with zeros, which ${source} does not shift: folding would change the border`);
  }
  const weight = match.tensor('w');
  const shared = mayCopy(linear.weight, weight, conv);
  if (shared) return refuse(shared);
  const group = conv.int('group', 1);
  if (affine.scale.length !== (weight.shape[1] as number) * group) {
    return refuse(
      `${source} has ${affine.scale.length} channels, ${conv} reads ${(weight.shape[1] as number) * group}`,
    );
  }
  const scaled = scaleInputs(weight, group, affine);
  const { dtype } = linear;
  const w = finiteTensor(dtype, weight.shape, scaled.weight);
  if (!w) return refuse(`the folded weight of ${conv} would not be finite in ${dtype}`);
  const inputs = [match.value('x'), edit.constant(linear.weight.name, w), match.maybeValue('b')];
  if (shifts) {
    const bias = floatRoom(dtype, scaled.shift.length);
    bias.set(scaled.shift.map((sum, channel) => sum + (linear.bias?.numbers[channel] ?? 0)));
    const b = finiteTensor(dtype, [bias.length], bias);
    if (!b) return refuse(`the folded bias of ${conv} would not be finite in ${dtype}`);
    inputs[2] = edit.constant(linear.bias?.value.name ?? `${linear.weight.name}_bias`, b);
  }
  edit.replace(conv, edit.insertLike(conv, { inputs }));
}

/** Channels that a Conv bound as the match's root reads; undefined where the weight's shape is not known. */
export function inputChannels(match: Match): number | undefined {
  const weight = constantOf(match.value('w'));
  return weight && (weight.shape[1] ?? 0) * match.root.int('group', 1);
}

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
  { scale, shift }: InputAffine,
): { weight: Floats; shift: Float64Array } {
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
