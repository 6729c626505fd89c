/** Finds x / √(mean(x²) + ε), with and without the mean taken off first, however it is written. */
import { constantScalar } from '../../../src/ir/constant.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import { dtypeFromCode } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Shape } from '../../../src/ir/types.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { listArgument, normalizeAxes } from '../../../src/rewrite/list-argument.ts';
import { type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Site } from '../../../src/rewrite/rule.ts';

/** What was found, up to the normalized value, before any factor. */
export interface Normalized {
  readonly kind: 'layer' | 'rms';
  readonly nodes: Set<Node>;
  /** The value that is normalized. */
  readonly x: Value;
  /** x, where it was cast up before: what the operator may read instead, if its result is cast back. */
  readonly narrow: Value | undefined;
  readonly shape: Shape;
  /** First of the axes that are normalized over: those to the end. */
  readonly axis: number;
  readonly epsilon: number;
  /** The node that makes the normalized value. */
  readonly last: Node;
}

/** @param mean the mean of squares; a ReduceMean. */
export function findNormalized(mean: Node, kind: Normalized['kind'], site: Site): Normalized | Miss {
  const quiet = (why: string): Miss => miss(mean, why, false);
  const nodes = new Set<Node>([mean]);
  const squared = squareOf(mean.input(0), nodes, site);
  if (!squared) return quiet(`${mean} is no mean of squares`);
  const isCentered = subOf(squared) ?? subOf(uncast(squared));
  const shape = site.types.shapeOf(squared);
  if (!shape && (kind === 'layer') !== (isCentered !== undefined)) return quiet('it is the other kind of norm');
  if (!shape) return miss(mean, `the rank of "${squared.name}", whose squares ${mean} averages, is not known`);
  const axes = trailingAxes(mean, shape.length);
  if (typeof axes === 'string') return miss(mean, axes, (kind === 'layer') === (isCentered !== undefined));
  const centered = centeredFrom(squared, shape.length, axes, nodes);
  if ((kind === 'layer') !== (centered !== undefined)) return quiet('it is the other kind of norm');
  const root = inverseRoot(mean, nodes);
  if ('why' in root) return root;
  const last = scaled(root, centered?.base ?? squared, squared, centered, nodes);
  if (!last) {
    const once = usedOnce(root.value);
    if (once !== true) return miss(mean, once);
    const why = `"${root.value.name}", the ${root.inverse ? 'inverse ' : ''}root of the mean square, does not scale "${squared.name}"`;
    return miss(mean, why);
  }
  // Constants of one element may have more dimensions than what they meet.
  if (site.types.shapeOf(last.output())?.length !== shape.length)
    return quiet(`${last} is not known to give the rank of "${squared.name}"`);
  const x = centered?.base ?? squared;
  const cast = x.producer?.is('Cast') && x.producer.graph === mean.graph ? x.producer : undefined;
  return {
    kind,
    nodes,
    x,
    narrow: cast?.input(0),
    shape,
    axis: axes[0] ?? 0,
    epsilon: root.epsilon,
    last,
  };
}

/** d where the value is d², maybe cast up in between: Pow(d, 2) or Mul(d, d). */
function squareOf(value: Value | undefined, nodes: Set<Node>, site: Site): Value | undefined {
  const node = value?.producer;
  if (!node) return undefined;
  const isSquare =
    (node.is('Pow') && constantScalar(node.input(1)) === 2) || (node.is('Mul') && node.input(0) === node.input(1));
  const base = isSquare ? node.input(0) : undefined;
  if (!base || site.opset < 7) return undefined;
  nodes.add(node);
  return base;
}

/** The axes as they stand in the shape, if they are the last ones, and kept as 1. */
function trailingAxes(mean: Node, rank: number): number[] | string {
  if (mean.int('keepdims', 1) !== 1) return `${mean} drops the axes it averages over`;
  const given = listArgument(mean, 'axes', 1);
  if (given === 'dynamic') return `the axes of ${mean} are not constant`;
  const axes = given === 'absent' ? [] : normalizeAxes(given, rank)?.sort((a, b) => a - b);
  if (!axes || axes.length === 0) return `${mean} averages over everything, not over the last axes`;
  if (axes.every((axis, at) => axis === rank - axes.length + at)) return axes;
  return `${mean} averages over axis ${axes.join(', ')} of ${rank}, and LayerNormalization takes the last axes only`;
}

interface Centered {
  readonly base: Value;
  /** x − mean(x) wherever it is computed. */
  is(value: Value | undefined): boolean;
}

