/**
 * Finds attention in its steps: softmax(cap(scale · q·kᵀ) + biases)·v over [batch, heads, length, size]. Matched by structure: where
 * the scale stands, how masks come in, and how k is transposed is up to the exporter.
 */
import { constantNumbers, constantScalar } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Shape } from '../../../src/ir/types.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import { isFinite } from './finite.ts';
import { findKey, type Heads } from './heads.ts';

/** What is added to the scores before the softmax. */
export type Bias =
  /** `value`, times a factor. */
  | { readonly kind: 'add'; readonly value: Value; readonly factor: number }
  /** Where `value` is not `keep`, the score is `fill`, or has it `added`. */
  | {
      readonly kind: 'mask';
      readonly value: Value;
      readonly keep: boolean;
      readonly fill: number;
      readonly added?: boolean;
    };

export interface Core {
  /** Softmax, or the Attention operator. */
  readonly root: Node;
  readonly nodes: Set<Node>;
  readonly q: Heads;
  readonly k: Heads;
  readonly v: Heads;
  readonly scale: number;
  /** c of c · tanh(scores / c), in front of the biases; 0: none. */
  readonly softcap: number;
  readonly biases: readonly Bias[];
  /** Rows in which everything is masked (with -inf) are zero in the result. */
  readonly zeroRows: boolean;
  /** [batch, heads, length, size]. */
  readonly out: Value;
  readonly qShape: Shape;
  readonly kShape: Shape;
  readonly vShape: Shape;
}

/** Below this a masked score is nothing beside the others, even where all of a row are masked. */
const lowestFill = -1e9;

/** The same after it was multiplied with a scale. */
const lowestScaled = -1e6;

/** @returns why it is no attention: `far` where nothing speaks for one. */
export function findCore(softmax: Node, site: Site): Core | { readonly why: string; readonly far?: boolean } {
  const nodes = new Set<Node>([softmax]);
  const { types } = site;
  const scores = softmax.input(0);
  const rank = types.shapeOf(scores)?.length;
  if (rank !== undefined && rank !== 4) return { why: `${softmax} works on ${rank} dimensions, not 4`, far: true };
  const product = findProduct(softmax, nodes);
  if ('why' in product) return product;
  const above = findScores(softmax, nodes, product.guard, site);
  if ('why' in above) return above;
  const { matmul, biases } = above;
  const q = unscaled(matmul.input(0), nodes);
  const transposed = unscaled(matmul.input(1), nodes);
  const k = findKey(transposed.value, nodes, site);
  if ('why' in k) return k;
  const v: Heads = { value: product.v, layout: 'bnsh' };
  const [qShape, vShape] = [types.shapeOf(q.value), types.shapeOf(v.value)];
  const kShape = k.shape;
  const axis = softmax.int('axis', site.opset >= 13 ? -1 : 1);
  if (axis !== -1 && axis !== 3) return { why: `${softmax} works along axis ${axis}, not the last` };
  if (!qShape) return { why: `the rank of the queries "${q.value.name}" is not known` };
  if (!vShape) return { why: `the rank of the values "${v.value.name}" is not known` };
  if (qShape.length !== 4 || vShape.length !== 4 || kShape.length !== 4) {
    return {
      why: `queries, keys and values are of rank ${qShape.length}, ${kShape.length} and ${vShape.length}, not 4`,
    };
  }
  const scale = above.scale * q.factor * transposed.factor;
  const { softcap } = above;
  return {
    root: softmax,
    nodes,
    q: { value: q.value, layout: 'bnsh' },
    k: { value: k.value, layout: k.layout },
    v,
    scale,
    softcap,
    biases,
    zeroRows: above.zeroRows,
    out: product.out,
    qShape,
    kShape,
    vShape,
  };
}

interface Product {
  readonly v: Value;
  readonly out: Value;
  /** Rows of which everything is masked are set to zero. */
  readonly guard: boolean;
}

