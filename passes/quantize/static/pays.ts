import type { Node, Value } from '../../../src/ir/graph.ts';
import { FlowNetwork } from '../../../src/kernels/min-cut.ts';
import { significant } from '../../../src/messages.ts';
import type { CpuProfile } from '../cpu.ts';
import { type Costs, nativeCosts } from './cost.ts';
import { wasmCosts } from './cost-wasm.ts';
import { activationsOf, type Plan } from './plan.ts';
import type { Placement } from './profile.ts';
import type { Unit } from './unit.ts';

/** What stays in float, with the reason, and which of it the runtime must be kept from rounding. */
export interface Places {
  readonly left: ReadonlyMap<Node, string>;
  readonly guarded: ReadonlySet<Node>;
}

/**
 * Units that are faster in float than on integers, with the reason: the split of the plan with the least total cost, conversions
 * between the two sides counted. (A minimum cut: units on the source's side run on integers; a value is converted once, whoever reads it.)
 *
 * ONNX Runtime has a will of its own: what stands between DequantizeLinear and QuantizeLinear it makes integer anyway, convolutions with weights
 * in float among them (its WeightBiasQuantization rounds those with one scale for all channels, and that kernel is twice as slow as one with a
 * scale each). Such a unit is quantized here, at the cost of integers, and the split is looked for again. On WebAssembly, where floats may pay all the
 * same, a convolution is guarded instead: a DequantizeLinear with a scale for each channel in front of it is none that the runtime looks for
 * (measured there on a depthwise convolution between two others: 0.74 of the time of what the runtime makes of it unguarded).
 *
 * A picture stays as it is where that costs less than `roundedPictures` of the time: no other layer loses so much.
 * @param elements of a value in one inference
 */
export function unitsThatDoNotPay(
  plan: Plan,
  { cpu, place }: { readonly cpu: CpuProfile; readonly place: Exclude<Placement, 'all'> },
  elements: (value: Value) => number,
): Places {
  const costs = cpu === 'wasm' ? wasmCosts : nativeCosts(cpu);
  const forced = new Set<Unit>();
  for (;;) {
    const quickest = cheapest(plan, costs, elements, forced);
    const { split, pictures } = withPictures(quickest, plan, (kept) => cheapest(plan, costs, elements, forced, kept));
    const { isInteger, saved, inFloat } = split;
    const left = new Set([...plan.units.values()].filter((unit) => !isInteger(unit)));
    const before = forced.size;
    const guarded = new Set<Node>();
    for (const unit of fusedAnyway(plan, left)) {
      if (costs.guards && unit.weighted && hasChannels(unit)) guarded.add(unit.node);
      else forced.add(unit);
    }
    if (forced.size > before) continue;
    const some = left.size < plan.units.size;
    const least = place === 'pays' ? costs.leastGain * inFloat : 0;
    if (saved < 0 || (some && saved < least)) {
      const why = saved < 0 ? together : tooLittle(saved / inFloat);
      return { left: new Map([...plan.units.keys()].map((node) => [node, why])), guarded: new Set() };
    }
    const why = (unit: Unit): string => pictures.get(unit) ?? sentence(unit, costs, elements);
    return { left: new Map([...left].map((unit) => [unit.node, why(unit)])), guarded };
  }
}

/**
 * Share of the time that rounding a picture for its first convolution has to save. What comes in as 8 bits a channel is normalized channel by channel, so that one scale for all rounds it by half a step once
 * more, and everything behind sees that. On integers / in float: cifar10-resnet20 34.2 / 35.0 dB at 0.44 / 0.47 of float's time, fastestdet 16.0 / 16.6 dB at 0.66 / 0.69: a sixth of all
 * noise for a few hundredths of the time. Where convolutions of pictures are most of a model, integers stay.
 */
const roundedPictures = 0.1;
const pictureChannels = 4;

