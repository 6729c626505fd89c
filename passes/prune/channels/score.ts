import type { Value } from '../../../src/ir/graph.ts';
import type { ChannelStats, PassContext } from '../../../src/pass/pass.ts';
import type { Coupling } from '../coupling/analyze.ts';
import type { Axis } from '../coupling/book.ts';
import { type Group, unitsAlong } from '../coupling/groups.ts';
import { rowsAlong, sumAlong, weightOf } from './weights.ts';

export const scoreNames = ['auto', 'fit', 'l1', 'l2', 'bn', 'energy', 'median'] as const;
export type ScoreName = (typeof scoreNames)[number];

/** What each unit of a group is worth, as its share of what all of them are. */
export interface Scored {
  readonly group: Group;
  readonly shares: Float64Array;
  /** The score used, where the one asked for says nothing about this group. */
  readonly by: Exclude<ScoreName, 'auto' | 'fit'>;
}

/**
 * Scores the units of groups. l1, l2: size of the weights that make a channel · bn: its gain in BatchNormalization · energy: mean
 * square of the channel times the weights that read it, that is what it adds to its readers · median: distance from all other
 * channels of the layer (geometric median: what others can stand for goes first).
 */
export async function scoreGroups(
  coupling: Coupling,
  groups: readonly Group[],
  score: ScoreName,
  ctx: PassContext,
): Promise<Scored[]> {
  const wanted = score === 'auto' || score === 'fit' ? (ctx.activations?.source === 'data' ? 'energy' : 'l2') : score;
  const stats = wanted === 'energy' ? await channelStats(coupling, groups, ctx) : undefined;
  return groups.map((group) => {
    const own =
      wanted === 'bn'
        ? gains(coupling, group)
        : wanted === 'energy'
          ? energies(coupling, group, stats ?? new Map())
          : wanted === 'median'
            ? distances(coupling, group)
            : undefined;
    if (own?.some((x) => x > 0)) return { group, shares: shared(own), by: wanted };
    const by = wanted === 'l1' ? 'l1' : 'l2';
    return { group, shares: shared(sizes(coupling, group, by)), by };
  });
}

function shared(scores: Float64Array): Float64Array {
  const sum = scores.reduce((a, b) => a + b, 0);
  return sum > 0 ? scores.map((x) => x / sum) : scores.fill(1 / scores.length);
}

/** Adds what the positions of an axis have to the units they belong to. */
function addTo(units: Float64Array, along: Int32Array, perPosition: ArrayLike<number>): void {
  for (let p = 0; p < along.length; p++) {
    const unit = along[p] as number;
    if (unit >= 0) units[unit] = (units[unit] as number) + (perPosition[p] as number);
  }
}

const givesOut = (axis: Axis): boolean => axis.roles.some(({ role }) => role === 'out');
const readsIn = (axis: Axis): boolean => axis.roles.some(({ role }) => role === 'in');

function sizes({ union }: Coupling, group: Group, by: 'l1' | 'l2'): Float64Array {
  const total = new Float64Array(group.size);
  for (const axis of group.axes) {
    const weight = givesOut(axis) ? weightOf(axis) : undefined;
    if (!weight) continue;
    const own = new Float64Array(group.size);
    addTo(own, unitsAlong(axis, group, union), sumAlong(weight, by === 'l1' ? Math.abs : (w) => w * w));
    addTo(total, Int32Array.from(own.keys()), shared(own));
  }
  return total;
}

function gains({ union }: Coupling, group: Group): Float64Array | undefined {
  const total = new Float64Array(group.size);
  for (const axis of group.axes) {
    const norm = axis.roles.find(({ node }) => node.is('BatchNormalization'))?.node;
    if (!norm || axis.slot.value !== norm.input(1)) continue;
    const weight = weightOf(axis);
    if (weight) addTo(total, unitsAlong(axis, group, union), sumAlong(weight, Math.abs));
  }
  return total;
}

