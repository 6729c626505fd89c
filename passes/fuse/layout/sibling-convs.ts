import { constantOf } from '../../../src/ir/constant.ts';
import { convWindow } from '../../../src/ir/conv-window.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { blockSize } from './pad-channels.ts';

/** A convolution of images in float32 whose numbers are known, and the activation that the runtime fuses into it. */
interface Branch {
  readonly conv: Node;
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly activation: Node | undefined;
  /** What must be the same for two to be one. */
  readonly kind: string;
}

const channelsOf = ({ weight }: Branch): number => weight.shape[0] as number;

/** What ONNX Runtime computes together with a convolution: behind a Split it would be a node of its own for each part. */
const fused = new Set(['Relu', 'Clip', 'LeakyRelu', 'Sigmoid', 'Tanh', 'HardSigmoid', 'HardSwish']);

const numbersOf = (value: Value | undefined): string => {
  const tensor = constantOf(value);
  return tensor ? [...tensor.bytes()].join() : String(value?.name);
};

function readBranch(conv: Node): Branch | undefined {
  const weight = constantOf(conv.input(1));
  const bias = conv.input(2) ? constantOf(conv.input(2)) : undefined;
  if (!conv.is('Conv') || weight?.dtype !== 'float32' || weight.shape.length !== 4) return undefined;
  if (conv.input(2) && bias?.dtype !== 'float32') return undefined;
  const [reader] = conv.output().consumers;
  const isFused = usedOnce(conv.output()) === true && reader?.domain === '' && fused.has(reader.op);
  const activation = isFused && reader.list === conv.list && reader.input(0) === conv.output() ? reader : undefined;
  const attrs =
    activation && [...activation.attrs].map(([name, attr]) => `${name}=${'value' in attr ? String(attr.value) : ''}`);
  const limits = activation?.inputs.slice(1).map(numbersOf);
  const kind = `${windowOf(conv, weight)} ${activation?.op} ${JSON.stringify([attrs, limits])}`;
  return { conv, weight, bias, activation, kind };
}

const windowOf = (conv: Node, { shape }: Tensor): string => JSON.stringify(convWindow(conv, shape.slice(2)));

const blocks = (channels: number): number => Math.ceil(channels / blockSize);

/** Whether fewer blocks of channels are computed when the branches are one. */
function savesBlocks(branches: readonly Branch[]): boolean {
  const own = branches.reduce((sum, branch) => sum + blocks(channelsOf(branch)), 0);
  return blocks(branches.reduce((sum, branch) => sum + channelsOf(branch), 0)) < own;
}

/** Convolutions of one input and one window, neither of which fills a block by itself. */
function siblingsOf(conv: Node): readonly Branch[] | string {
  const input = conv.input(0);
  const own = readBranch(conv);
  const narrow = (branch: Branch): boolean =>
    branch.conv.int('group', 1) === 1 && channelsOf(branch) < blockSize && branch.conv.input(0) === input;
  if (!input || !own || !narrow(own)) return 'it has channels enough for a block of its own';
  const all = [...new Set(input.consumers)].flatMap((node) => {
    const branch = node.list === conv.list ? readBranch(node) : undefined;
    return branch && narrow(branch) && branch.kind === own.kind ? [branch] : [];
  });
  if (all.length < 2) return `no other convolution of the same window reads "${input.name}"`;
  return savesBlocks(all) ? all : 'together they take as many blocks of channels as by themselves';
}

/**
 * Convolutions of one input with few filters each (the heads of a detector: 1, 1, 4 and 10) as one: kernels compute 16 channels at a time, so that each takes as long as
 * all. yunet-face, three times four heads of 1×1 → depthwise 3×3, with `splitDepthwise`, one thread, interleaved, beside other work: 0.90 → 0.78 of the float
 * model's time on integers, 1.00 → 0.95 in float.
 */
