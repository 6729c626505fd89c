import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor } from '../../../src/ir/tensor.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import { finiteTensor, floatRoom, floatsOf } from '../floats.ts';
import { mayCopy } from '../fold.ts';

/** Every `step`-th number along axes 2 and 3 of an image, from `at` on. */
interface Grid {
  readonly x: Value;
  readonly step: number;
  readonly at: readonly [number, number];
  readonly nodes: readonly Node[];
}

/** What the Concat of all such grids is: SpaceToDepth, with its blocks in another order. */
interface Blocks {
  readonly x: Value;
  readonly size: number;
  /** Block b of SpaceToDepth is part order[b] of the Concat. */
  readonly order: readonly number[];
  readonly nodes: readonly Node[];
}

/** Beyond this a Slice ends nowhere. */
const endless = 2 ** 31 - 1;

/** Goes up from one part of the Concat through Slices of axes 2 and 3. */
function gridOf(part: Value, { types }: Pick<Site, 'types'>): Grid | string {
  const [at, steps]: [number[], number[]] = [
    [0, 0],
    [1, 1],
  ];
  const nodes: Node[] = [];
  let x = part;
  for (let node = x.producer; node?.is('Slice') && nodes.length < 2; node = x.producer) {
    const input = node.input(0);
    const shape = types.shapeOf(input);
    const numbers = (index: number, attr: string) => node.ints(attr) ?? constantNumbers(node.input(index));
    const [starts, ends] = [numbers(1, 'starts'), numbers(2, 'ends')];
    const axes = node.input(3) || node.attrs.has('axes') ? numbers(3, 'axes') : starts?.map((_, axis) => axis);
    const own = node.input(4) ? constantNumbers(node.input(4)) : starts?.map(() => 1);
    if (!input || shape?.length !== 4 || !starts || !ends || !axes || !own)
      return `the bounds of ${node} are not known`;
    for (const [i, given] of axes.entries()) {
      const axis = given < 0 ? given + 4 : given;
      const [start, end, extent] = [starts[i] as number, ends[i] as number, shape[axis]];
      if (axis < 2) return `${node} takes a part of axis ${axis}`;
      if (steps[axis - 2] !== 1 || start < 0 || (own[i] as number) < 1)
        return `${node} does not take every n-th of axis ${axis} once`;
      if (end < endless && !(typeof extent === 'number' && end >= extent))
        return `${node} does not go to the end of axis ${axis}`;
      [at[axis - 2], steps[axis - 2]] = [start, own[i] as number];
    }
    nodes.push(node);
    x = input;
  }
  const [step] = steps as [number];
  if (step < 2 || steps[1] !== step || at.some((start) => start >= step))
    return `"${part.name}" is not every n-th row and column of an image`;
  return { x, step, at: at as [number, number], nodes };
}

function blocksOf(concat: Node, site: Pick<Site, 'types'>): Blocks | string {
  const size = Math.sqrt(concat.inputs.length);
  if (concat.int('axis', 0) !== 1 && concat.int('axis', 0) !== -3) return 'it does not join channels';
  if (!Number.isInteger(size) || size < 2) return 'it does not join a square number of parts';
  const order: number[] = [];
  const nodes = new Set<Node>();
  let x: Value | undefined;
  for (const [index, part] of concat.inputs.entries()) {
    const grid = part ? gridOf(part, site) : 'a part is missing';
    if (typeof grid === 'string') return grid;
    if (grid.step !== size || (x && grid.x !== x))
      return `"${part?.name}" is not one of ${size} × ${size} grids of one image`;
    const block = grid.at[0] * size + grid.at[1];
    if (order[block] !== undefined) return `rows from ${grid.at[0]} and columns from ${grid.at[1]} are taken twice`;
    order[block] = index;
    for (const node of grid.nodes) nodes.add(node);
    x = grid.x;
  }
  // As many as there are places, none of them twice: all of them.
  return { x: x as Value, size, order, nodes: [...nodes] };
}

/**
 * The Focus of YOLOv5 to YOLOX: Slices by twos and a Concat in front of a Conv. Where the parts are not in the order of SpaceToDepth the
 * Conv behind reads its channels in another one.
 */
export const focus: Rule = {
  id: 'focus',
  summary:
    'Slices of every n-th row and column, joined as channels, are SpaceToDepth; the Conv behind has its channels put in that order',
  ops: ['Concat'],
  find(concat: Node, site: Site): Match | Miss {
    const blocks = blocksOf(concat, site);
    if (typeof blocks === 'string') return miss(concat, blocks, false);
    const { x } = blocks;
    const dtype = site.types.dtypeOf(x);
    if (dtype !== 'float32')
      return miss(concat, `the runtime has no kernel for SpaceToDepth of ${dtype ?? 'an unknown type'}`);
    const nodes = [concat, ...blocks.nodes];
    if (isInOrder(blocks)) return new Match(concat, nodes, new Map([['x', x]]), new Map());
    const conv = convBehind(concat, blocks);
    if (typeof conv === 'string') return miss(concat, conv);
    return new Match(conv, [conv, ...nodes], new Map([['x', x]]), new Map());
  },
  apply(match, edit) {
    const concat = match.root.is('Concat') ? match.root : (match.root.input(0)?.producer as Node);
    const blocks = blocksOf(concat, edit);
    if (typeof blocks === 'string') return miss(match.root, blocks);
    const attrs = { blocksize: blocks.size };
    const made = edit.insert('SpaceToDepth', { name: concat.name, inputs: [match.value('x')], attrs });
    if (match.root === concat) return edit.replace(concat, made);
    const conv = match.root;
    const weight = conv.input(1) as Value;
    const turned = reordered(constantOf(weight) as Tensor, blocks);
    if (!turned) return miss(conv, `the weight "${weight.name}" of ${conv} is not of finite floats`);
    const inputs = [made.output(), edit.constant(weight.name, turned), conv.input(2)];
    edit.replace(conv, edit.insertLike(conv, { inputs }));
    return { detail: `channels of ${conv} in another order` };
  },
};

const isInOrder = ({ order }: Blocks): boolean => order.every((part, block) => part === block);

/** The one Conv that reads the Concat, with a weight whose channels may be put in another order. */
function convBehind(concat: Node, { order }: Blocks): Node | string {
  const conv = onlyReader(concat.output());
  if (!conv?.is('Conv') || conv.input(0) !== concat.output()) {
    const once = usedOnce(concat.output());
    return `its parts are not in the order of SpaceToDepth, and ${once === true ? `${conv} reads them, no Conv` : once}`;
  }
  const weight = conv.input(1);
  const data = constantOf(weight);
  if (!weight || !data || !floatsOf(data)) return `the weight "${weight?.name}" of ${conv} is not of constant floats`;
  if (conv.int('group', 1) !== 1 || (data.shape[1] ?? 0) % order.length !== 0) return `${conv} works in groups`;
  return mayCopy(weight, data, conv) ?? conv;
}

/** The weight for channels in the order of SpaceToDepth. */
function reordered(weight: Tensor, { order }: Blocks): Tensor | undefined {
  const from = floatsOf(weight);
  const [outputs = 0, inputs = 0] = weight.shape;
  if (!from) return undefined;
  const inner = elementCount(weight.shape.slice(2));
  const block = (inputs / order.length) * inner;
  const room = floatRoom(weight.dtype, from.length);
  for (let m = 0; m < outputs; m++) {
    for (const [to, part] of order.entries()) {
      const at = m * inputs * inner + part * block;
      room.set(from.subarray(at, at + block), m * inputs * inner + to * block);
    }
  }
  return finiteTensor(weight.dtype, weight.shape, room);
}
