/**
 * Arithmetic around one or two values as a polynomial in them: 0.5·x·(1 + t), however an exporter nests its Add, Mul and
 * Div, is {x: 0.5, x·t: 0.5}. So a formula is recognized by what it says and not by how it is written.
 */
import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Graph, Node, Value } from '../../../src/ir/graph.ts';

/** Coefficients by exponents of the two atoms, `i,j`. Zero terms are left out. */
export type Terms = ReadonlyMap<string, number>;

const largestDegree = 4;
/** Deeper than any formula of one line. */
const deepest = 12;

export const terms = (entries: Readonly<Record<string, number>>): Terms => new Map(Object.entries(entries));

export interface Scope {
  /** The value x, and maybe t, a function of it of the same shape. */
  readonly atoms: readonly Value[];
  /** The operators stand here; the atoms may come from a graph around it. */
  readonly graph: Graph;
  /** Their rank: constants of one element may have as many dimensions without making the result larger. */
  readonly rank: number;
  /** Nodes met on the way are put in here. */
  readonly nodes: Set<Node>;
}

/** What `value` is in terms of the atoms. @returns undefined where it is no such formula. */
export function evaluate(value: Value, scope: Scope, depth = 0): Terms | undefined {
  const at = scope.atoms.indexOf(value);
  if (at >= 0) return terms({ [at === 0 ? '1,0' : '0,1']: 1 });
  if (depth > deepest) return undefined;
  const scalar = constantScalar(value);
  if (scalar !== undefined) {
    return (constantOf(value)?.shape.length ?? 0) <= scope.rank ? constantTerms(scalar) : undefined;
  }
  const node = value.producer;
  if (node?.domain !== '' || node.graph !== scope.graph) return undefined;
  const operand = (index: number): Terms | undefined => {
    const input = node.input(index);
    return input && evaluate(input, scope, depth + 1);
  };
  const result = combine(node, operand);
  if (result) scope.nodes.add(node);
  return result;
}

function combine(node: Node, operand: (index: number) => Terms | undefined): Terms | undefined {
  const a = operand(0);
  if (!a) return undefined;
  switch (node.op) {
    case 'Neg':
      return scale(a, -1);
    case 'Identity':
      return a;
    case 'Sqrt':
    case 'Reciprocal': {
      const number = asConstant(a);
      return number === undefined ? undefined : constantTerms(node.op === 'Sqrt' ? Math.sqrt(number) : 1 / number);
    }
    default:
  }
  if (node.inputs.length !== 2) return undefined;
  const b = operand(1);
  if (!b) return undefined;
  switch (node.op) {
    case 'Add':
      return sum(a, b);
    case 'Sub':
      return sum(a, scale(b, -1));
    case 'Mul':
      return product(a, b);
    case 'Div': {
      const divisor = asConstant(b);
      return divisor ? scale(a, 1 / divisor) : undefined;
    }
    case 'Pow':
      return power(a, asConstant(b));
    default:
      return undefined;
  }
}

const constantTerms = (value: number): Terms => (value === 0 ? new Map() : terms({ '0,0': value }));

function asConstant(a: Terms): number | undefined {
  if (a.size === 0) return 0;
  return a.size === 1 ? a.get('0,0') : undefined;
}

function scale(a: Terms, factor: number): Terms {
  return new Map([...a].map(([key, value]) => [key, value * factor]));
}

function sum(a: Terms, b: Terms): Terms {
  const result = new Map(a);
  for (const [key, value] of b) result.set(key, (result.get(key) ?? 0) + value);
  for (const [key, value] of result) if (value === 0) result.delete(key);
  return result;
}

function product(a: Terms, b: Terms): Terms | undefined {
  const result = new Map<string, number>();
  for (const [left, x] of a) {
    for (const [right, y] of b) {
      const [i = 0, j = 0] = left.split(',').map(Number);
      const [k = 0, l = 0] = right.split(',').map(Number);
      if (i + k > largestDegree || j + l > largestDegree) return undefined;
      const key = `${i + k},${j + l}`;
      result.set(key, (result.get(key) ?? 0) + x * y);
    }
  }
  return result;
}

function power(a: Terms, exponent: number | undefined): Terms | undefined {
  if (exponent === undefined || !Number.isInteger(exponent) || exponent < 1 || exponent > largestDegree)
    return undefined;
  let result: Terms | undefined = a;
  for (let at = 1; at < exponent && result; at++) result = product(result, a);
  return result;
}

/** Written constants have as few as six digits (`0.797885`), and three in half precision. */
export function sameTerms(actual: Terms | undefined, expected: Terms, tolerance: number): boolean {
  if (!actual || actual.size !== expected.size) return false;
  for (const [key, value] of expected) {
    const found = actual.get(key);
    if (found === undefined || Math.abs(found - value) > tolerance * Math.abs(value)) return false;
  }
  return true;
}
