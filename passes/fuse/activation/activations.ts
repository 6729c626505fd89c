import type { Node, Value } from '../../../src/ir/graph.ts';
import { clusterMatch, onlyReader, usedInside } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import { insertableOpset, type Rule, type Site } from '../../../src/rewrite/rule.ts';
import { isFoldable } from '../floats.ts';
import type { FusionTarget } from '../target.ts';
import { evaluate, sameTerms, type Terms } from './expression.ts';
import { type Formula, formulas, type Made } from './formulas.ts';

/** Nodes between an activation's inner function and its result. */
const longest = 8;
/** How far above the inner function its argument may lie, and how many values are tried. */
const highest = 5;
const mostCandidates = 16;

/** One rule for each formula of `formulas.ts`: found from its inner function (Erf, Tanh, Sigmoid, …). */
export function activationRules(target: FusionTarget): Rule[] {
  return formulas.map((formula) => ({
    id: formula.id,
    summary: formula.summary,
    ops: formula.inner,
    find: (node, site) => find(formula, node, site, target),
    apply(match, edit) {
      const parameter = parameterOf(match, formula, edit);
      const dtype = edit.types.dtypeOf(match.value('x'));
      const made = formula.make({ target, opset: insertableOpset(edit), dtype, parameter });
      insert(made, match, edit);
      return undefined;
    },
  }));
}

function insert(made: Made, match: Match, edit: Edit): void {
  if (made.domain) edit.importDomain(made.domain);
  const { op, domain = '', attrs = {} } = made;
  const fused = edit.insert(op, { domain, attrs, inputs: [match.value('x')] });
  fused.name = match.root.name;
  edit.replace(match.root, fused);
}

/** A formula's own number (alpha), read again from the match. */
function parameterOf(match: Match, formula: Formula, site: Site): number {
  const inner = match.value('t').producer as Node;
  return argument(formula, inner, match.value('x'), site)?.parameter ?? 1;
}

function find(formula: Formula, inner: Node, site: Site, target: FusionTarget): Match | Miss {
  const quiet = (why: string): Miss => miss(inner, why, false);
  if (inner.domain !== '' || site.opset < 7) return quiet(`${inner} is of an opset that broadcasts by attributes`);
  const accepted = formula.accepts?.(inner) ?? true;
  if (!accepted) return quiet(`${inner} has other limits than ${formula.name}`);
  const t = inner.output();
  const dtype = site.types.dtypeOf(t);
  if (dtype && !isFoldable(dtype)) return quiet(`${inner} computes in ${dtype}`);
  let nearest: string | undefined;
  for (const x of candidates(inner.input(0), inner)) {
    const found = argument(formula, inner, x, site);
    if (!found) continue;
    const last = follow(formula, t, x, site, found.nodes);
    if (typeof last === 'string') {
      nearest ??= last;
      continue;
    }
    const available = formula.available(target, insertableOpset(site), dtype);
    if (available !== true)
      return miss(
        last,
        available,
        target.isRuntime || available.includes('--opset') || available.includes('no kernel'),
      );
    const free = usedInside(found.nodes, last);
    if (free !== true) return miss(last, `it is ${formula.name} of "${x.name}", but ${free}`);
    return clusterMatch(found.nodes, last, { x, t });
  }
  if (nearest !== undefined) return miss(inner, nearest, formula.telling ?? false);
  return quiet(`the argument of ${inner} is not that of ${formula.name}`);
}

/** The values that `inner` may be a function of: its argument and what that is made of, nearest first. */
function candidates(argument: Value | undefined, inner: Node): Value[] {
  let level = argument ? [argument] : [];
  const found = new Set<Value>();
  for (let height = 0; height <= highest && level.length > 0 && found.size < mostCandidates; height++) {
    const above: Value[] = [];
    for (const value of level) {
      if (found.has(value) || value.initializer || value.producer?.is('Constant')) continue;
      found.add(value);
      const { producer } = value;
      if (producer && !producer.removed && producer.graph === inner.graph) {
        for (const input of producer.inputs) if (input) above.push(input);
      }
    }
    level = above;
  }
  return [...found].slice(0, mostCandidates);
}

interface Argument {
  readonly nodes: Set<Node>;
  readonly parameter: number | undefined;
}

/** Whether `inner` is the formula's inner function of `x`. */
function argument(formula: Formula, inner: Node, x: Value, site: Site): Argument | undefined {
  const nodes = new Set<Node>([inner]);
  let from = inner.input(0);
  if (formula.between && from) {
    const node = from.producer;
    if (!node?.is(formula.between) || node.graph !== inner.graph) return undefined;
    nodes.add(node);
    from = node.input(0);
  }
  if (!from) return undefined;
  const actual = evaluate(from, { atoms: [x], graph: inner.graph, rank: rankOf(x, site), nodes });
  if (!actual) return undefined;
  if (formula.argument === 'any multiple') {
    const factor = actual.size === 1 ? actual.get('1,0') : undefined;
    return factor === undefined ? undefined : { nodes, parameter: factor };
  }
  const same = sameTerms(actual, formula.argument, tolerance(x, site));
  return same ? { nodes, parameter: undefined } : undefined;
}

/** Goes down from `t` to the value that is the whole formula. @returns its node, or why there is none. */
function follow(formula: Formula, t: Value, x: Value, site: Site, nodes: Set<Node>): Node | string {
  const own = [...nodes];
  let value = t;
  for (let step = 0; step < longest; step++) {
    const reader = onlyReader(value);
    const next = reader?.outputs.length === 1 ? reader.outputs[0] : undefined;
    if (!reader || !next) break;
    const used = new Set<Node>(own);
    const actual = evaluate(next, { atoms: [x, t], graph: t.graph, rank: rankOf(x, site), nodes: used });
    if (!actual) break;
    const expected: Terms = formula.result;
    if (sameTerms(actual, expected, tolerance(x, site))) {
      for (const node of used) nodes.add(node);
      return reader;
    }
    value = next;
  }
  return `what is made of "${t.name}" is not ${formula.name}, which is ${formula.text}`;
}

/** Half precision holds three digits of a constant. */
function tolerance(x: Value, { types }: Site): number {
  return types.dtypeOf(x) === 'float16' ? 1e-3 : 1e-5;
}

function rankOf(x: Value, { types }: Site): number {
  return types.shapeOf(x)?.length ?? 0;
}
