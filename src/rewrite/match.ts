import { bug } from '../errors.ts';
import { constantOf } from '../ir/constant.ts';
import type { Node, Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { usedOnce } from './conditions.ts';
import { commutes, type InputPattern, type OpPattern, opKey } from './pattern.ts';

/** What a pattern bound. */
export class Match {
  readonly root: Node;
  /** Matched nodes, root first. */
  readonly nodes: readonly Node[];
  readonly #values: ReadonlyMap<string, Value>;
  readonly #named: ReadonlyMap<string, Node>;

  constructor(
    root: Node,
    nodes: readonly Node[],
    values: ReadonlyMap<string, Value>,
    named: ReadonlyMap<string, Node>,
  ) {
    this.root = root;
    this.nodes = nodes;
    this.#values = values;
    this.#named = named;
  }
  has(name: string): boolean {
    return this.#values.has(name) || this.#named.has(name);
  }
  /** @throws BugError when the pattern binds no such value (optional inputs: ask `maybeValue`). */
  value(name: string): Value {
    return this.#values.get(name) ?? bug(`pattern binds no value "${name}"`);
  }
  maybeValue(name: string): Value | undefined {
    return this.#values.get(name);
  }
  /** @throws BugError when the pattern binds no such node. */
  node(name: string): Node {
    return this.#named.get(name) ?? bug(`pattern binds no node "${name}"`);
  }
  /** Data of a value bound by `constant(name)`. */
  tensor(name: string): Tensor {
    return constantOf(this.value(name)) ?? bug(`"${name}" is bound to no constant`);
  }
  maybeTensor(name: string): Tensor | undefined {
    return constantOf(this.#values.get(name));
  }
  /** @internal one more node, or undefined when the name is taken by another one */
  withNode(node: Node, name: string | undefined): Match | undefined {
    const named = bind(this.#named, name, node);
    return named && new Match(this.root, [...this.nodes, node], this.#values, named);
  }
  /** @internal one more value, or undefined when the name is taken by another one */
  withValue(value: Value, name: string | undefined): Match | undefined {
    if (name === undefined) return this;
    const values = bind(this.#values, name, value);
    return values && new Match(this.root, this.nodes, values, this.#named);
  }
}

function bind<T>(map: ReadonlyMap<string, T>, name: string | undefined, item: T): ReadonlyMap<string, T> | undefined {
  if (name === undefined) return map;
  const bound = map.get(name);
  if (bound === undefined) return new Map(map).set(name, item);
  return bound === item ? map : undefined;
}

/** Why there is no match: the deepest condition that failed. */
export interface Miss {
  readonly why: string;
  readonly at: Node;
  /** Number of operators that had matched. */
  readonly depth: number;
  /** Worth telling a user without being asked. */
  readonly near: boolean;
}

export type MatchResult = { readonly match: Match } | { readonly miss: Miss };

/** A miss from inside a rule: reported (`near`) although the pattern alone would not say so, or quiet although it would. */
export function miss(at: Node, why: string, near = true): Miss {
  return { why, at, depth: near ? 2 : 1, near };
}

/** Matches `pattern` with `root` as its last node: the bindings, or the sentence that says why not. */
export function matchNode(pattern: OpPattern, root: Node): MatchResult {
  const matcher = new Matcher(root);
  const { value: found } = matcher.solve(pattern).next();
  if (found) return { match: found };
  return { miss: matcher.deepest ?? { why: `${root} does not match`, at: root, depth: 0, near: false } };
}

class Matcher {
  deepest: Miss | undefined;
  readonly #root: Node;

  constructor(root: Node) {
    this.#root = root;
  }

  solve(pattern: OpPattern): Generator<Match, undefined> {
    return this.#node(pattern, this.#root, new Match(this.#root, [], new Map(), new Map()), undefined);
  }

  /** Records a failed condition; yields nothing. */
  #fail(state: Match, at: Node, why: string): undefined {
    const depth = state.nodes.length;
    if (this.deepest && this.deepest.depth >= depth) return undefined;
    this.deepest = { why, at, depth, near: depth >= 2 };
    return undefined;
  }

  *#node(pattern: OpPattern, node: Node, before: Match, value: Value | undefined): Generator<Match, undefined> {
    if (!pattern.ops.includes(opKey(node))) {
      return this.#fail(before, node, `${node} is no ${pattern.ops.join(' or ')}`);
    }
    const state = before.withNode(node, pattern.as);
    if (!state) return this.#fail(before, node, `${node} is not the node met before as ${pattern.as}`);
    for (const [name, attr] of node.attrs) {
      if (attr.type === 'ref')
        return this.#fail(state, node, `attribute ${name} of ${node} comes from the function's caller`);
    }
    if (pattern.once && value) {
      const once = usedOnce(value);
      if (once !== true) return this.#fail(state, node, once);
      const other = node.outputs.find((output) => output && output !== value && output.isUsed);
      if (other) return this.#fail(state, node, `output "${other.name}" of ${node} is used too`);
    }
    for (const [name, holds] of Object.entries(pattern.attrs)) {
      const answer = holds(node.attr(name));
      if (answer !== true) return this.#fail(state, node, `attribute ${name} of ${node} ${answer}`);
    }
    if (pattern.where) {
      const answer = pattern.where(node, state);
      if (answer !== true) return this.#fail(state, node, answer);
    }
    const { inputs } = pattern;
    if (!inputs) {
      yield state;
      return;
    }
    if (node.inputs.length > inputs.length) {
      return this.#fail(
        state,
        node,
        `${node} has ${node.inputs.length} inputs, more than the ${inputs.length} that are understood`,
      );
    }
    yield* this.#inputs(pattern, node, node.inputs, 0, state);
    const [a, b] = node.inputs;
    if (inputs.length === 2 && a !== b && commutes(node)) yield* this.#inputs(pattern, node, [b, a], 0, state);
  }

  /** Input number `position` in the pattern's order, and those behind it. */
  *#inputs(
    parent: OpPattern,
    node: Node,
    values: readonly (Value | undefined)[],
    position: number,
    state: Match,
  ): Generator<Match, undefined> {
    const index = parent.order[position];
    const pattern = index === undefined ? undefined : parent.inputs?.[index];
    if (index === undefined || !pattern) {
      yield state;
      return;
    }
    for (const next of this.#input(pattern, node, values[index], index, state)) {
      yield* this.#inputs(parent, node, values, position + 1, next);
    }
  }

  *#input(
    pattern: InputPattern,
    node: Node,
    value: Value | undefined,
    index: number,
    state: Match,
  ): Generator<Match, undefined> {
    switch (pattern.kind) {
      case 'maybe':
        if (value) yield* this.#input(pattern.pattern, node, value, index, state);
        else yield state;
        return;
      case 'absent':
        if (value) this.#fail(state, node, `${node} has an input "${value.name}" that must be absent`);
        else yield state;
        return;
      case 'oneOf':
        for (const alternative of pattern.patterns) yield* this.#input(alternative, node, value, index, state);
        return;
      default:
    }
    if (!value) return this.#fail(state, node, `${node} has no input ${index}`);
    if (pattern.kind === 'any') {
      const bound = state.withValue(value, pattern.name);
      if (!bound) return this.#fail(state, node, otherValue(value, node));
      const answer = pattern.where?.(value, bound) ?? true;
      if (answer !== true) return this.#fail(state, node, answer);
      yield bound;
      return;
    }
    if (pattern.kind === 'constant') {
      const tensor = constantOf(value);
      if (!tensor) return this.#fail(state, node, notConstant(value, node));
      const bound = state.withValue(value, pattern.name);
      if (!bound) return this.#fail(state, node, otherValue(value, node));
      const answer = pattern.where?.(tensor, value, bound) ?? true;
      if (answer !== true) return this.#fail(state, node, answer);
      yield bound;
      return;
    }
    const { producer } = value;
    if (!producer) {
      return this.#fail(state, node, `"${value.name}", read by ${node}, is not made by ${pattern.ops.join(' or ')}`);
    }
    if (producer.outputs[pattern.output] !== value) {
      return this.#fail(state, node, `"${value.name}" is output ${value.outputIndex} of ${producer}`);
    }
    if (producer.graph !== node.graph) {
      return this.#fail(state, node, `"${value.name}" comes from outside the subgraph of ${node}`);
    }
    yield* this.#node(pattern, producer, state, value);
  }
}

function otherValue(value: Value, node: Node): string {
  return `"${value.name}", read by ${node}, is not the value read elsewhere in the pattern`;
}

function notConstant(value: Value, node: Node): string {
  if (value.initializer) return `"${value.name}", read by ${node}, is a graph input that a caller may override`;
  return `"${value.name}", read by ${node}, is not constant`;
}
