import { constantOf } from '../../src/ir/constant.ts';
import type { DType } from '../../src/ir/dtype.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor } from '../../src/ir/tensor.ts';
import { clusterMatch } from '../../src/rewrite/cluster.ts';
import { broadcastsInto, usedOnce } from '../../src/rewrite/conditions.ts';
import { type Match, type Miss, miss } from '../../src/rewrite/match.ts';
import type { Rule, Site } from '../../src/rewrite/rule.ts';
import { type Bounds, boundsOf, compose, interval } from './bounds.ts';
import { insertLimit } from './clip-clip.ts';
import { floatsOf, isFoldable } from './floats.ts';

const extremes = ['Max', 'Min'];
/** Largest constant that is looked at element by element: below opset 8 both operands have the same shape. */
const largestBound = 65536;

/** What one node limits its input to. */
interface Limit {
  readonly x: Value;
  readonly bounds: Bounds;
}

/**
 * Max and Min with constants are limits: Max(x, 0) is Relu; Min(Max(x, low), high), in either order, with a Relu or Clip as one
 * of the two as well, is Clip. On ONNX Runtime 1.30 all of them hand NaN on (float16, float32, float64; opsets 6 to 21); only the sign of a zero may
 * differ. A lone bound other than Max(x, 0) stays: Clip with one bound also limits the infinity on the other side to the largest number.
 */
export const maxMinClip: Rule = {
  id: 'max-min-clip',
  summary: 'Max and Min with constant bounds become Relu or Clip, which fuse with what stands before them',
  ops: [...extremes, 'Relu', 'Clip'],
  find,
  apply(match, edit) {
    const limits = limitsOf(match, edit);
    if (!limits) return miss(match.root, `the bounds of ${match.root} are no longer known`);
    const dtype = edit.types.dtypeOf(limits.x) ?? edit.types.dtypeOf(match.root.output());
    edit.replace(match.root, insertLimit(edit, limits.x, limits.bounds, dtype ?? 'float32'));
    return undefined;
  },
};

function find(root: Node, site: Site): Match | Miss {
  const isExtreme = extremes.includes(root.op);
  const outer = isExtreme ? extremeOf(root, site) : clampOf(root, site);
  if (typeof outer === 'string') return miss(root, outer, isExtreme && root.inputs.some((value) => value?.initializer));
  const inner = outer.x.producer;
  const nodes = new Set([root]);
  let limits = outer;
  let why: string | undefined;
  if (inner && inner.graph === root.graph && inner.domain === '' && mayJoin(inner, isExtreme)) {
    const first = extremes.includes(inner.op) ? extremeOf(inner, site) : clampOf(inner, site);
    const once = usedOnce(outer.x);
    if (typeof first === 'string') why = first;
    else if (once !== true) why = `it limits what ${inner} limits, but ${once}`;
    else {
      nodes.add(inner);
      limits = { x: first.x, bounds: compose(first.bounds, outer.bounds) };
    }
  }
  if (!isExtreme && nodes.size === 1) return miss(root, `no Max or Min with a constant stands before ${root}`, false);
  const refusal = refusalOf(limits, root, site);
  if (refusal) return miss(root, why ?? refusal.why, why !== undefined || refusal.near);
  return clusterMatch(nodes, root, { x: limits.x });
}

/** Two of Relu and Clip are for clip-clip. */
const mayJoin = (inner: Node, outerIsExtreme: boolean): boolean =>
  extremes.includes(inner.op) || (outerIsExtreme && (inner.op === 'Relu' || inner.op === 'Clip'));

/** The limits of a match, read again from its nodes. */
function limitsOf(match: Match, site: Site): Limit | undefined {
  let bounds: Bounds | undefined;
  for (const node of [...match.nodes].reverse()) {
    const limit = extremes.includes(node.op) ? extremeOf(node, site) : clampOf(node, site);
    if (typeof limit === 'string') return undefined;
    bounds = bounds ? compose(bounds, limit.bounds) : limit.bounds;
  }
  return bounds && { x: match.value('x'), bounds };
}

function refusalOf({ x, bounds }: Limit, root: Node, site: Site): { why: string; near: boolean } | undefined {
  const { low, high } = bounds;
  if (low === 0 && high === Number.POSITIVE_INFINITY) return undefined;
  if (!Number.isFinite(low) || !Number.isFinite(high))
    return {
      why: `${root} has one bound only: a Clip with one bound limits the infinity on the other side too`,
      near: false,
    };
  const dtype = site.types.dtypeOf(x) ?? site.types.dtypeOf(root.output());
  if (dtype === 'float64' && site.opset < 12)
    return { why: `ONNX Runtime has no Clip of float64 at opset ${site.opset} (12 has)`, near: true };
  // A function's body is read by the opset of the model, and a Clip of 10 has its bounds as attributes.
  if (site.opset < 11 !== site.model.opset < 11)
    return {
      why: `${root} stands in a function of opset ${site.opset}, and Clip has another form at the model's ${site.model.opset}`,
      near: true,
    };
  return undefined;
}

/** Of a Relu or a Clip. */
function clampOf(node: Node, site: Site): Limit | string {
  const x = node.input(0);
  if (!x) return `${node} has no input`;
  const bounds = boundsOf(node, site.opset);
  return typeof bounds === 'string' ? bounds : { x, bounds };
}

/** Of a Max or Min of one value and one number; a sentence where it is something else. */
function extremeOf(node: Node, site: Site): Limit | string {
  if (site.opset < 6) return `${node} is of opset ${site.opset}`;
  if (node.inputs.length !== 2) return `${node} has ${node.inputs.length} operands`;
  for (const at of [1, 0]) {
    const [value, x] = [node.input(at), node.input(1 - at)];
    const tensor = constantOf(value);
    if (!value || !x || !tensor) continue;
    if (!isFoldable(tensor.dtype)) return `${node} works on ${tensor.dtype}`;
    const number = onlyNumber(tensor);
    if (number === undefined) return `"${value.name}" of ${node} is not one number`;
    const shape = site.types.shapeOf(x);
    if (tensor.shape.length > 0 && !(shape && broadcastsInto(tensor.shape, shape)))
      return `"${value.name}" of shape [${tensor.shape.join(', ')}] may broadcast "${x.name}"`;
    const stated = tensor.shape.length === 0 ? value : undefined;
    const bounds: Bounds =
      node.op === 'Max'
        ? { low: number, high: Number.POSITIVE_INFINITY, lowValue: stated }
        : { low: Number.NEGATIVE_INFINITY, high: number, highValue: stated };
    const checked = interval(node, bounds);
    return typeof checked === 'string' ? checked : { x, bounds: checked };
  }
  const open = node.inputs.find((value) => value?.initializer);
  return open
    ? `"${open.name}" of ${node} is an input too, so a caller may override it`
    : `no operand of ${node} is constant`;
}

/** What all elements of a tensor are. */
function onlyNumber(tensor: Tensor & { readonly dtype: DType }): number | undefined {
  const count = elementCount(tensor.shape);
  if (count === 0 || count > largestBound) return undefined;
  const floats = floatsOf(tensor);
  const first = floats?.[0];
  return first !== undefined && floats?.every((number) => Object.is(number, first)) ? first : undefined;
}