/** The value that a layer multiplies an axis of its weights with, and the axis of it. */
function readBy(axis: Axis): { value: Value; axis: number } | undefined {
  const node = axis.roles.find(({ role }) => role === 'in')?.node;
  const weights = axis.slot.value;
  if (!node || !weights) return undefined;
  if (node.is('LSTM') || node.is('GRU') || node.is('RNN')) {
    // Weights of the hidden state read what the layer gave a step before.
    const value = node.input(2) === weights ? node.outputs.find((one) => one?.isUsed) : node.input(0);
    return value && { value, axis: -1 };
  }
  const onLeft = node.input(0) === weights;
  const value = onLeft ? node.input(1) : node.input(0);
  if (!value) return undefined;
  if (node.is('Conv') || node.is('ConvTranspose')) return { value, axis: 1 };
  if (!node.is('MatMul') && !node.is('Gemm')) return undefined;
  // A product sums over the last axis of its left operand and the second last of its right one, turned or not.
  const turned = node.is('Gemm') && node.int(onLeft ? 'transB' : 'transA', 0) !== 0;
  return { value, axis: onLeft === turned ? -1 : -2 };
}

type Stats = ReadonlyMap<string, ChannelStats>;

async function channelStats({ model }: Coupling, groups: readonly Group[], ctx: PassContext): Promise<Stats> {
  const requests = new Map<string, { value: Value; axis: number }>();
  for (const { axes } of groups) {
    for (const axis of axes) {
      const read = readsIn(axis) ? readBy(axis) : undefined;
      if (read) requests.set(read.value.name, read);
    }
  }
  return (await ctx.activations?.layers.channels(model, [...requests.values()])) ?? new Map();
}

function energies({ union }: Coupling, group: Group, stats: Stats): Float64Array {
  const total = new Float64Array(group.size);
  for (const axis of group.axes) {
    const read = readsIn(axis) ? readBy(axis) : undefined;
    const weight = read && weightOf(axis);
    const seen = read && stats.get(read.value.name);
    if (!weight || !seen) continue;
    const sums = sumAlong(weight, (w) => w * w);
    // Of grouped convolutions every group has the same column for other channels.
    const energy = Float64Array.from(sums, (sum, p) => {
      let squares = 0;
      for (let c = p; c < seen.meanSquare.length; c += sums.length) squares += seen.meanSquare[c] as number;
      return sum * squares;
    });
    const own = new Float64Array(group.size);
    addTo(own, unitsAlong(axis, group, union), energy);
    addTo(total, Int32Array.from(own.keys()), shared(own));
  }
  return total;
}

/** Beyond so many products the distances of a layer take longer than they are worth. */
const mostProducts = 2e9;

function distances({ union }: Coupling, group: Group): Float64Array | undefined {
  const total = new Float64Array(group.size);
  for (const axis of group.axes) {
    const weight = givesOut(axis) ? weightOf(axis) : undefined;
    if (!weight) continue;
    const { rows, length } = rowsAlong(weight);
    const count = rows.length / Math.max(1, length);
    if (count * count * length > mostProducts) return undefined;
    const own = new Float64Array(group.size);
    addTo(own, unitsAlong(axis, group, union), sumOfDistances(rows, count, length));
    addTo(total, Int32Array.from(own.keys()), shared(own));
  }
  return total;
}

/** Σ over all rows of the Euclidean distance to them. */
function sumOfDistances(rows: Float32Array, count: number, length: number): Float64Array {
  const sums = new Float64Array(count);
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      let squares = 0;
      for (let i = 0; i < length; i++) {
        const difference = (rows[a * length + i] as number) - (rows[b * length + i] as number);
        squares += difference * difference;
      }
      const distance = Math.sqrt(squares);
      sums[a] = (sums[a] as number) + distance;
      sums[b] = (sums[b] as number) + distance;
    }
  }
  return sums;
}