/** The product of the probabilities and the values, behind Dropout, and behind Where(IsNaN(p), 0, p). */
function findProduct(softmax: Node, nodes: Set<Node>): Product | { readonly why: string; readonly far?: boolean } {
  let p = softmax.output();
  let guard = false;
  const guarded = nanGuard(p, nodes);
  if (guarded) {
    p = guarded;
    guard = true;
  }
  let reader = onlyReader(p);
  // Dropout with a third input may be in training mode.
  while (
    reader &&
    ((reader.is('Dropout') && !reader.input(2)) || reader.is('Identity')) &&
    reader.outputs.length === 1
  ) {
    nodes.add(reader);
    p = reader.output();
    reader = onlyReader(p);
  }
  if (!reader) {
    const used = usedOnce(p);
    const why =
      used === true
        ? `"${p.name}" is not read in its own graph`
        : `the probabilities "${p.name}" are used elsewhere: ${used}`;
    const anyProduct = [...p.readers].some((node) => node.is('MatMul') && node.input(0) === p);
    return { why, far: !anyProduct };
  }
  const v = reader.input(1);
  if (!reader.is('MatMul') || reader.input(0) !== p || !v) {
    return {
      why: `the probabilities "${p.name}" go into ${reader}, not into a product with the values`,
      far: !reader.is('MatMul') && !reader.is('Dropout'),
    };
  }
  nodes.add(reader);
  return { v, out: reader.output(), guard };
}

/** Where(IsNaN(p), 0, p), which PyTorch's exporter puts behind softmax for rows in which everything is masked. */
function nanGuard(p: Value, nodes: Set<Node>): Value | undefined {
  const readers = p.consumers;
  const isNan = readers.find((node) => node.is('IsNaN'));
  const where = readers.find((node) => node.is('Where'));
  if (readers.length !== 2 || !isNan || !where || p.isGraphOutput || onlyReader(isNan.output()) !== where)
    return undefined;
  if (where.input(0) !== isNan.output() || where.input(2) !== p || constantScalar(where.input(1)) !== 0)
    return undefined;
  nodes.add(isNan);
  nodes.add(where);
  return where.output();
}

interface Scores {
  readonly matmul: Node;
  readonly scale: number;
  readonly softcap: number;
  readonly biases: readonly Bias[];
  readonly zeroRows: boolean;
}

/** Goes up from the softmax through scales, biases and masks to q·kᵀ. */
function findScores(
  softmax: Node,
  nodes: Set<Node>,
  guard: boolean,
  site: Site,
): Scores | { readonly why: string; readonly far?: boolean } {
  const biases: Bias[] = [];
  let scale = 1;
  let softcap = 0;
  // Biases that were met when the soft cap was: what comes after them is added in front of it.
  let capped = 0;
  let value = softmax.input(0);
  for (;;) {
    const node = value?.producer;
    if (!node || node.graph !== softmax.graph || node.domain !== '') {
      return { why: `"${value?.name}" in front of ${softmax} is not made from a product`, far: biases.length === 0 };
    }
    if (node.is('MatMul')) {
      nodes.add(node);
      const open = biases.find((bias) => bias.kind === 'add' && !isFinite(bias.value));
      if (guard && open) {
        return {
          why: `rows in which the bias "${open.value.name}" is -inf everywhere become zero, and it is not known to be a mask`,
        };
      }
      const zeroRows = guard && biases.some((bias) => bias.kind === 'mask' && !Number.isFinite(bias.fill));
      if (softcap !== 0 && biases.length > capped)
        return { why: `"${biases.at(-1)?.value.name}" is added in front of the soft cap, and operators add it behind` };
      return {
        matmul: node,
        scale: softcap === 0 ? scale : scale * softcap,
        softcap,
        biases: biases.reverse(),
        zeroRows,
      };
    }
    const once = node === softmax ? true : usedOnce(value as Value);
    if (once !== true)
      return {
        why: `the scores "${value?.name}" are used elsewhere: ${once}`,
        far: biases.length === 0 && scale === 1,
      };
    if (node.is('Tanh')) {
      if (softcap !== 0 || !(scale > 0)) return { why: `${node} is not the one soft cap c · tanh(scores / c), c > 0` };
      nodes.add(node);
      [softcap, scale, capped, value] = [scale, 1, biases.length, node.input(0)];
      continue;
    }
    const next = stepUp(node, scale, site);
    if ('why' in next) return { ...next, far: biases.length === 0 && scale === 1 && !leadsToProduct(value) };
    const { bias } = next;
    // A factor near zero or below it, behind the mask, lets through what was masked.
    if (bias?.kind === 'mask' && !(bias.fill * scale <= lowestScaled))
      return { why: `${node} masks scores with ${bias.fill}, which are multiplied by ${scale} behind it` };
    nodes.add(node);
    if (bias) biases.push(bias);
    scale *= next.factor;
    value = next.value;
  }
}