const convSiblings: Rule = {
  id: 'conv-siblings',
  summary: 'convolutions of one input with fewer than 16 filters each are one, whose channels a Split takes apart',
  ops: ['Conv'],
  find(node, site): Match | Miss {
    const all = siblingsOf(node);
    if (typeof all === 'string') return miss(node, all, false);
    if (site.opset < 2) return miss(node, `Split of opset ${site.opset} is another operator`, false);
    const first = all[0] as Branch;
    if (first.conv !== node) return miss(node, `${first.conv} takes it in`, false);
    return new Match(node, all.flatMap(nodesOf), new Map(), new Map());
  },
  apply(match, edit) {
    const all = siblingsOf(match.root);
    if (typeof all === 'string') return miss(match.root, all, false);
    const sizes = all.map(channelsOf);
    const conv = joined(all, match.root.input(0) as Value, edit, {});
    takeApart(conv, all, edit);
    return { detail: `${sizes.join(' + ')} channels` };
  },
};

/** Depthwise convolutions of all parts of a Split, each alone in reading its part. */
function partsOf(split: Node): readonly Branch[] | string {
  if (split.int('axis', 0) !== 1) return 'it does not take channels apart';
  const branches: Branch[] = [];
  for (const part of split.outputs) {
    const [reader] = part?.consumers ?? [];
    const isAlone = part && usedOnce(part) === true && reader?.list === split.list;
    const branch = isAlone && reader ? readBranch(reader) : undefined;
    if (!branch || branch.conv.input(0) !== part) return 'not each part goes into a convolution of its own';
    const isDepthwise = branch.weight.shape[1] === 1 && branch.conv.int('group', 1) === channelsOf(branch);
    if (!isDepthwise || (branch.kind !== branches[0]?.kind && branches[0]))
      return 'its parts go into different convolutions';
    branches.push(branch);
  }
  if (branches.length < 2) return 'it has one part';
  return savesBlocks(branches) ? branches : 'together they take as many blocks of channels as by themselves';
}

const splitDepthwise: Rule = {
  id: 'split-depthwise',
  summary: 'depthwise convolutions of the parts of a Split, one window for all, are one in front of the Split',
  ops: ['Split'],
  find(node): Match | Miss {
    const parts = partsOf(node);
    if (typeof parts === 'string') return miss(node, parts, false);
    return new Match(node, [node, ...parts.flatMap(nodesOf)], new Map(), new Map());
  },
  apply(match, edit) {
    const parts = partsOf(match.root);
    if (typeof parts === 'string') return miss(match.root, parts, false);
    const sizes = parts.map(channelsOf);
    const input = match.root.input(0) as Value;
    const evened = evenOut(input, parts, edit);
    const group = sizes.reduce((sum, size) => sum + size, 0);
    const conv = joined(evened.parts, evened.input, edit, { group });
    takeApart(conv, parts, edit);
    return { detail: `${sizes.join(' + ')} channels` };
  },
};

const nodesOf = ({ conv, activation }: Branch): Node[] => (activation ? [conv, activation] : [conv]);

/** One convolution with the filters of all, and their activation behind it. */
function joined(branches: readonly Branch[], input: Value, edit: Edit, attrs: { group?: number }): Node {
  const [first] = branches as [Branch];
  const channels = branches.reduce((sum, branch) => sum + channelsOf(branch), 0);
  const filters = floats(branches.map(({ weight }) => typedArray(weight, 'float32')));
  const weight = tensorFrom('float32', [channels, ...first.weight.shape.slice(1)], filters);
  const shifts = floats(
    branches.map((branch) => (branch.bias ? typedArray(branch.bias, 'float32') : new Float32Array(channelsOf(branch)))),
  );
  const bias = branches.some((branch) => branch.bias) ? tensorFrom('float32', [channels], shifts) : undefined;
  const conv = edit.insertLike(first.conv, {
    inputs: [
      input,
      edit.constant(`${first.conv.input(1)?.name}_joined`, weight),
      bias && edit.constant(`${first.conv.input(1)?.name}_joined_bias`, bias),
    ],
    attrs,
  });
  learn(edit, conv.output(), first.conv.output(), channels);
  if (!first.activation) return conv;
  const active = edit.insertLike(first.activation, { inputs: [conv.output(), ...first.activation.inputs.slice(1)] });
  learn(edit, active.output(), first.conv.output(), channels);
  return active;
}