/** The quickest split, or one in which pictures are not rounded, with the reason for each of the convolutions that read them. */
function withPictures(
  quickest: Split,
  plan: Plan,
  keeping: (kept: ReadonlySet<Unit>) => Split,
): { readonly split: Split; readonly pictures: ReadonlyMap<Unit, string> } {
  const none = { split: quickest, pictures: new Map<Unit, string>() };
  const first = [...plan.units.values()].filter((unit) => readsPicture(unit) && quickest.isInteger(unit));
  if (first.length === 0) return none;
  const kept = keeping(new Set(first));
  const time = ({ inFloat, saved }: Split): number => inFloat - saved;
  const longer = time(kept) / time(quickest) - 1;
  if (longer > roundedPictures) return none;
  const why = `its input is a picture, which rounding to 8 bits once more would blur for about ${(100 * longer).toFixed(0)} % of the time: --place all quantizes it all the same`;
  return { split: kept, pictures: new Map(first.map((unit) => [unit, why])) };
}

function readsPicture({ node, weighted }: Unit): boolean {
  const [, channels = 0] = weighted?.tensor.shape ?? [];
  const isImage =
    node.is('Conv') && weighted?.tensor.shape.length === 4 && channels * node.int('group', 1) <= pictureChannels;
  return isImage && node.input(0)?.isGraphInput === true;
}

const together =
  'what integers gain in this model is less than turning values into integers and back costs, by measured costs: --place all quantizes it all the same';

const tooLittle = (share: number): string =>
  `integers would save about ${(100 * share).toFixed(0)} % of the time of what can run on them, by measured costs, which is less than those are sure of: the float model may be faster, and --place all quantizes it all the same (smaller)`;

interface Split {
  readonly isInteger: (unit: Unit) => boolean;
  /** Nanoseconds less than all in float. */
  readonly saved: number;
  readonly inFloat: number;
}

/**
 * Where operands of an Add, Mul or the like come from, and theirs: with one of them computed in float, channels come first in the result, too (a residual whose
 * branch stays in float, and a MaxPool of its sum: 6.6 ms instead of 0.4 for 4 × 24 × 8 × 48 × 48).
 */
function operandsBelow(plan: Plan, owner: Unit | undefined): Set<Unit | undefined> {
  const found = new Set<Unit | undefined>();
  const sums = new Set(owner ? [owner] : []);
  for (const unit of sums) {
    if (unit.kind !== 'compute') continue;
    for (const value of activationsOf(unit)) {
      if (plan.given.has(value)) continue;
      const before = plan.ownerOf(value);
      found.add(before);
      if (before) sums.add(before);
    }
  }
  return found;
}

/** The cheapest split in which some units are on integers in any case, and some in float. */
function cheapest(
  plan: Plan,
  costs: Costs,
  elements: (value: Value) => number,
  onIntegers: ReadonlySet<Unit>,
  kept: ReadonlySet<Unit> = new Set(),
): Split {
  const network = new FlowNetwork();
  const [integers, floats] = [0, 1];
  const nodes = new Map<Unit, number>();
  let inFloat = 0;
  for (const unit of plan.units.values()) {
    const at = network.node();
    nodes.set(unit, at);
    const { float, integer } = costs.unit(unit, elements);
    inFloat += float;
    network.edge(at, floats, kept.has(unit) ? forced : integer);
    network.edge(integers, at, onIntegers.has(unit) ? forced : float);
  }
  const at = (unit: Unit | undefined): number => (unit ? (nodes.get(unit) as number) : floats);
  for (const [value, readers] of valuesOf(plan)) {
    const owner = plan.ownerOf(value);
    const to = readers.units.map(at);
    const size = elements(value);
    if (to.length > 0 && !plan.given.has(value)) {
      const quantize = network.node();
      for (const reader of to) network.edge(reader, quantize, forced);
      network.edge(quantize, at(owner), costs.quantize(value, size));
      const pool = value.producer?.op === 'MaxPool' && !readers.inFloat ? value.producer.input(0) : undefined;
      for (const reader of readers.units) {
        const pooled = pool ? Math.max(size, elements(pool)) : reader.node.op === 'MaxPool' ? size : 0;
        if (pooled > 0)
          for (const before of [owner, ...(reader.node.op === 'MaxPool' ? operandsBelow(plan, owner) : [])])
            network.edge(at(reader), at(before), costs.channelsFirst(pooled));
      }
    }
    if (owner?.needsOutput) {
      const dequantize = network.node();
      network.edge(at(owner), dequantize, costs.dequantize(value, size));
      for (const reader of to) network.edge(dequantize, reader, forced);
      if (readers.inFloat) network.edge(dequantize, floats, forced);
    }
  }
  const isInteger = network.cut();
  return { isInteger: (unit) => isInteger[at(unit)] as boolean, saved: inFloat - network.cost(isInteger), inFloat };
}

