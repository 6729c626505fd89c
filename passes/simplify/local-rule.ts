import type { Node, Value } from '../../src/ir/graph.ts';
import type { Edit } from '../../src/rewrite/edit.ts';
import { type Miss, miss } from '../../src/rewrite/match.ts';
import type { Applied, Rule, Site } from '../../src/rewrite/rule.ts';
import type { Known } from './known.ts';

/** What a rule makes of one node; undefined: nothing to see here. */
export type Plan =
  | undefined
  /** It looked like a case, but is none: a sentence for the user. */
  | { readonly why: string }
  /** Output 0 is this value: its readers read it directly, and the node goes. */
  | { readonly bypass: Value }
  /** A node that gives the same as output 0: made by `make` in front of it, then put in its place. */
  | { readonly detail?: string; make(edit: Edit): Node };

/** A rule about one node and what stands around it, before it knows the model. */
export interface LocalRule {
  readonly id: string;
  readonly summary: string;
  readonly ops: readonly string[];
  plan(node: Node, known: Known, site: Site): Plan;
}

export function localRule(id: string, summary: string, ops: readonly string[], plan: LocalRule['plan']): LocalRule {
  return { id, summary, ops, plan };
}

/** The rule for one model, by what is known of its values. */
export function bindRule(rule: LocalRule, known: Known): Rule {
  return {
    id: rule.id,
    summary: rule.summary,
    ops: rule.ops,
    apply(match, edit) {
      const node = match.root;
      const plan = rule.plan(node, known, edit);
      if (!plan) return nothing(node);
      if ('why' in plan) return miss(node, plan.why);
      if ('bypass' in plan) return bypass(node, plan.bypass, known, edit);
      const made = plan.make(edit);
      known.note(made.output(), node.output());
      edit.replace(node, made);
      return plan.detail ? { detail: plan.detail } : undefined;
    },
  };
}

const nothing = (node: Node): Miss => miss(node, '', false);

/**
 * Output 0 of `node` gives way to `value`. A graph output must be made by a node of its graph under its own name, so
 * where `value` cannot take the name over, an Identity does (and an Identity stays).
 */
function bypass(node: Node, value: Value, known: Known, edit: Edit): Applied {
  const output = node.output();
  if (output.isGraphOutput) {
    const { graph } = node;
    const own = graph.outputs.filter((other) => other === output).length;
    if (own < output.outputCount) return miss(node, `"${output.name}" is an output of a subgraph too`);
    const movable = own === 1 && value.producer !== undefined && value.graph === graph && !value.isGraphOutput;
    if (!movable) {
      if (node.is('Identity')) {
        return miss(node, `it gives the graph output "${output.name}" its name: ${whyNotRenamed(value, node)}`);
      }
      const carrier = edit.insert('Identity', { inputs: [value], types: [output.type ?? value.type] });
      known.note(carrier.output(), value);
      edit.replace(node, carrier);
      return { detail: 'Identity' };
    }
  }
  value.type ??= output.type;
  node.graph.replaceUses(output, value);
  node.graph.removeWithUnused(node);
  return undefined;
}

function whyNotRenamed(value: Value, node: Node): string {
  if (value.graph !== node.graph) return `"${value.name}" comes from the graph around`;
  if (value.isGraphInput) return `"${value.name}" is a graph input`;
  if (!value.producer) return `"${value.name}" is a constant`;
  return `"${value.name}" is a graph output itself`;
}
