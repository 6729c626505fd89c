import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Node, Value } from '../../../src/ir/graph.ts';
import type { Affine } from '../../../src/kernels/quantize.ts';
import { type ActivationType, givenParams } from './given.ts';
import { floatReason, isHeavy, neverQuantized, readUnit, type Unit } from './unit.ts';

export interface PlanOptions {
  readonly minElements: number;
  readonly type: ActivationType;
  /** Why a node must stay in float by the user's will. */
  readonly excluded: (node: Node) => string | undefined;
  /** What rearranges a result on integers does so on integers, whoever reads it. */
  readonly movesAll?: boolean;
}

/**
 * Which nodes of the main graph run on integers. Weighted nodes do wherever they can; the others only between quantized nodes, on
 * both sides: elsewhere they would cost a QuantizeLinear and a DequantizeLinear more than they save.
 */
export class Plan {
  /** In graph order. */
  readonly units = new Map<Node, Unit>();
  /** Why nodes stay in float. */
  readonly left = new Map<Node, string>();
  /** Values that come from a DequantizeLinear already, or go into a QuantizeLinear alone: with their scale and zero point. */
  readonly given = new Map<Value, Affine>();
  /** Nodes in float that must not be rounded by the runtime, though integers stand on both sides. */
  readonly guarded = new Set<Node>();
  readonly #owners = new Map<Value, Unit>();

  readonly graph: Graph;
  readonly #movesAll: boolean;

  constructor(graph: Graph, options: PlanOptions) {
    this.graph = graph;
    this.#movesAll = options.movesAll ?? false;
    for (const node of graph.nodes) {
      const never = node.domain === '' ? neverQuantized[node.op] : undefined;
      const unit = options.excluded(node) ?? never ?? readUnit(node, options) ?? floatReason(node);
      if (typeof unit === 'string') this.left.set(node, unit);
      else if (unit) this.#join(unit, options.type);
    }
    for (const unit of this.units.values()) if (unit.clamp) this.left.delete(unit.clamp);
    this.#settle();
  }

  /** Adds a unit, with the scales that its inputs and outputs have already: models may come quantized in part. */
  #join(unit: Unit, type: ActivationType): void {
    const values = [...activationsOf(unit), ...unit.outputs];
    let known = 0;
    for (const value of values) {
      const given = givenParams(value, type);
      if (typeof given === 'string') {
        this.left.set(unit.node, given);
        return;
      }
      if (!given) continue;
      known++;
      this.given.set(value, given);
    }
    if (unit.kind !== 'weighted' && known === values.length)
      this.left.set(unit.node, 'it stands between a DequantizeLinear and a QuantizeLinear already');
    else this.#add(unit);
  }

  /** The unit that gives a value out. */
  ownerOf(value: Value): Unit | undefined {
    return this.#owners.get(value);
  }

  /** Takes units out that touch one of these values; then those that had only these for neighbours. */
  avoid(bad: ReadonlyMap<Value, string>): void {
    for (const unit of this.units.values()) {
      const why = this.#touched(unit, bad);
      if (why) this.#drop(unit, why);
    }
    this.#settle();
  }

  /** Takes units out by their own reasons; then those that had only these for neighbours. */
  leave({ left, guarded }: { left: ReadonlyMap<Node, string>; guarded: ReadonlySet<Node> }): void {
    for (const unit of this.units.values()) {
      const why = left.get(unit.node);
      if (why) this.#drop(unit, why);
    }
    for (const node of guarded) this.guarded.add(node);
    this.#settle();
  }

  /** Whether a node is the Relu or Clip at the end of a unit. */
  isClamp(node: Node): boolean {
    return node.outputs[0] !== undefined && this.#owners.get(node.outputs[0])?.clamp === node;
  }

  /** Values that get a QuantizeLinear and a DequantizeLinear, in graph order: what units read, and what they must give out. */
  get quantized(): Set<Value> {
    const values = new Set<Value>();
    for (const unit of this.units.values()) {
      for (const value of activationsOf(unit)) values.add(value);
      if (unit.needsOutput) for (const output of unit.outputs) values.add(output);
    }
    return values;
  }

  /** The same and what the other units give out: everything whose size decides. */
  get observed(): Set<Value> {
    const values = this.quantized;
    for (const unit of this.units.values()) for (const output of unit.outputs) values.add(output);
    return values;
  }

  get heavyLeft(): [Node, string][] {
    return [...this.left].filter(([node]) => isHeavy(node));
  }

  #add(unit: Unit): void {
    this.units.set(unit.node, unit);
    for (const output of unit.outputs) this.#owners.set(output, unit);
  }

  #drop(unit: Unit, why: string): void {
    this.units.delete(unit.node);
    this.left.set(unit.node, why);
    for (const output of unit.outputs) this.#owners.delete(output);
  }

  /** Until nothing changes: each removal may take the neighbours' reason to be quantized away. */
  #settle(): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (const unit of this.units.values()) {
        const why = unit.kind === 'weighted' ? undefined : (this.#floatBefore(unit) ?? this.#floatBehind(unit));
        if (
          why &&
          this.#movesAll &&
          unit.kind === 'mover' &&
          activationsOf(unit).every((value) => this.#owners.has(value))
        )
          continue;
        if (!why) continue;
        this.#drop(unit, why);
        changed = true;
      }
    }
  }

  /** Each operand in float costs a QuantizeLinear; each one that nobody reads in float saves a DequantizeLinear. */
  #floatBefore(unit: Unit): string | undefined {
    const inFloat: Value[] = [];
    let saved = 0;
    for (const value of activationsOf(unit)) {
      const owner = this.#owners.get(value);
      if (owner) saved += owner.needsOutput && this.#isReadQuantized(value) ? 1 : 0;
      else if (!this.given.has(value) && (unit.kind !== 'mover' || !value.isGraphInput)) inFloat.push(value);
    }
    const [value] = inFloat;
    if (!value || inFloat.length <= saved) return undefined;
    return `its input "${value.name}" is ${value.isGraphInput ? 'a graph input' : `computed in float by ${value.producer}`}`;
  }

  #isReadQuantized(value: Value): boolean {
    return !value.isGraphOutput && value.uses.every(({ node, index }) => this.units.get(node)?.inputs.includes(index));
  }

  #floatBehind(unit: Unit): string | undefined {
    const isRead = unit.outputs.some(
      (output) =>
        this.given.has(output) || output.uses.some(({ node, index }) => this.units.get(node)?.inputs.includes(index)),
    );
    return isRead ? undefined : `nothing that reads "${unit.outputs[0]?.name}" is quantized`;
  }

  #touched(unit: Unit, bad: ReadonlyMap<Value, string>): string | undefined {
    for (const value of activationsOf(unit)) {
      const why = bad.get(value);
      if (why) return why;
    }
    if (!unit.needsOutput) return undefined;
    for (const output of unit.outputs) {
      const why = bad.get(output);
      if (why) return why;
    }
    return undefined;
  }
}

/** What the unit reads that is not constant. */
export function activationsOf(unit: Unit): Value[] {
  return unit.inputs.flatMap((index) => {
    const value = unit.node.input(index);
    return value && !constantOf(value) ? [value] : [];
  });
}
