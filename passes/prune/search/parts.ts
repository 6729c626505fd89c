import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import { isKept } from '../../../src/rewrite/keep.ts';
import { type Block, residualBlocks } from '../blocks.ts';
import type { Candidate } from '../channels/choose.ts';
import { isHeads, orderGroups } from '../channels/plan.ts';
import { analyzeCoupling, type Coupling } from '../coupling/analyze.ts';
import { removeUnits } from '../coupling/apply.ts';
import { type Group, layersOf } from '../coupling/groups.ts';
import { leaveOut, removeDead } from '../leave-out.ts';
import { type Narrowed, narrowedBy } from '../repair/repair.ts';

/** What of a model can go. */
export interface Parts {
  readonly coupling: Coupling;
  /** Groups of channels, with the order in which they go. */
  readonly candidates: readonly Candidate[];
  readonly blocks: readonly WholeBlock[];
}

/** A residual block, and what is in it alone. */
export interface WholeBlock {
  readonly block: Block;
  readonly nodes: ReadonlySet<Node>;
  /** Groups (by id) whose channels no layer outside makes. */
  readonly groups: ReadonlySet<number>;
}

/** How much is gone. */
export interface Shape {
  /** Units that stay, by the id of a group; all where it is not there. */
  readonly widths: ReadonlyMap<number, number>;
  /** Indices of blocks. */
  readonly dropped: ReadonlySet<number>;
}

export interface PartsOptions {
  readonly round: number;
  readonly maxRatio: number;
  readonly blocks: boolean;
  readonly keep: readonly string[];
}

/** Coupling and blocks alone are read the same from every clone of a model. */
function readParts(model: Model, keep: readonly string[], ctx?: PassContext): { coupling: Coupling; found: Block[] } {
  const coupling = analyzeCoupling(model, { isKept: (node) => isKept(node, keep) });
  const found = residualBlocks(model, 'sublayer', (node, why) => ctx?.skipped('blocks', node, why));
  return { coupling, found };
}

/** The model needs shapes; its nodes are put in order. */
export async function partsOf(model: Model, options: PartsOptions, ctx: PassContext): Promise<Parts> {
  const { coupling, found } = readParts(model, options.keep, ctx);
  for (const { node, why } of coupling.stuck) ctx.skipped('coupling', node, why);
  const groups = coupling.groups.filter((group) => !isHeads(group, ctx));
  const roundOf = ({ size }: Group): number =>
    size <= options.round ? Math.max(1, Math.floor(options.round / 2)) : options.round;
  const ordered = await orderGroups(coupling, groups, { ...options, score: 'auto' }, roundOf, () => undefined, ctx);
  const candidates = ordered.map(({ candidate }) => ({ ...candidate, steps: coarse(candidate, options.maxRatio) }));
  const blocks = found.map((block): WholeBlock => {
    const nodes = nodesWithin(block);
    const own = groups.filter((group) => layersOf(group, 'out').every((node) => nodes.has(node)));
    return { block, nodes, groups: new Set(own.map(({ id }) => id)) };
  });
  const isFree = ({ block: { sums } }: WholeBlock): boolean => {
    const kept = sums.find((node) => isKept(node, options.keep));
    if (kept) ctx.skipped('blocks', kept, 'you asked for it to stay as it is (--keep)');
    return !kept;
  };
  // Indices are those of a fresh reading, so what stays out is emptied rather than left out.
  return {
    coupling,
    candidates,
    blocks: options.blocks ? blocks.map((one) => (isFree(one) ? one : emptied(one))) : [],
  };
}

const emptied = (one: WholeBlock): WholeBlock => ({ ...one, nodes: new Set(), groups: new Set() });

/** At most so many steps of a group are worth weighing up. */
const mostSteps = 8;

/** Wide layers are narrowed in few large steps; none loses more than the largest share. */
function coarse({ steps, original, group }: Candidate, maxRatio: number): number[] {
  const least = original * (1 - maxRatio) - 1e-9;
  const usable = steps.filter((left) => left === group.size || left >= least);
  const every = Math.ceil((usable.length - 1) / mostSteps);
  return usable.filter((_, at) => every <= 1 || at % every === 0);
}

/** What stands between the borders of a block and is read nowhere else. */
function nodesWithin({ from, to }: Block): Set<Node> {
  const seen = new Set<Node>();
  const pending: Value[] = [to];
  for (let value = pending.pop(); value; value = pending.pop()) {
    const node = value.producer;
    if (!node || value === from || seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (input) pending.push(input);
  }
  return new Set([...seen].filter((node) => dependsOn(node, from, seen)));
}

function dependsOn(node: Node, from: Value, within: ReadonlySet<Node>): boolean {
  const pending = [node];
  const seen = new Set<Node>();
  for (let at = pending.pop(); at; at = pending.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    for (const input of at.inputs) {
      if (input === from) return true;
      if (input?.producer && within.has(input.producer)) pending.push(input.producer);
    }
  }
  return false;
}

/**
 * Takes the same parts out of a clone of the model (or out of itself), and tells which layers are to be fitted. The groups and blocks of a clone
 * have the same ids and places.
 */
export function takeOut(
  model: Model,
  { candidates }: Parts,
  shape: Shape,
  keep: readonly string[],
  ctx: PassContext,
): Narrowed[] {
  const { coupling, found } = readParts(model, keep);
  const groups = new Map(coupling.groups.map((group) => [group.id, group]));
  const removed = new Set<number>();
  for (const { group, order } of candidates) {
    const left = shape.widths.get(group.id) ?? group.size;
    const own = groups.get(group.id);
    if (!own || own.size !== group.size) throw new Error(`group ${group.id} is another in the copy`);
    for (const unit of order.slice(0, group.size - left)) removed.add(own.units[unit] as number);
  }
  const dropped = [...shape.dropped].sort((a, b) => a - b).map((index) => found[index] as Block);
  const hit = new Set(dropped.flatMap(({ to }) => [...to.readers]));
  const narrowed = narrowedBy(coupling, removed, 'behind', hit);
  if (removed.size > 0) removeUnits(coupling, removed);
  const instead = new Map<Value, Value>();
  for (const block of dropped) leaveOut(block, instead, '', ctx);
  if (dropped.length > 0) removeDead(model);
  return narrowed.filter(({ node }) => !node.removed);
}