/** Strips a Cast to another float type. */
function uncast(value: Value | undefined): Value | undefined {
  return value?.producer?.is('Cast') ? value.producer.input(0) : value;
}

/** x where d = x − mean(x) over the same axes; d may have been cast before it was squared. */
function centeredFrom(d: Value, rank: number, axes: readonly number[], nodes: Set<Node>): Centered | undefined {
  const sub = subOf(d) ?? subOf(uncast(d));
  if (!sub) return undefined;
  const base = sub.input(0);
  const mean = sub.input(1)?.producer;
  if (!base || !isMeanOf(mean, base, rank, axes)) return undefined;
  if (d.producer !== sub && d.producer) nodes.add(d.producer);
  nodes.add(sub);
  nodes.add(mean);
  const is = (value: Value | undefined): boolean => {
    if (value === undefined) return false;
    if (value === sub.output() || value === d) return true;
    const other = subOf(value) ?? subOf(uncast(value));
    const otherMean = other?.input(1)?.producer;
    if (!other || other.input(0) !== base || !isMeanOf(otherMean, base, rank, axes)) return false;
    nodes.add(other);
    nodes.add(otherMean);
    return true;
  };
  return { base, is };
}

const subOf = (value: Value | undefined): Node | undefined => (value?.producer?.is('Sub') ? value.producer : undefined);

function isMeanOf(node: Node | undefined, x: Value, rank: number, axes: readonly number[]): node is Node {
  if (!node?.is('ReduceMean') || node.input(0) !== x || node.int('keepdims', 1) !== 1) return false;
  const given = listArgument(node, 'axes', 1);
  const own = typeof given === 'string' ? undefined : normalizeAxes(given, rank);
  return own?.length === axes.length && axes.every((axis) => own.includes(axis));
}

interface Root {
  readonly value: Value;
  readonly inverse: boolean;
  readonly epsilon: number;
}

/** √(v + ε) or its reciprocal, following the only reader of each value. */
function inverseRoot(mean: Node, nodes: Set<Node>): Root | Miss {
  let value = mean.output();
  let epsilon = 0;
  let reader = onlyReader(value);
  if (reader?.is('Add')) {
    const other = reader.input(0) === value ? reader.input(1) : reader.input(0);
    const constant = constantScalar(other);
    if (constant === undefined || constant < 0)
      return miss(reader, `"${other?.name}", added to the mean square, is not a constant of one element`);
    epsilon = constant;
    nodes.add(reader);
    value = reader.output();
    reader = onlyReader(value);
  }
  const exponent = reader?.is('Pow') && reader.input(0) === value ? constantScalar(reader.input(1)) : undefined;
  if (!reader || !(reader.is('Sqrt') || exponent === 0.5 || exponent === -0.5)) {
    return miss(mean, `no root is taken of "${value.name}", a mean of squares`, false);
  }
  nodes.add(reader);
  value = reader.output();
  let next = onlyReader(value);
  if (next?.is('Cast')) {
    nodes.add(next);
    value = next.output();
    next = onlyReader(value);
  }
  if (exponent === -0.5) return { value, inverse: true, epsilon };
  if (next?.is('Reciprocal')) {
    nodes.add(next);
    return { value: next.output(), inverse: true, epsilon };
  }
  if (next?.is('Add')) {
    return miss(
      next,
      `"${value.name}" has a number added after the root was taken: LayerNormalization adds epsilon before`,
    );
  }
  if (next?.is('Div') && next.input(1) === value && constantScalar(next.input(0)) === 1) {
    nodes.add(next);
    return { value: next.output(), inverse: true, epsilon };
  }
  return { value, inverse: false, epsilon };
}

/** The node that divides x − mean (or x itself) by the root. */
function scaled(
  root: Root,
  x: Value,
  squared: Value,
  centered: Centered | undefined,
  nodes: Set<Node>,
): Node | undefined {
  const reader = onlyReader(root.value);
  if (!reader?.is(root.inverse ? 'Mul' : 'Div')) return undefined;
  const other = reader.input(0) === root.value ? reader.input(1) : reader.input(0);
  if (!root.inverse && reader.input(1) !== root.value) return undefined;
  const fits = centered ? centered.is(other) : other === squared || other === x;
  if (!fits) return undefined;
  nodes.add(reader);
  return reader;
}

/** The element type a Cast gives. */
export const castType = (node: Node | undefined): DType | undefined =>
  node?.is('Cast') ? dtypeFromCode(node.int('to', 0)) : undefined;