interface Step {
  readonly value: Value;
  readonly factor: number;
  readonly bias?: Bias;
}

function stepUp(node: Node, scale: number, site: Site): Step | { readonly why: string } {
  const scaled = scaledBy(node);
  if (scaled) return scaled;
  const [a, b] = [node.input(0), node.input(1)];
  if (node.is('Identity') && a) return { value: a, factor: 1 };
  if (node.is('Add') && a && b) {
    const [scores, bias] = leadsToProduct(a) ? [a, b] : [b, a];
    if (!leadsToProduct(scores))
      return {
        why: `neither "${a.name}" nor "${b.name}", added by ${node}, is made from a product of queries and keys`,
      };
    return { value: scores, factor: 1, bias: swallowingMask(bias) ?? { kind: 'add', value: bias, factor: scale } };
  }
  if (node.is('Where')) return maskOf(node, site);
  return { why: `${node} stands between the product of queries and keys and the softmax` };
}

/** Numbers below this swallow any score they are added to. */
const swallowing = -1e30;

/** Where(keep, 0, low) or Where(drop, low, 0), where low swallows what it is added to. */
function swallowingMask(value: Value): Bias | undefined {
  const node = value.producer;
  const condition = node?.is('Where') ? node.input(0) : undefined;
  if (!condition || !node) return undefined;
  const [yes, no] = [constantScalar(node.input(1)), constantScalar(node.input(2))];
  if (yes === 0 && no !== undefined && no < swallowing)
    return { kind: 'mask', value: condition, keep: true, fill: no, added: true };
  if (no === 0 && yes !== undefined && yes < swallowing)
    return { kind: 'mask', value: condition, keep: false, fill: yes, added: true };
  return undefined;
}

/** Where(keep, scores, fill) or Where(drop, fill, scores). */
function maskOf(node: Node, site: Site): Step | { readonly why: string } {
  const [condition, yes, no] = node.inputs;
  const [low, high] = [constantScalar(yes), constantScalar(no)];
  const keep = high !== undefined;
  const fill = keep ? high : low;
  const scores = keep ? yes : no;
  if (!condition || !scores || fill === undefined) return { why: `${node} chooses between two computed values` };
  // A row in which everything is masked is uniform when filled; with a number that small added it is so too.
  if (fill > lowestFill)
    return {
      why: `${node} fills masked scores with ${fill}, which a bias would add instead (${lowestFill} and less are the same)`,
    };
  const rank = site.types.shapeOf(condition)?.length;
  if (rank === undefined) return { why: `the rank of the mask "${condition.name}" is not known` };
  return { value: scores, factor: 1, bias: { kind: 'mask', value: condition, keep, fill } };
}

/** x where the node is x·c, c·x or x/c for a number c. */
function scaledBy(node: Node): Step | undefined {
  const [a, b] = [node.input(0), node.input(1)];
  if (!a || !b || !(node.is('Mul') || node.is('Div'))) return undefined;
  const right = constantScalar(b);
  if (right !== undefined && right !== 0) return { value: a, factor: node.is('Mul') ? right : 1 / right };
  const left = node.is('Mul') ? constantScalar(a) : undefined;
  return left === undefined ? undefined : { value: b, factor: left };
}

const steps = new Set(['Mul', 'Div', 'Add', 'Tanh', 'Identity']);

/** Through scales, sums, masks and a soft cap there is a product, not of a weight. */
function leadsToProduct(value: Value | undefined, depth = 0): boolean {
  const node = value?.producer;
  if (!node || depth > 8) return false;
  if (node.is('MatMul')) return constantNumbers(node.input(1)) === undefined && !node.input(1)?.initializer;
  if (steps.has(node.op) && node.domain === '') {
    return node.inputs.some((input) => leadsToProduct(input, depth + 1));
  }
  return node.is('Where') && node.inputs.slice(1).some((input) => leadsToProduct(input, depth + 1));
}

/** Takes the numbers off that a value was multiplied with. */
function unscaled(value: Value | undefined, nodes: Set<Node>): { readonly value: Value; readonly factor: number } {
  let factor = 1;
  let current = value as Value;
  for (;;) {
    const node = current.producer;
    const step = node && onlyReader(current) ? scaledBy(node) : undefined;
    if (!node || !step) return { value: current, factor };
    nodes.add(node);
    factor *= step.factor;
    current = step.value;
  }
}
