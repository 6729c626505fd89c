/**
 * A rule: where it looks, what must hold, what it does. A pass is a list of rules given to a driver (driver.ts).
 *
 *   export const reluClip: Rule = {
 *     id: 'relu-clip',
 *     ops: ['Clip'],                                  // root operators, for the driver's index
 *     pattern: op('Clip', [op('Relu', [any('x')], { once: true }), …]),
 *     check: (match, at) => at.opset >= 11 || `Clip of opset ${at.opset} …`,
 *     apply(match, edit) {
 *       const clip = edit.insert('Clip', { inputs: [match.value('x'), …], attrs });
 *       edit.replace(match.root, clip);               // keeps the name of the last output, removes what is unused
 *     },
 *   };
 *
 * Where a tree of operators is not enough, `find` looks around itself and gives the match. `pattern` and `check` are both
 * optional. Without a pattern, `check` sees only `match.root`; its plain sentences are
 * quiet misses then, and `miss(node, why)` makes one that is reported. With a pattern of two or more operators every
 * plain sentence is a near miss. `apply` may still refuse by returning a sentence or `miss(…)`, before it edits anything.
 */
import { constantOf } from '../ir/constant.ts';
import type { DType } from '../ir/dtype.ts';
import type { Graph, Model, Node, Value } from '../ir/graph.ts';
import type { Shape, ValueType } from '../ir/types.ts';
import type { Edit } from './edit.ts';
import { Match, type Miss, matchNode, miss } from './match.ts';
import { type Answer, type OpPattern, opKey } from './pattern.ts';

/** Where a rule is being tried. */
export interface Site {
  readonly model: Model;
  readonly graph: Graph;
  /** Opset of the default domain in force in this graph (function bodies have their own). */
  readonly opset: number;
  /** Opsets of all domains in force. */
  readonly opsets: ReadonlyMap<string, number>;
  /** What is known of the values of the model, found by inference and kept up to date by `Edit.replace`. */
  readonly types: ValueTypes;
}

/**
 * Newest opset of the default domain whose operators may be inserted at a site: ONNX Runtime inlines a function into the model
 * and reads its body by the model's opset.
 */
export const insertableOpset = (site: Pick<Site, 'opset' | 'model'>): number => Math.min(site.opset, site.model.opset);

/** Types of values: inferred where they were, else declared, else those of the constant. Writes nothing into the model. */
export class ValueTypes {
  readonly #inferred: Map<Value, ValueType>;

  constructor(inferred: ReadonlyMap<Value, ValueType> = new Map()) {
    this.#inferred = new Map(inferred);
  }
  typeOf(value: Value | undefined): ValueType | undefined {
    return value && (this.#inferred.get(value) ?? value.type);
  }
  dtypeOf(value: Value | undefined): DType | undefined {
    const type = this.typeOf(value);
    return type?.kind === 'tensor' ? type.dtype : constantOf(value)?.dtype;
  }
  shapeOf(value: Value | undefined): Shape | undefined {
    const type = this.typeOf(value);
    return (type?.kind === 'tensor' ? type.shape : undefined) ?? constantOf(value)?.shape;
  }
  /** Of a value that a rule made, so that others see it before the next inference. */
  learn(value: Value, type: ValueType): void {
    this.#inferred.set(value, type);
  }
  /** `to` is what `from` was. */
  carry(from: Value, to: Value): void {
    const type = this.#inferred.get(from);
    if (type) this.#inferred.set(to, type);
  }
}

/** What `apply` did: nothing to add, a short phrase for the trace, or a refusal (made with `miss`). */
export type Applied = undefined | void | { readonly detail: string } | Miss;

export interface Rule {
  /** Name that the trace, reports and `explain` show. */
  readonly id: string;
  /** One line: what it does. */
  readonly summary: string;
  /** Root operators (`domain.Op` outside the default domain); `*` for all. */
  readonly ops: readonly string[];
  readonly pattern?: OpPattern;
  /** The pattern is so common in parts that its misses are told only when asked for; those of `check` and `apply` are not. */
  readonly quiet?: boolean;
  /** In place of a pattern: finds what belongs to `node` by any means. Its match may end at another node than `node`. */
  find?(node: Node, site: Site): Match | Miss;
  check?(match: Match, site: Site): Answer | Miss;
  /** Edits the graph. Returning a Miss says that nothing was changed. */
  apply(match: Match, edit: Edit): Applied;
}

/** The opsets in force in `graph` are those of the function whose body it is, else the model's. */
export function siteOf(model: Model, graph: Graph, types = new ValueTypes()): Site {
  const { root } = graph;
  const opsets = model.functions.find((fn) => fn.body === root)?.opsets ?? model.opsets;
  return { model, graph, opset: opsets.get('') ?? 1, opsets, types };
}

/** Tries one rule at one node without editing: the match, or why not. */
export function matchRule(rule: Rule, node: Node, site: Site): { readonly match: Match } | { readonly miss: Miss } {
  let match: Match;
  if (rule.pattern) {
    const result = matchNode(rule.pattern, node);
    if ('miss' in result) return rule.quiet ? { miss: { ...result.miss, near: false } } : result;
    match = result.match;
  } else {
    const found = rule.find?.(node, site) ?? new Match(node, [node], new Map(), new Map());
    if (!(found instanceof Match)) return { miss: found };
    for (const matched of found.nodes) {
      for (const [name, attr] of matched.attrs) {
        if (attr.type !== 'ref') continue;
        return {
          miss: miss(node, `attribute ${name} of ${matched} comes from the function's caller`, rule.find !== undefined),
        };
      }
    }
    match = found;
  }
  const answer = rule.check?.(match, site) ?? true;
  if (answer === true) return { match };
  if (typeof answer !== 'string') return { miss: answer };
  return { miss: { why: answer, at: node, depth: match.nodes.length, near: match.nodes.length >= 2 } };
}

/** Rules by root operator. */
export class RuleIndex {
  readonly #byOp = new Map<string, Rule[]>();
  readonly #all: readonly Rule[];

  constructor(rules: readonly Rule[]) {
    this.#all = rules.filter((rule) => rule.ops.includes('*'));
    const keys = new Set(rules.flatMap((rule) => rule.ops));
    for (const key of keys) {
      this.#byOp.set(
        key,
        rules.filter((rule) => rule.ops.includes(key) || rule.ops.includes('*')),
      );
    }
  }
  /** Rules that may match at `node`, in the order given. */
  at(node: Node): readonly Rule[] {
    return this.#byOp.get(opKey(node)) ?? this.#all;
  }
}
