import { equalDims, mulDims } from '../../../src/ir/dim.ts';
import type { Node } from '../../../src/ir/graph.ts';
import type { Shape } from '../../../src/ir/types.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';

interface Form {
  readonly op: 'DepthToSpace' | 'SpaceToDepth';
  readonly perm: string;
  /** Axes of the value between that are blocks of height and width. */
  readonly blocks: readonly [number, number];
  /** Axes of the value between, that each axis of x was split into, and that each axis of y is made of. */
  readonly from: readonly (readonly number[])[];
  readonly mode?: 'DCR' | 'CRD';
}

/** ONNX DepthToSpace and SpaceToDepth, as their specifications write them out. PyTorch's pixel_unshuffle has no operator. */
const forms: readonly Form[] = [
  { op: 'DepthToSpace', perm: '0,3,4,1,5,2', blocks: [1, 2], from: [[0], [1, 2, 3], [4], [5]], mode: 'DCR' },
  { op: 'DepthToSpace', perm: '0,1,4,2,5,3', blocks: [2, 3], from: [[0], [1, 2, 3], [4], [5]], mode: 'CRD' },
  { op: 'SpaceToDepth', perm: '0,3,5,1,2,4', blocks: [3, 5], from: [[0], [1], [2, 3], [4, 5]] },
];

/** Axes of the Transpose's output that one axis of the result is made of. */
const joined: Readonly<Record<Form['op'], readonly (readonly number[])[]>> = {
  DepthToSpace: [[0], [1], [2, 3], [4, 5]],
  SpaceToDepth: [[0], [1, 2, 3], [4], [5]],
};

/** Each dimension of `whole` is the product of those dimensions of `parts`. */
function splits(whole: Shape, parts: Shape, groups: readonly (readonly number[])[]): boolean {
  return groups.every((axes, at) => {
    const product = axes.map((axis) => parts[axis]).reduce((a, b) => mulDims(a, b));
    return equalDims(whole[at], product);
  });
}

/** Reshape, Transpose, Reshape that move blocks of pixels between channels and space. */
export const depthSpace: Rule = {
  id: 'depth-space',
  summary:
    'Reshape, Transpose and Reshape that move blocks between channels and space are DepthToSpace or SpaceToDepth',
  ops: ['Reshape'],
  find(last: Node, { types, opset }: Site): Match | Miss {
    const quiet = (why: string): Miss => miss(last, why, false);
    const turn = last.input(0)?.producer;
    const first = turn?.input(0)?.producer;
    const x = first?.input(0);
    if (!turn?.is('Transpose') || !first?.is('Reshape') || !x)
      return quiet('it is no Reshape of a Transpose of a Reshape');
    const perm = turn.ints('perm')?.join();
    const candidates = forms.filter((form) => form.perm === perm);
    if (candidates.length === 0) return quiet('the Transpose moves no blocks');
    for (const value of [turn.output(), first.output()]) {
      const once = usedOnce(value);
      if (once !== true) return miss(last, once);
    }
    const [from, middle, turned, to] = [x, first.output(), turn.output(), last.output()].map((value) =>
      types.shapeOf(value),
    );
    if (!from || !middle || !turned || !to) return miss(last, `the shapes around ${turn} are not known`);
    if (types.dtypeOf(x) !== 'float32')
      return miss(last, `the runtime has no kernel for ${types.dtypeOf(x) ?? 'an unknown type'}`);
    for (const form of candidates) {
      const [height, width] = form.blocks.map((axis) => middle[axis]);
      if (typeof height !== 'number' || height !== width) continue;
      if (form.mode === 'CRD' && opset < 11) return miss(last, `DepthToSpace of opset ${opset} has no mode CRD`);
      if (from.length !== 4 || to.length !== 4) continue;
      if (splits(from, middle, form.from) && splits(to, turned, joined[form.op])) {
        return new Match(last, [last, turn, first], new Map([['x', x]]), new Map());
      }
    }
    return miss(last, `the blocks of ${first} are not square, or not those of an image`);
  },
  apply(match, edit) {
    const [last, turn, first] = match.nodes as [Node, Node, Node];
    const perm = turn.ints('perm')?.join();
    const form = forms.find((candidate) => candidate.perm === perm) as Form;
    const blocksize = edit.types.shapeOf(first.output())?.[form.blocks[0]] as number;
    const attrs = { blocksize, ...(form.mode === 'CRD' && { mode: 'CRD' }) };
    edit.replace(last, edit.insert(form.op, { name: turn.name, inputs: [match.value('x')], attrs }));
  },
};
