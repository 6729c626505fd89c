import type { Node, Value } from '../../../src/ir/graph.ts';
import { FlowNetwork } from '../../../src/kernels/min-cut.ts';
import type { CpuProfile } from '../cpu.ts';
import { type Costs, nativeCosts } from './cost.ts';
import { wasmCosts } from './cost-wasm.ts';
import { activationsOf, type Plan } from './plan.ts';
import type { Unit } from './unit.ts';

/**
 * Units that are faster in float than on integers, with the reason: the split of the plan with the least total cost, conversions
 * between the two sides counted. (A minimum cut: units on the source's side run on integers; a value is converted once, whoever reads it.)
 * @param elements of a value in one inference
 */
export function unitsThatDoNotPay(plan: Plan, cpu: CpuProfile, elements: (value: Value) => number): Map<Node, string> {
  const costs = cpu === 'wasm' ? wasmCosts : nativeCosts(cpu);
  const network = new FlowNetwork();
  const [integers, floats] = [0, 1];
  const nodes = new Map<Unit, number>();
  for (const unit of plan.units.values()) {
    const at = network.node();
    nodes.set(unit, at);
    const { float, integer } = costs.unit(unit, elements);
    network.edge(at, floats, integer);
    network.edge(integers, at, float);
  }
  const forced = Number.MAX_SAFE_INTEGER;
  for (const [value, readers] of valuesOf(plan)) {
    const owner = plan.ownerOf(value);
    const from = owner ? (nodes.get(owner) as number) : floats;
    const to = readers.units.map((unit) => nodes.get(unit) as number);
    const size = elements(value);
    if (to.length > 0 && !plan.given.has(value)) {
      const quantize = network.node();
      for (const reader of to) network.edge(reader, quantize, forced);
      network.edge(quantize, from, costs.quantize(value, size));
    }
    if (owner?.needsOutput) {
      const dequantize = network.node();
      network.edge(from, dequantize, costs.dequantize(value, size));
      for (const reader of to) network.edge(dequantize, reader, forced);
      if (readers.inFloat) network.edge(dequantize, floats, forced);
    }
  }
  const isInteger = network.cut();
  const left = new Map<Node, string>();
  for (const [unit, at] of nodes) if (!isInteger[at]) left.set(unit.node, sentence(unit, costs, elements));
  for (const unit of fusedAnyway(plan, left)) left.delete(unit.node);
  return left;
}

/**
 * Units without weights that have integers on every side: the runtime fuses them with the DequantizeLinear before and the
 * QuantizeLinear behind, whatever we would like better. (A convolution stays in float as long as its weights do.)
 */
function* fusedAnyway(plan: Plan, left: ReadonlyMap<Node, string>): Generator<Unit> {
  const stays = (unit: Unit | undefined): boolean => unit !== undefined && !left.has(unit.node);
  for (const unit of plan.units.values()) {
    if (unit.kind === 'weighted' || !left.has(unit.node)) continue;
    const before = activationsOf(unit).every((value) => plan.given.has(value) || stays(plan.ownerOf(value)));
    if (!before) continue;
    const behind = unit.outputs.every((output) =>
      output.uses.some(({ node, index }) => {
        const reader = plan.units.get(node);
        return reader?.inputs.includes(index) && stays(reader);
      }),
    );
    if (behind) yield unit;
  }
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
  const us = (ns: number): string => `${(ns / 1000).toPrecision(2)} µs`;
  const why =
    integer >= float
      ? `it is slower on integers (about ${us(integer)}, ${us(float)} in float)`
      : `turning its input and output into integers and back costs more than it gains (about ${us(float - integer)})`;
  return `${why}, by measured costs: --place all quantizes it all the same`;
}
