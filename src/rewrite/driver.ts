/**
 * Drivers: apply a list of rules to a whole model, its subgraphs and its function bodies. Rules are found by root
 * operator, nodes may be inserted and removed while they run, and the cost is linear in the number of nodes: after an
 * edit only its neighbourhood is looked at again.
 */
import type { Graph, Model, Node, Value } from '../ir/graph.ts';
import type { ValueType } from '../ir/types.ts';
import { Edit } from './edit.ts';
import type { Match, Miss } from './match.ts';
import { matchRule, type Rule, RuleIndex, type Site, siteOf, ValueTypes } from './rule.ts';

/** Where hits and misses go; `PassContext` is one. */
export interface Trace {
  applied(rule: string, node: Node | string, detail?: string): void;
  skipped(rule: string, node: Node | string, why: string): void;
}

export interface DriverOptions {
  /** Report every miss, not only the near ones (`explain`). */
  readonly allMisses?: boolean;
  /** Rewrites after which a fixed point is given up; default: 20 for each node, and 1000. */
  readonly bound?: number;
  /** Inferred types, for rules to ask; see `Site.types`. */
  readonly types?: ReadonlyMap<Value, ValueType>;
}

export interface DriverResult {
  readonly changed: boolean;
  /** Number of rewrites done. */
  readonly applied: number;
  /** False when the bound stopped it. */
  readonly converged: boolean;
}

/** One walk over every graph, in order; each rule is tried once at each node, new nodes behind the current one included. */
export function walk(model: Model, rules: readonly Rule[], trace: Trace, options: DriverOptions = {}): DriverResult {
  const run = new Run(model, rules, trace, options);
  for (const graph of model.graphs()) {
    if (isRemoved(graph, model)) continue;
    for (const node of graph.nodes) run.visit(node);
  }
  run.reportMisses();
  return { changed: run.applied > 0, applied: run.applied, converged: true };
}

/**
 * Until no rule matches anywhere. After `bound` rewrites it stops, and says so in the trace: two rules that undo each
 * other must not hang.
 */
export function toFixedPoint(
  model: Model,
  rules: readonly Rule[],
  trace: Trace,
  options: DriverOptions = {},
): DriverResult {
  const run = new Run(model, rules, trace, options);
  const bound = options.bound ?? defaultBound(model);
  for (let before = -1; run.applied > before; ) {
    before = run.applied;
    if (!run.sweep(bound)) {
      run.reportMisses();
      return { changed: true, applied: run.applied, converged: false };
    }
  }
  run.reportMisses();
  return { changed: run.applied > 0, applied: run.applied, converged: true };
}

function defaultBound(model: Model): number {
  let nodes = 0;
  for (const graph of model.graphs()) nodes += graph.nodeCount;
  return 1000 + 20 * nodes;
}

/** The graph belonged to a node that has been removed since. */
function isRemoved(graph: Graph, model: Model): boolean {
  return graph.model !== model;
}

class Run {
  applied = 0;
  #lastRule = '';
  readonly #index: RuleIndex;
  readonly #model: Model;
  readonly #trace: Trace;
  readonly #allMisses: boolean;
  readonly #types: ValueTypes;
  readonly #sites = new Map<Graph, Site>();
  /** Latest miss of each rule at each node: told at the end, so that what another rule mended is not told. */
  readonly #misses = new Map<Node, Map<string, Miss>>();

  constructor(model: Model, rules: readonly Rule[], trace: Trace, options: DriverOptions) {
    this.#model = model;
    this.#index = new RuleIndex(rules);
    this.#trace = trace;
    this.#allMisses = options.allMisses ?? false;
    this.#types = new ValueTypes(options.types);
  }

  /** Every node in order, and behind it the neighbourhood of what changed. @returns false when `bound` was reached. */
  sweep(bound: number): boolean {
    for (const graph of this.#model.graphs()) {
      if (isRemoved(graph, this.#model)) continue;
      for (const start of graph.nodes) {
        const pending = new Set([start]);
        for (const node of pending) {
          pending.delete(node);
          if (node.removed) continue;
          for (const changed of this.visit(node)) pending.add(changed);
          if (this.applied >= bound) {
            const why = `stopped after ${bound} rewrites, of which this rule did the last: rules undo each other`;
            this.#trace.skipped(this.#lastRule, node.removed ? '' : node, why);
            return false;
          }
        }
      }
    }
    return true;
  }

  /** Tries the rules of one node. @returns nodes to look at again. */
  visit(node: Node): Set<Node> {
    const again = new Set<Node>();
    for (const rule of this.#index.at(node)) {
      if (node.removed) break;
      const result = matchRule(rule, node, this.#site(node.graph));
      if ('miss' in result) {
        this.#note(rule, node, result.miss);
        continue;
      }
      const around = surroundings(result.match);
      const edit = new Edit(this.#site(node.graph), rule.id, result.match);
      const applied = rule.apply(result.match, edit);
      if (applied && 'why' in applied) {
        this.#note(rule, node, applied);
        continue;
      }
      this.applied++;
      this.#lastRule = rule.id;
      this.#misses.get(node)?.delete(rule.id);
      // The node that took over the name is the one a reader knows; else the first that came in its place.
      const heir =
        edit.inserted.find((made) => made.name !== '' && made.name === node.name) ?? edit.inserted[0] ?? node;
      this.#trace.applied(rule.id, node.removed && !heir.removed ? heir : node, applied?.detail ?? edit.provenance);
      for (const near of [...around.nodes, ...edit.inserted]) again.add(near);
      for (const value of [...around.values, ...edit.inserted.flatMap((made) => made.outputs)]) {
        if (value) for (const near of nodesAt(value)) again.add(near);
      }
    }
    return again;
  }

  reportMisses(): void {
    for (const [node, byRule] of this.#misses) {
      if (node.removed) continue;
      for (const [rule, miss] of byRule) this.#trace.skipped(rule, node, miss.why);
    }
    this.#misses.clear();
  }

  #note(rule: Rule, node: Node, miss: Miss): void {
    let byRule = this.#misses.get(node);
    if (!miss.near && !this.#allMisses) {
      byRule?.delete(rule.id);
      return;
    }
    if (!byRule) this.#misses.set(node, (byRule = new Map()));
    byRule.set(rule.id, miss);
  }

  #site(graph: Graph): Site {
    let site = this.#sites.get(graph);
    if (!site) this.#sites.set(graph, (site = siteOf(this.#model, graph, this.#types)));
    return site;
  }
}

/** More readers than this of one value are left to the next sweep, which keeps the cost linear. */
const maxReaders = 16;

/** What may match differently once the match has been rewritten; taken before the edit, which releases it. */
function surroundings(match: Match): { nodes: Node[]; values: Value[] } {
  const nodes = [...match.nodes];
  const values: Value[] = [];
  for (const node of match.nodes) {
    for (const value of node.inputs) if (value) values.push(value);
    for (const value of node.outputs) {
      if (!value) continue;
      values.push(value);
      nodes.push(...nodesAt(value));
    }
  }
  return { nodes, values };
}

/** The producer and the first readers of a value. Readers of one and the same input or constant have nothing to do with each other. */
function* nodesAt(value: Value): Generator<Node> {
  if (!value.producer) return;
  yield value.producer;
  let count = 0;
  for (const reader of value.readers) {
    if (++count > maxReaders) return;
    yield reader;
  }
}