/** More than any sum of times: such an edge is never cut. */
const forced = Number.MAX_SAFE_INTEGER;

/** Units left in float that the runtime would fuse with the DequantizeLinear before and the QuantizeLinear behind. */
function* fusedAnyway(plan: Plan, left: ReadonlySet<Unit>): Generator<Unit> {
  const stays = (unit: Unit | undefined): boolean => unit !== undefined && !left.has(unit);
  for (const unit of left) {
    if (unit.weighted && !roundedAnyway.has(unit.node.op)) continue;
    const before = activationsOf(unit).every((value) => {
      const owner = plan.ownerOf(value);
      return plan.given.has(value) || (owner?.needsOutput && stays(owner));
    });
    if (before && unit.outputs.every((output) => isReadOnIntegers(plan, output, stays))) yield unit;
  }
}

const hasChannels = (unit: Unit): boolean => typeof unit.node.input(0)?.shape?.[1] === 'number';

/** Operators whose weights in float the runtime rounds itself. */
const roundedAnyway = new Set(['Conv', 'Gemm']);

/** Whether a QuantizeLinear follows: at once, or behind something that it is moved ahead of. */
function isReadOnIntegers(plan: Plan, value: Value, stays: (unit: Unit | undefined) => boolean): boolean {
  if (value.isGraphOutput) return false;
  const reads = ({ node, index }: { node: Node; index: number }): boolean => {
    const reader = plan.units.get(node);
    if (!reader?.inputs.includes(index)) return false;
    if (stays(reader)) return true;
    const [output] = reader.outputs;
    return reader.kind === 'mover' && output !== undefined && isReadOnIntegers(plan, output, stays);
  };
  return value.useCount === 1
    ? value.uses.every(reads)
    : value.uses.every((use) => stays(plan.units.get(use.node)) && reads(use));
}

interface Readers {
  readonly units: Unit[];
  inFloat: boolean;
}

/** What units read and give out, with who reads it. */
function valuesOf(plan: Plan): Map<Value, Readers> {
  const values = new Map<Value, Readers>();
  for (const unit of plan.units.values())
    for (const value of [...activationsOf(unit), ...unit.outputs])
      if (!values.has(value)) values.set(value, readersOf(plan, value));
  return values;
}

function readersOf(plan: Plan, value: Value): Readers {
  const units = new Set<Unit>();
  let inFloat = value.isGraphOutput;
  for (const { node, index } of value.uses) {
    const unit = plan.units.get(node);
    if (unit?.inputs.includes(index)) units.add(unit);
    else if (!plan.isClamp(node)) inFloat = true;
  }
  return { units: [...units], inFloat };
}

function sentence(unit: Unit, costs: Costs, elements: (value: Value) => number): string {
  const { float, integer } = costs.unit(unit, elements);
  const us = (ns: number): string => `${significant(ns / 1000, 2)} µs`;
  const why =
    integer >= float
      ? `it is slower on integers (about ${us(integer)}, ${us(float)} in float)`
      : `turning its input and output into integers and back costs more than it gains (about ${us(float - integer)})`;
  return `${why}, by measured costs: --place all quantizes it all the same`;
}
