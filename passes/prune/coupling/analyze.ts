import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import { type Axis, Book, type Slot } from './book.ts';
import { canCut } from './cut.ts';
import { type Group, groupsOf } from './groups.ts';
import { tell } from './rules/table.ts';
import { type Adjust, Site } from './site.ts';
import { Union } from './union.ts';

/** A layer whose channels have to stay, and why. */
export interface StuckLayer {
  readonly node: Node;
  readonly why: string;
}

/** Which channels of a model go together, and what has to change when they go. */
export interface Coupling {
  readonly model: Model;
  readonly book: Book;
  readonly union: Union;
  readonly groups: readonly Group[];
  readonly stuck: readonly StuckLayer[];
  readonly adjusts: readonly Adjust[];
  /** Slots of the inputs and outputs of a node, as its rule saw them. */
  readonly slotsOf: (node: Node) => Site;
}

export interface CouplingOptions {
  /** Nodes whose channels stay. */
  readonly isKept?: (node: Node) => boolean;
}

/**
 * Reads how channels of the main graph hang together. The model is put in topological order and stays as it is else.
 * An operator without a rule keeps all axes around it whole, and is named as the reason.
 */
export function analyzeCoupling(model: Model, options: CouplingOptions = {}): Coupling {
  sortTopologically(model.graph);
  const first = read(model, options, new Set());
  // Grouped convolutions lose whole groups or the same places of each; where the better way leads nowhere, the other may.
  const stuckGroups = new Set(first.stuck.filter(({ node }) => isGrouped(node)).map(({ node }) => node));
  if (stuckGroups.size === 0) return first;
  const second = read(model, options, stuckGroups);
  const better =
    second.groups.reduce((sum, group) => sum + group.size, 0) >
    first.groups.reduce((sum, group) => sum + group.size, 0);
  return better ? second : first;
}

function isGrouped(node: Node): boolean {
  return node.is('Conv') && node.int('group', 1) > 1;
}

function read(model: Model, options: CouplingOptions, flipped: ReadonlySet<Node>): Coupling {
  const inferred = inferShapes(model, { write: false });
  const book = new Book();
  const sites = new Map<Node, Site>();
  for (const node of model.graph.nodes) {
    const site = new Site(node, model.opset, book, inferred, flipped.has(node));
    sites.set(node, site);
    tell(site);
    if (options.isKept?.(node)) site.blockAll('you asked for it to stay as it is (--keep)');
  }
  blockBorders(model, book);
  const union = new Union(book);
  const slotsOf = (node: Node): Site => sites.get(node) as Site;
  const groups = groupsOf(book, union);
  return {
    model,
    book,
    union,
    groups,
    stuck: stuckLayers(book, union),
    adjusts: [...sites.values()].flatMap((site) => site.adjusts),
    slotsOf,
  };
}

/** What callers see stays: inputs, outputs, weights that they may replace, and what subgraphs read. */
function blockBorders(model: Model, book: Book): void {
  for (const slot of book.allSlots()) {
    const why = borderReason(slot, model);
    if (why) for (const axis of slot.axes) book.blocks.push({ axis, why, silent: false, position: undefined });
  }
}

function borderReason({ value }: Slot, model: Model): string | undefined {
  if (!value) return undefined;
  const constant = constantOf(value);
  if (constant && !canCut(constant)) return `"${value.name}" is ${constant.dtype}: prune before quantizing`;
  if (value.isGraphOutput) return `it feeds the graph output "${value.name}"`;
  if (value.isGraphInput && !constant)
    return value.initializer
      ? `"${value.name}" is a graph input too, so a caller may replace it: make it a plain initializer`
      : `it comes from the graph input "${value.name}"`;
  for (const reader of value.readers)
    if (reader.graph !== model.graph) return `"${value.name}" is read inside a subgraph, by ${reader}`;
  return undefined;
}

/** Layers with weights none of whose channels can go. */
function stuckLayers(book: Book, union: Union): StuckLayer[] {
  const stuck = new Map<Node, string>();
  for (const axis of book.axes) {
    const { extent } = axis;
    if (extent === undefined || extent < 2) continue;
    for (const { node, role } of axis.roles) {
      if (role !== 'out' || stuck.has(node)) continue;
      const why = stuckReason(axis, union);
      if (why) stuck.set(node, why);
    }
  }
  return [...stuck].map(([node, why]) => ({ node, why }));
}

function stuckReason(axis: Axis, union: Union): string | undefined {
  const roots = new Set<number>();
  for (let p = 0; p < (axis.extent ?? 0); p++) roots.add(union.at(axis, p));
  if ([...roots].every((root) => union.blockOf(root))) return union.reasonFor(axis)?.why;
  return roots.size === 1 ? 'all of its channels hang together: none can go without the others' : undefined;
}
