import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { formatBytes } from '../../src/messages.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { constantBytes, judge } from './foldable.ts';
import type { Known } from './known.ts';
import type { Purity } from './purity.ts';

/** Results up to this size always pass the check of the single result. */
const smallResult = 64 * 1024;

/** Operators that give the same elements in another order or shape. */
const rearranging = new Set(['Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity']);

/** A single result may be this large. */
export function isAllowed(bytes: number, madeFrom: number, factor: number): boolean {
  return bytes <= smallResult || bytes <= madeFrom * factor;
}

export function growthSentence(bytes: number, madeFrom: number): string {
  return `its result takes ${formatBytes(bytes)}, made from ${formatBytes(madeFrom)}: the file would grow`;
}

/** How far the constants may still grow, in bytes; shared by all rounds of one run. */
export interface GrowthBudget {
  readonly factor: number;
  left: number;
}

/** Nodes that can be computed now, in order, and those of their values that the rest of the model reads. */
export interface Region {
  readonly nodes: readonly Node[];
  readonly results: readonly Value[];
  /** Bytes by which the constants grow, as far as sizes are known beforehand. */
  readonly growth: number;
  /** Bytes of the constants that each computed value is made from. */
  readonly sources: ReadonlyMap<Value, number>;
}

export const foldRule = 'fold-constant';

/**
 * All nodes that depend on constants alone, less those whose results would make the file grow too much: the largest
 * results are given up first.
 */
export function findRegion(
  model: Model,
  purity: Purity,
  known: Known,
  budget: GrowthBudget,
  failed: ReadonlySet<Node>,
  trace: Trace,
): Region {
  const refused = new Map<Node, string>();
  for (;;) {
    const region = collect(model, purity, known, budget.factor, failed, refused, trace);
    const grown = region.tooLarge ?? excess(region, known, budget);
    if (grown.size === 0) {
      for (const [node, why] of refused) trace.skipped(foldRule, node, why);
      return region;
    }
    for (const [node, why] of grown) refused.set(node, why);
  }
}

interface Candidate extends Region {
  readonly tooLarge: Map<Node, string> | undefined;
}

function collect(
  model: Model,
  purity: Purity,
  known: Known,
  factor: number,
  failed: ReadonlySet<Node>,
  refused: ReadonlyMap<Node, string>,
  trace: Trace,
): Candidate {
  const nodes = new Set<Node>();
  /** Bytes of constants that went into a computed value. */
  const sources = new Map<Value, number>();
  const isConstant = (value: Value) => sources.has(value) || constantOf(value) !== undefined;
  for (const graph of model.graphs()) {
    if (graph.ownerNode && isInside(graph.ownerNode, nodes)) continue;
    for (const node of graph.nodes) {
      if (failed.has(node) || refused.has(node)) continue;
      const verdict = judge(node, isConstant, purity, known);
      if (!verdict.foldable) {
        if (verdict.why) trace.skipped(foldRule, node, verdict.why);
        continue;
      }
      nodes.add(node);
      let bytes = 0;
      for (const value of new Set(node.inputs)) if (value) bytes += sources.get(value) ?? constantBytes(value);
      for (const output of node.outputs) if (output) sources.set(output, bytes);
    }
  }
  return { ...describe(nodes, known), sources, tooLarge: findTooLarge(nodes, sources, known, factor) };
}

function describe(nodes: ReadonlySet<Node>, known: Known): Omit<Region, 'sources'> {
  const results: Value[] = [];
  const freed = new Set<Value>();
  let growth = 0;
  for (const node of nodes) {
    for (const output of node.outputs) {
      if (!output || !isResult(output, nodes)) continue;
      results.push(output);
      growth += known.bytes(output) ?? 0;
    }
    for (const value of node.inputs) {
      if (value && constantOf(value) && !freed.has(value) && !isResult(value, nodes)) {
        freed.add(value);
        growth -= constantBytes(value);
      }
    }
  }
  return { nodes: [...nodes], results, growth };
}

/** Somebody outside reads it. A subgraph of a node inside counts as inside. */
function isResult(value: Value, nodes: ReadonlySet<Node>): boolean {
  if (value.isGraphOutput) return true;
  for (const reader of value.readers) if (!isInside(reader, nodes)) return true;
  return false;
}

function isInside(node: Node, nodes: ReadonlySet<Node>): boolean {
  for (let at: Node | undefined = node; at; at = at.graph.ownerNode) if (nodes.has(at)) return true;
  return false;
}

function findTooLarge(
  nodes: ReadonlySet<Node>,
  sources: ReadonlyMap<Value, number>,
  known: Known,
  factor: number,
): Map<Node, string> | undefined {
  const found = new Map<Node, string>();
  // From the end: what a node that is given up reads is a result then, too.
  const left = new Set(nodes);
  for (const node of [...nodes].reverse()) {
    for (const output of node.outputs) {
      const bytes = output && known.bytes(output);
      if (!output || bytes === undefined || bytes <= smallResult || !isResult(output, left)) continue;
      const made = sources.get(output) ?? 0;
      const tied = tiedTo(output, left);
      if (!isAllowed(bytes, made, factor)) found.set(node, growthSentence(bytes, made));
      else if (tied)
        found.set(node, `it only rearranges "${tied.name}", which is used as it is too: one copy serves both`);
    }
    if (found.has(node)) left.delete(node);
  }
  return found.size > 0 ? found : undefined;
}

/**
 * The constant that a result is a mere rearrangement of, when it stays because others read it: tied weights (an embedding
 * that is the output layer's matrix, transposed) are stored once. Runtimes and later passes look through these operators.
 */
function tiedTo(result: Value, nodes: ReadonlySet<Node>): Value | undefined {
  let source: Value | undefined = result;
  for (let node = source.producer; node && nodes.has(node); node = source?.producer) {
    if (node.domain !== '' || !rearranging.has(node.op)) return undefined;
    source = node.input(0);
  }
  return source && constantOf(source) && isResult(source, nodes) ? source : undefined;
}

/** The results that add most, until what is left fits the budget. */
function excess(region: Region, known: Known, budget: GrowthBudget): Map<Node, string> {
  const found = new Map<Node, string>();
  let over = region.growth - budget.left;
  if (over <= 0) return found;
  const added = addedBytes(region, known);
  const ranked = region.results
    .map((value) => ({ node: value.producer, bytes: known.bytes(value) ?? 0, added: added.get(value) ?? 0 }))
    .sort((a, b) => b.added - a.added || b.bytes - a.bytes);
  for (const { node, bytes, added } of ranked) {
    if (!node || over <= 0 || (added <= 0 && found.size > 0)) break;
    found.set(node, `its result takes ${formatBytes(bytes)}, and folded constants have used up the growth allowed`);
    over -= added;
  }
  return found;
}

/** Bytes of each result less those of the constants that it alone replaces. */
function addedBytes(region: Region, known: Known): Map<Value, number> {
  const inside = new Set(region.nodes);
  const replaced = new Map<Value, number>();
  for (const node of region.nodes) {
    let bytes = 0;
    for (const value of new Set(node.inputs)) {
      if (!value) continue;
      if (replaced.has(value)) bytes += replaced.get(value) ?? 0;
      else if (!isResult(value, inside)) bytes += constantBytes(value);
    }
    for (const output of node.outputs) if (output) replaced.set(output, bytes);
  }
  return new Map(region.results.map((value) => [value, (known.bytes(value) ?? 0) - (replaced.get(value) ?? 0)]));
}