/** `made` has the shape of `like`, with other channels. */
function learn(edit: Edit, made: Value, like: Value, channels: number): void {
  const shape = edit.types.shapeOf(like);
  const type = tensorType(
    'float32',
    shape?.map((dim, axis) => (axis === 1 ? channels : dim)),
  );
  made.type = type;
  edit.types.learn(made, type);
}

function takeApart(whole: Node, branches: readonly Branch[], edit: Edit): void {
  const sizes = branches.map(channelsOf);
  const split = edit.insert('Split', {
    inputs: edit.opset >= 13 ? [whole.output(), edit.constant('split', int64Vector(sizes))] : [whole.output()],
    outputs: sizes.map(() => ''),
    attrs: { axis: 1, ...(edit.opset < 13 && { split: sizes }) },
  });
  const last = branches.map(({ conv, activation }) => activation ?? conv);
  for (const [at, node] of last.entries()) edit.replaceValue(node.output(), split.output(at));
  for (const node of last) edit.removeUnused(node);
}

function floats(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Channels of parts that were apart had a range each; together they get one scale on integers. So rows of the convolution in front, each with its bias, are brought to about the same
 * length by powers of two, which the depthwise weights behind take back: no number that comes out changes.
 */
function evenOut(input: Value, parts: readonly Branch[], edit: Edit): { input: Value; parts: readonly Branch[] } {
  const before = input.producer && readBranch(input.producer);
  if (!before || before.conv.output() !== input || before.activation || usedOnce(input) !== true)
    return { input, parts };
  const rows = typedArray(before.weight, 'float32');
  const size = elementCount(before.weight.shape.slice(1));
  const bias = before.bias && typedArray(before.bias, 'float32');
  // With its bias: one that is nearly all bias would become longer than all others by it.
  const lengths = Array.from({ length: channelsOf(before) }, (_, row) =>
    Math.sqrt(rows.subarray(row * size, (row + 1) * size).reduce((sum, x) => sum + x * x, (bias?.[row] ?? 0) ** 2)),
  );
  const longest = Math.max(...lengths);
  // Shorter rows than a millionth say nothing, and the weights that take it back must not vanish.
  const most = 20;
  const factors = lengths.map((length) =>
    length > 0 ? 2 ** Math.min(most, Math.round(Math.log2(longest / length))) : 1,
  );
  const scaled = (tensor: Tensor, by: (channel: number) => number): Tensor => {
    const each = elementCount(tensor.shape.slice(1));
    return tensorFrom(
      'float32',
      tensor.shape,
      typedArray(tensor, 'float32').map((x, at) => x * by(Math.floor(at / each))),
    );
  };
  const own = (channel: number): number => factors[channel] as number;
  const conv = edit.insertLike(before.conv, {
    inputs: [
      before.conv.input(0),
      edit.constant(before.conv.input(1)?.name ?? 'weight', scaled(before.weight, own)),
      before.bias && edit.constant(before.conv.input(2)?.name ?? 'bias', scaled(before.bias, own)),
    ],
  });
  learn(edit, conv.output(), input, channelsOf(before));
  let at = 0;
  const back = parts.map((part) => {
    const first = at;
    at += channelsOf(part);
    return { ...part, weight: scaled(part.weight, (channel) => 1 / own(first + channel)) };
  });
  return { input: conv.output(), parts: back };
}

/** @param isChosen nodes that may be changed */
export const siblingConvs = (isChosen: (node: Node) => boolean = () => true): readonly Rule[] =>
  [convSiblings, splitDepthwise].map((rule) => ({
    ...rule,
    find(node, site) {
      const found = rule.find?.(node, site) ?? miss(node, 'nothing was looked for', false);
      if (!(found instanceof Match)) return found;
      const kept = found.nodes.find((one) => !isChosen(one));
      return kept ? miss(node, `${kept} is to stay as it is`) : found;
    },
  }));
