import type { AttrInput } from '../../../src/ir/attr.ts';
import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import { equalDims, equalShapes, mulDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { targetFor } from '../../../src/ir/reshape-target.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { type Shape, tensorType } from '../../../src/ir/types.ts';
import { clusterMatch, onlyReader, usedInside } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import { permOf } from './heads.ts';
import { unsqueezed } from './shape-nodes.ts';
import { inFour, type Unmerged, unmerge } from './unmerge.ts';

/** What else a step between product and softmax reads: as it is, with an axis more in front, or with batch and heads apart. */
type Operand = 'same' | 'wider' | Unmerged;

interface Step {
  readonly node: Node;
  /** The input that comes from the product. */
  readonly carried: number;
  readonly operands: ReadonlyMap<number, Operand>;
}

interface Plan {
  readonly q: Unmerged;
  readonly k: Unmerged;
  readonly v: Unmerged;
  readonly first: Node;
  /** From the first product to the softmax, which is the last of them. */
  readonly steps: readonly Step[];
  /** Dropout and the like between the softmax and the second product. */
  readonly after: readonly Node[];
  readonly second: Node;
  readonly end: End;
  readonly nodes: ReadonlySet<Node>;
}

/** The Reshape that takes batch and heads apart again; or that behind a Transpose to [length, batch·heads, size]. */
interface End {
  readonly reshape: Node;
  readonly swap: boolean;
  /** In place of the Reshape's own target. */
  readonly target: readonly number[] | undefined;
}

type Why = { readonly why: string; readonly far?: boolean };

/** Attention of [batch·heads, length, size], as torch.bmm and PyTorch's `nn.MultiheadAttention` have it, in the four dimensions that the other rules know. */
export const mergedHeads: Rule = {
  id: 'merged-heads',
  summary: 'attention over [batch·heads, length, size] works on [batch, heads, length, size] instead',
  ops: ['Softmax'],
  find(node, site) {
    const plan = findMerged(node, site);
    if ('why' in plan) return miss(node, plan.why, !plan.far);
    return clusterMatch(plan.nodes, plan.end.reshape, { softmax: node.output() });
  },
  apply(match, edit) {
    const softmax = match.value('softmax').producer as Node;
    const plan = findMerged(softmax, edit);
    if ('why' in plan) return miss(softmax, plan.why);
    rewrite(plan, edit);
    return { detail: `${plan.q.heads} heads` };
  },
};

function findMerged(softmax: Node, site: Site): Plan | Why {
  const { types } = site;
  if (types.shapeOf(softmax.input(0))?.length !== 3)
    return { why: `${softmax} does not work on 3 dimensions`, far: true };
  const axis = softmax.int('axis', site.opset >= 13 ? -1 : 1);
  if (axis !== -1 && axis !== 2) return { why: `${softmax} works along axis ${axis}, not the last`, far: true };
  const after: Node[] = [];
  let reader = onlyReader(softmax.output());
  while (
    reader &&
    ((reader.is('Dropout') && !reader.input(2)) || reader.is('Identity')) &&
    reader.outputs.length === 1
  ) {
    after.push(reader);
    reader = onlyReader(reader.output());
  }
  const p = after.at(-1)?.output() ?? softmax.output();
  const value = reader?.input(1);
  if (!reader?.is('MatMul') || reader.input(0) !== p || !value) {
    const product = [...p.readers].some((node) => node.is('MatMul') && node.input(0) === p);
    return { why: `"${p.name}" is not read by a product with values alone`, far: !product };
  }
  const steps = stepsUp(softmax);
  if ('why' in steps) return steps;
  const sides: Unmerged[] = [];
  for (const side of [steps.first.input(0), steps.first.input(1), value]) {
    const found = unmerge(side as Value, site);
    if (typeof found === 'string') return { why: found, far: sides.length === 0 };
    sides.push(found);
  }
  const [q, k, v] = sides as [Unmerged, Unmerged, Unmerged];
  const other = [k, v].find((side) => side.heads !== q.heads || !equalDims(side.batch, q.batch));
  if (other)
    return {
      why: `"${other.source.name}" is of batch ${other.batch ?? '?'} and ${other.heads} heads, "${q.source.name}" of ${q.batch ?? '?'} and ${q.heads}`,
    };
  const scores = types.shapeOf(steps.first.output());
  if (scores?.length !== 3 || !equalDims(scores[0], mulDims(q.batch, q.heads)))
    return { why: `the shape of "${steps.first.output().name}" is not known` };
  const planned: Step[] = [];
  for (const step of steps.list) {
    const operands = operandsOf(step, scores, q, site);
    if (typeof operands === 'string') return { why: operands };
    planned.push({ ...step, operands });
  }
  const end = endOf(reader, q, site);
  if (typeof end === 'string') return { why: end };
  const nodes = new Set([steps.first, ...steps.list.map(({ node }) => node), ...after, reader, end.reshape]);
  if (end.swap) nodes.add(end.reshape.input(0)?.producer as Node);
  const free = usedInside(nodes, end.reshape);
  if (free !== true) return { why: free };
  return { q, k, v, first: steps.first, steps: planned, after, second: reader, end, nodes };
}

const binary = new Set(['Add', 'Sub', 'Mul', 'Div', 'Where']);
const unary = new Set(['Tanh', 'Identity', 'Reshape', 'Softmax']);

interface Found {
  readonly node: Node;
  readonly carried: number;
}

/** Goes up from the softmax to the product of queries and keys. */
function stepsUp(softmax: Node): { readonly first: Node; readonly list: readonly Found[] } | Why {
  const list: Found[] = [{ node: softmax, carried: 0 }];
  for (let value = softmax.input(0); ; ) {
    const node = value?.producer;
    if (!node || node.domain !== '' || node.list !== softmax.list)
      return { why: `"${value?.name}" is not made from a product of queries and keys`, far: true };
    if (node.is('MatMul')) return { first: node, list: list.reverse() };
    const carried = node.inputs.findIndex((input) => leadsToProduct(input));
    if (carried < 0 || !(binary.has(node.op) || (unary.has(node.op) && carried === 0)))
      return { why: `${node} stands between the softmax and a product of queries and keys`, far: true };
    list.push({ node, carried });
    value = node.input(carried);
  }
}

function leadsToProduct(value: Value | undefined, depth = 0): boolean {
  const node = value?.producer;
  if (!node || depth > 8) return false;
  if (node.is('MatMul')) return constantOf(node.input(1)) === undefined;
  if (node.domain !== '' || !(binary.has(node.op) || unary.has(node.op))) return false;
  return node.inputs.some((input) => leadsToProduct(input, depth + 1));
}

/** How the other inputs of a step broadcast in four dimensions. */
function operandsOf(
  { node, carried }: Found,
  scores: Shape,
  q: Unmerged,
  site: Site,
): ReadonlyMap<number, Operand> | string {
  const operands = new Map<number, Operand>();
  const inner = site.types.shapeOf(node.input(carried));
  if (node.is('Reshape')) {
    const shape = site.types.shapeOf(node.output());
    // What was added in between may have made them larger as far as is known: the Reshape could not run then.
    const fits =
      inner?.length === 3
        ? equalShapes(inner, scores) && equalShapes(shape, [q.batch, q.heads, ...scores.slice(1)])
        : inner?.length === 4 && equalShapes(shape, scores);
    return fits ? operands : `${node} does not take batch and heads apart, or join them`;
  }
  const rank = inner?.length;
  for (const [at, value] of node.inputs.entries()) {
    if (at === carried || !value) continue;
    const own = site.types.shapeOf(value);
    if (!own || (rank !== 3 && rank !== 4)) return `the rank of "${value.name}", read by ${node}, is not known`;
    if (rank === 4 || own.length < 3) operands.set(at, 'same');
    else if (own.length > 3) return `"${value.name}", read by ${node}, is of rank ${own.length}`;
    else if (own[0] === 1) operands.set(at, 'wider');
    else {
      const found = unmerge(value, site);
      if (typeof found === 'string') return found;
      if (found.heads !== q.heads || !equalDims(found.batch, q.batch))
        return `"${value.name}", read by ${node}, is of another batch or other heads than the queries`;
      operands.set(at, found);
    }
  }
  return operands;
}

function endOf(product: Node, q: Unmerged, { types }: Site): End | string {
  const reader = onlyReader(product.output());
  const swap = permOf(reader) === '102';
  const reshape = swap ? onlyReader((reader as Node).output()) : reader;
  if (!reshape?.is('Reshape')) return `"${product.output().name}" is not brought back to [batch, length, heads·size]`;
  const [all, length, size] = types.shapeOf(product.output()) ?? [];
  const four: Shape = [q.batch, q.heads, length, size];
  const shape = types.shapeOf(reshape.output());
  if (!swap) {
    return equalDims(all, mulDims(q.batch, q.heads)) && equalShapes(shape, four)
      ? { reshape, swap, target: undefined }
      : `${reshape} does not take batch and heads apart`;
  }
  // A 0 at the second place would copy the batch, where it copied batch · heads.
  const own = constantNumbers(reshape.input(1));
  if (own && own.lastIndexOf(0) < 1) return { reshape, swap, target: undefined };
  const target = targetFor([length, q.batch, q.heads, size], shape, false);
  return target ? { reshape, swap, target } : `no constant says the shape that ${reshape} makes`;
}

function rewrite({ q, k, v, first, steps, after, second, end }: Plan, edit: Edit): void {
  /** What stands for `old` is of its shape, batch and heads apart. */
  const like = (made: Value, old: Value): Value => {
    const [dtype, shape] = [edit.types.dtypeOf(old), edit.types.shapeOf(old)];
    const dims = shape?.length === 3 ? [q.batch, q.heads, ...shape.slice(1)] : shape;
    if (dtype && dims) edit.types.learn(made, tensorType(dtype, dims));
    return made;
  };
  const [queries, keys, values] = [q, k, v].map((side) => inFour(side, edit)) as [Value, Value, Value];
  let value = like(edit.insertLike(first, { inputs: [queries, keys] }).output(), first.output());
  for (const { node, carried, operands } of steps) {
    if (node.is('Reshape')) continue;
    const inputs = node.inputs.map((input, at) => {
      const operand = operands.get(at);
      if (at === carried) return value;
      if (!input || !operand || operand === 'same') return input;
      return operand === 'wider' ? wider(input, edit) : inFour(operand, edit);
    });
    const attrs: Record<string, AttrInput> = node.is('Softmax') ? { axis: 3 } : {};
    value = like(edit.insertLike(node, { inputs, attrs }).output(), node.output());
  }
  for (const node of after) {
    const inputs = [value, ...node.inputs.slice(1)];
    value = like(edit.insertLike(node, { inputs }).output(), node.output());
  }
  const result = edit.insertLike(second, { inputs: [value, values] });
  if (!end.swap) return edit.replace(end.reshape, result);
  like(result.output(), second.output());
  const turned = edit.insert('Transpose', { inputs: [result.output()], attrs: { perm: [2, 0, 1, 3] } });
  const target = end.target ? edit.constant('joined', int64Vector(end.target)) : end.reshape.input(1);
  edit.replace(end.reshape, edit.insertLike(end.reshape, { inputs: [turned.output(), target] }));
}

function wider(value: Value, edit: Edit): Value {
  const made = unsqueezed(value, [0], edit);
  const [dtype, shape] = [edit.types.dtypeOf(value), edit.types.shapeOf(value)];
  if (dtype && shape) edit.types.learn(made, tensorType(dtype, [1, ...shape]));
  return made;
}
