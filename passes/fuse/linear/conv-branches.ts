import { convWindow } from '../../../src/ir/conv-window.ts';
import type { Node } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import { any, constant, maybe, oneOf, op } from '../../../src/rewrite/pattern.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { batchNorm, batchNormAffine, infers } from '../batch-norm.ts';
import { binaryOperand } from '../binary.ts';
import { type Floats, finiteTensor, floatRoom, floatsOf } from '../floats.ts';
import { mayCopy } from '../fold.ts';

/** One of the two that are added: a convolution with its numbers read. */
interface Branch {
  readonly name: string;
  readonly group: number;
  /** Outputs, and inputs of all groups. */
  readonly outputs: number;
  readonly inputs: number;
  readonly axes: readonly BranchAxis[];
  /** [outputs, inputs / group, kernel…]. */
  readonly weight: ArrayLike<number>;
  readonly bias: ArrayLike<number> | undefined;
}

interface BranchAxis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Two convolutions of the same input that are added (subtracted) are one, whose weight is the sum of both, the smaller kernel set into
 * the larger.
 * A BatchNormalization beside a convolution is a 1×1 convolution of each channel. This turns the branches that RepVGG, MobileOne
 * and their kind are trained with into the single convolution that they are meant to run as (Ding et al., "RepVGG: Making
 * VGG-style ConvNets Great Again", 2021, §3.3).
 */
export const convBranches: Rule = {
  id: 'conv-branches',
  summary:
    'adds up convolutions (and BatchNormalizations) of one input whose results are added or subtracted: one Conv does the work',
  ops: ['Add', 'Sub'],
  quiet: true,
  pattern: op(
    ['Add', 'Sub'],
    [
      op('Conv', [any('x'), constant('w'), maybe(constant('b'))], { as: 'conv', once: true }),
      oneOf(
        op('Conv', [any('x'), constant('v'), maybe(constant('c'))], { as: 'other', once: true }),
        batchNorm(any('x'), true),
      ),
    ],
  ),
  check: (match, site) => {
    const broadcasts = binaryOperand(match, site);
    return broadcasts !== true || !match.has('bn') ? broadcasts : infers(match, site);
  },
  apply(match, edit) {
    const refuse = (why: string) => miss(match.root, why);
    const first = convBranch(match, 'conv', 'w', 'b');
    if (typeof first === 'string') return refuse(first);
    const added = match.has('bn') ? normBranch(match, first) : convBranch(match, 'other', 'v', 'c');
    if (typeof added === 'string') return refuse(added);
    const second = match.root.op === 'Sub' ? negated(added) : added;
    const dtype = match.tensor('w').dtype;
    if (!match.has('bn') && match.tensor('v').dtype !== dtype) return refuse('the two weights differ in type');
    if (first.outputs !== second.outputs || first.inputs !== second.inputs)
      return refuse(`${first.name} gives ${first.outputs} channels, ${second.name} ${second.outputs}`);
    const [host, guest] = count(first) >= count(second) ? [first, second] : [second, first];
    const group = host.group === guest.group ? host.group : Math.min(host.group, guest.group);
    if (host.group !== guest.group && group !== 1)
      return refuse(`${host.name} has ${host.group} groups, ${guest.name} ${guest.group}`);
    const offsets = placeInside(host, guest);
    if (typeof offsets === 'string') return refuse(offsets);

    const kernel = host.axes.map((axis) => axis.kernel);
    const shape = [host.outputs, host.inputs / group, ...kernel];
    const weight = floatRoom(dtype, elementCount(shape));
    addInto(
      weight,
      group,
      kernel,
      host,
      kernel.map(() => 0),
    );
    addInto(weight, group, kernel, guest, offsets);
    const sum = finiteTensor(dtype, shape, weight);
    const bias = floatRoom(dtype, host.outputs).map((_, o) => (host.bias?.[o] ?? 0) + (guest.bias?.[o] ?? 0));
    const shift = finiteTensor(dtype, [host.outputs], bias);
    if (!sum || !shift) return refuse(`the sum of both would not be finite in ${dtype}`);

    const [conv, w] = host === first ? (['conv', 'w'] as const) : (['other', 'v'] as const);
    const named = match.maybeValue('b') ?? match.maybeValue('c');
    const made = edit.insertLike(match.node(conv), {
      inputs: [
        match.value('x'),
        edit.constant(match.value(w).name, sum),
        host.bias || guest.bias ? edit.constant(named?.name ?? `${match.value(w).name}_bias`, shift) : undefined,
      ],
      attrs: { kernel_shape: kernel, ...(group !== host.group && { group }) },
    });
    edit.replace(match.root, made);
    return { detail: `${guest.name} goes into ${host.name}` };
  },
};

const count = (branch: Branch): number => branch.axes.reduce((product, { kernel }) => product * kernel, 1);

function negated(branch: Branch): Branch {
  const minus = (values: ArrayLike<number>): Float64Array => Float64Array.from(values, (value) => -value);
  return { ...branch, weight: minus(branch.weight), bias: branch.bias && minus(branch.bias) };
}

function convBranch(match: Match, node: string, w: string, b: string): Branch | string {
  const conv = match.node(node);
  const tensor = match.tensor(w);
  const weight = floatsOf(tensor);
  const bias = match.maybeTensor(b);
  const shift = bias && floatsOf(bias);
  if (!weight || (bias && !shift)) return `${conv} computes in ${tensor.dtype}, which is not folded`;
  const shared = mayCopy(match.value(w), tensor, conv);
  if (shared) return shared;
  const [outputs = 0, perGroup = 0, ...kernel] = tensor.shape;
  const group = conv.int('group', 1);
  const axes = windowAxes(conv, kernel);
  if (typeof axes === 'string') return axes;
  return { name: String(conv), group, outputs, inputs: perGroup * group, axes, weight, bias: shift };
}

function windowAxes(conv: Node, kernel: readonly number[]): BranchAxis[] | string {
  const { strides, dilations, pads } = convWindow(conv, kernel);
  const axes: BranchAxis[] = [];
  for (const [axis, extent] of kernel.entries()) {
    const [stride = 1, dilation = 1] = [strides[axis], dilations[axis]];
    let [begin, end] = [0, 0];
    if (typeof pads !== 'string') [begin, end] = [pads.begin[axis] ?? 0, pads.end[axis] ?? 0];
    else if (stride !== 1) return `how much ${conv} pads depends on the size of its input (auto_pad)`;
    else {
      const total = dilation * (extent - 1);
      begin = pads === 'same-upper' ? Math.floor(total / 2) : Math.ceil(total / 2);
      end = total - begin;
    }
    axes.push({ kernel: extent, stride, dilation, begin, end });
  }
  return axes;
}

/** y = s · x + t for each channel, as a 1×1 convolution with as many groups as the other branch. */
function normBranch(match: Match, beside: Branch): Branch | string {
  const bn = match.node('bn');
  const affine = batchNormAffine(match);
  if (typeof affine === 'string') return affine;
  const channels = affine.scale.length;
  if (channels !== beside.inputs || channels !== beside.outputs)
    return `${bn} has ${channels} channels, ${beside.name} makes ${beside.outputs} of ${beside.inputs}`;
  const perGroup = channels / beside.group;
  const weight = new Float64Array(channels * perGroup);
  for (let c = 0; c < channels; c++) weight[c * perGroup + (c % perGroup)] = affine.scale[c] as number;
  return {
    name: String(bn),
    group: beside.group,
    outputs: channels,
    inputs: channels,
    axes: beside.axes.map(() => ({ kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0 })),
    weight,
    bias: affine.shift,
  };
}

/**
 * Where the guest's kernel begins in the host's, for each axis. Output o reads x[stride · o − begin + dilation · k], so both must step
 * alike, give as many outputs, and the guest's places must be some of the host's.
 */
function placeInside(host: Branch, guest: Branch): number[] | string {
  const offsets: number[] = [];
  for (const [axis, h] of host.axes.entries()) {
    const g = guest.axes[axis];
    if (!g || g.stride !== h.stride) return `${host.name} and ${guest.name} take different steps (strides)`;
    if (g.kernel > 1 && h.kernel > 1 && g.dilation !== h.dilation)
      return `${host.name} and ${guest.name} differ in dilations`;
    const shrinks = (a: BranchAxis): number => a.dilation * (a.kernel - 1) - a.begin - a.end;
    if (shrinks(h) !== shrinks(g))
      return `${host.name} and ${guest.name} do not give the same extent along axis ${axis + 2}`;
    const offset = (h.begin - g.begin) / h.dilation;
    if (!Number.isInteger(offset) || offset < 0 || offset + g.kernel > h.kernel)
      return `the kernel of ${guest.name} reaches beyond that of ${host.name} along axis ${axis + 2}`;
    offsets.push(offset);
  }
  return offsets;
}

/** Adds the weight of a branch to `sum` ([outputs, inputs / group, kernel…]), its kernel beginning at `offsets`. */
function addInto(
  sum: Floats,
  group: number,
  kernel: readonly number[],
  branch: Branch,
  offsets: readonly number[],
): void {
  const own = branch.axes.map((axis) => axis.kernel);
  const places = placesOf(own, kernel, offsets);
  const inner = elementCount(kernel);
  const perGroup = branch.inputs / branch.group;
  const perSum = branch.inputs / group;
  for (let o = 0; o < branch.outputs; o++) {
    // Channels that this output's group begins with, in the branch; in the sum they count from that group's first.
    const first =
      Math.floor(o / (branch.outputs / branch.group)) * perGroup - Math.floor(o / (branch.outputs / group)) * perSum;
    for (let i = 0; i < perGroup; i++) {
      const from = (o * perGroup + i) * places.length;
      const to = (o * perSum + first + i) * inner;
      for (const [k, place] of places.entries())
        sum[to + place] = (sum[to + place] as number) + (branch.weight[from + k] as number);
    }
  }
}

/** Flat places in `kernel` of the elements of `own` when it begins at `offsets`. */
function placesOf(own: readonly number[], kernel: readonly number[], offsets: readonly number[]): number[] {
  let places = [0];
  for (const [axis, extent] of kernel.entries()) {
    places = places.flatMap((place) =>
      Array.from({ length: own[axis] ?? 1 }, (_, k) => place * extent + (offsets[axis] ?? 0) + k),
    );
  }
  return places;
}
