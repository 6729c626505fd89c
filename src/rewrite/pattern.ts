/**
 * Pattern builder. A pattern is plain data that describes a tree of operations ending in one root node:
 *
 *   const pattern = op('Add', [
 *     op('Conv', [any('x'), constant('w'), maybe(constant('b'))], { as: 'conv', once: true }),
 *     constant('c'),
 *   ], { as: 'add' });
 *
 * Building blocks
 *   any(name?)            any present value
 *   constant(name?, …)    a value that is known for sure (initializer nobody can override, Constant node)
 *   maybe(pattern)        an optional input: absent, or matching
 *   absent()              an input that must be missing
 *   op(ops, inputs, …)    the value is made by one of these operators, in the same graph
 *   oneOf(a, b, …)        the first alternative that leads to a whole match
 *
 * The same name used twice must bind the same value. Commutative operators (Add, Mul, …) are tried in both orders.
 * Conditions answer `true` or a sentence that says why not: that sentence is what users read.
 */
import type { Attr } from '../ir/attr.ts';
import type { Node, Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { clampBigInt } from '../ir/tensor.ts';
import type { Match } from './match.ts';

/** `true`, or one sentence saying why not (no leading capital needed, no full stop). */
export type Answer = true | string;

export type InputPattern = AnyPattern | ConstantPattern | MaybePattern | AbsentPattern | OpPattern | OneOfPattern;

export interface AnyPattern {
  readonly kind: 'any';
  readonly name: string | undefined;
  readonly where: ((value: Value, match: Match) => Answer) | undefined;
}

export interface ConstantPattern {
  readonly kind: 'constant';
  readonly name: string | undefined;
  readonly where: ((tensor: Tensor, value: Value, match: Match) => Answer) | undefined;
}

export interface MaybePattern {
  readonly kind: 'maybe';
  readonly pattern: InputPattern;
}

export interface AbsentPattern {
  readonly kind: 'absent';
}

export interface OneOfPattern {
  readonly kind: 'oneOf';
  readonly patterns: readonly InputPattern[];
}

export interface OpPattern {
  readonly kind: 'op';
  /** Operator names, `domain.Op` outside the default domain. */
  readonly ops: readonly string[];
  /** Undefined: whatever inputs the node has. */
  readonly inputs: readonly InputPattern[] | undefined;
  /** Order in which the inputs are looked at: operators last, so that a miss among the others is a miss of this node. */
  readonly order: readonly number[];
  readonly as: string | undefined;
  readonly attrs: Readonly<Record<string, (attr: Attr | undefined) => Answer>>;
  readonly once: boolean;
  readonly output: number;
  readonly where: ((node: Node, match: Match) => Answer) | undefined;
}

export interface OpOptions {
  /** Name under which the node is bound. */
  readonly as?: string;
  /** Predicates on attributes; see `attrIs`. */
  readonly attrs?: Readonly<Record<string, (attr: Attr | undefined) => Answer>>;
  /** The value must have no other reader: no second use, no graph output, no subgraph that captures it. Not for the root. */
  readonly once?: boolean;
  /** Which output of the node the value is (default 0). */
  readonly output?: number;
  /** Further condition, asked after operator and attributes and before the inputs. */
  readonly where?: (node: Node, match: Match) => Answer;
}

export function any(name?: string, where?: AnyPattern['where']): AnyPattern {
  return { kind: 'any', name, where };
}

export function constant(name?: string, where?: ConstantPattern['where']): ConstantPattern {
  return { kind: 'constant', name, where };
}

export function maybe(pattern: InputPattern): MaybePattern {
  return { kind: 'maybe', pattern };
}

export function absent(): AbsentPattern {
  return { kind: 'absent' };
}

export function oneOf(...patterns: readonly InputPattern[]): OneOfPattern {
  return { kind: 'oneOf', patterns };
}

/** @param inputs one pattern per input, trailing `maybe`s may be missing; a node with more inputs does not match. */
export function op(
  ops: string | readonly string[],
  inputs?: readonly InputPattern[],
  options: OpOptions = {},
): OpPattern {
  return {
    kind: 'op',
    ops: typeof ops === 'string' ? [ops] : ops,
    inputs,
    order: inputs ? [...inputs.keys()].sort((a, b) => goesUp(inputs[a]) - goesUp(inputs[b])) : [],
    as: options.as,
    attrs: options.attrs ?? {},
    once: options.once ?? false,
    output: options.output ?? 0,
    where: options.where,
  };
}

/** 1 for patterns that look at the producer of a value. */
function goesUp(pattern: InputPattern | undefined): number {
  if (pattern?.kind === 'maybe') return goesUp(pattern.pattern);
  return pattern?.kind === 'op' || pattern?.kind === 'oneOf' ? 1 : 0;
}

/** Attribute equals `expected`; `fallback` is the operator's default for a missing attribute. */
export function attrIs(
  expected: number | string | readonly number[],
  fallback?: number | string | readonly number[],
): (attr: Attr | undefined) => Answer {
  return (attr) => {
    const actual = attr === undefined ? fallback : plain(attr);
    if (actual !== undefined && JSON.stringify(actual) === JSON.stringify(expected)) return true;
    return `is ${actual === undefined ? 'not given' : JSON.stringify(actual)}, not ${JSON.stringify(expected)}`;
  };
}

function plain(attr: Attr): number | string | readonly number[] | undefined {
  switch (attr.type) {
    case 'int':
      return clampBigInt(attr.value);
    case 'ints':
      return attr.value.map(clampBigInt);
    case 'float':
    case 'floats':
    case 'string':
      return attr.value;
    default:
      return undefined;
  }
}

/** Operators whose two inputs may be exchanged. */
const commutative = new Set([
  'Add',
  'Mul',
  'And',
  'Or',
  'Xor',
  'Equal',
  'Min',
  'Max',
  'Sum',
  'BitwiseAnd',
  'BitwiseOr',
]);

export function commutes(node: Node): boolean {
  return node.domain === '' && commutative.has(node.op) && node.inputs.length === 2;
}

/** `domain.Op`, or `Op` in the default domain: the key of rule indexes and patterns. */
export function opKey(node: Node): string {
  return node.domain ? `${node.domain}.${node.op}` : node.op;
}
