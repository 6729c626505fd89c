import { constantOf } from '../../../src/ir/constant.ts';
import { type Graph, graphsBelow, type Model, type Node, type Value } from '../../../src/ir/graph.ts';
import { type ClassifyOptions, classify, type NodeClass } from './classify.ts';
import { type ControlSlot, controlSlots } from './control-flow.ts';
import type { ElementTypes } from './element-types.ts';
import { canBeHalf, inputClass, outputClass } from './signatures.ts';

export type Precision = 'half' | 'float';

/** Something that takes the precision of its surroundings: a node that moves elements, or a slot of control flow. */
interface Unit {
  half: boolean;
  /** Decided by its readers alone. */
  readonly maker: boolean;
  readonly from: readonly Value[];
  readonly to: readonly Value[];
}

/**
 * Decides the precision of every float32 value of the main graph and its subgraphs.
 *
 * Arithmetic is half unless something speaks against it. What only moves elements follows: it becomes half when a
 * half node stands on either side of it, and stays float between float nodes, so that no value is squeezed
 * through half on its way from one float node to another.
 */
export class Plan {
  readonly classes = new Map<Node, NodeClass>();
  readonly graphs: readonly Graph[];
  readonly #model: Model;
  readonly #types: ElementTypes;
  readonly #keepIo: boolean;
  /** Of movers and makers, and of control-flow slots by where they begin and end. */
  readonly #unitOfNode = new Map<Node, Unit>();
  readonly #unitOfValue = new Map<Value, Unit>();
  readonly #slotOfInput = new Map<Node, Map<number, Unit>>();
  readonly #slotOfResult = new Map<Graph, Map<number, Unit>>();
  readonly #readers = new Map<Value, Unit[]>();

  constructor(model: Model, types: ElementTypes, options: ClassifyOptions & { readonly keepIo: boolean }) {
    this.#model = model;
    this.#types = types;
    this.#keepIo = options.keepIo;
    this.graphs = [...graphsBelow(model.graph)];
    for (const graph of this.graphs)
      for (const node of graph.nodes) this.#add(node, classify(model, node, types, options));
    this.#spread();
    this.#decideMakers();
  }

  /** Whether the node computes in half; for control flow whether any of its slots does. */
  isHalfNode(node: Node): boolean {
    const kind = this.classes.get(node)?.kind;
    return kind === 'half' || (this.#unitOfNode.get(node)?.half ?? false);
  }
  /** The precision in which a float32 value that is no constant will be. */
  precisionOf(value: Value): Precision {
    const unit = this.#unitOfValue.get(value);
    if (unit) return unit.half ? 'half' : 'float';
    const node = value.producer;
    if (!node) return !this.#keepIo && isCallersInput(this.#model, value) ? 'half' : 'float';
    const { kind, signature } = this.classes.get(node) ?? {};
    return kind === 'half' && signature && canBeHalf(outputClass(signature, value.outputIndex)) ? 'half' : 'float';
  }
  /** The precision in which input `index` of `node`, a float32 tensor, must come. */
  demandOfInput(node: Node, index: number): Precision {
    const slot = this.#slotOfInput.get(node)?.get(index);
    if (slot) return slot.half ? 'half' : 'float';
    const { signature } = this.classes.get(node) ?? {};
    return this.isHalfNode(node) && signature && canBeHalf(inputClass(signature, index)) ? 'half' : 'float';
  }
  demandOfOutput(graph: Graph, index: number): Precision {
    if (graph === this.#model.graph) return this.#keepIo ? 'float' : 'half';
    return this.#slotOfResult.get(graph)?.get(index)?.half ? 'half' : 'float';
  }

  #add(node: Node, nodeClass: NodeClass): void {
    this.classes.set(node, nodeClass);
    const { kind, signature } = nodeClass;
    if (kind === 'control') {
      if (!nodeClass.why) for (const slot of controlSlots(node) ?? []) this.#addSlot(node, slot);
    } else if ((kind === 'mover' || kind === 'maker') && signature) {
      const float = (value: Value | undefined): value is Value => this.#types.isFloat32(value);
      const from = node.inputs
        .filter((value, index) => canBeHalf(inputClass(signature, index)) && float(value))
        .filter(float);
      const unit = { half: false, maker: kind === 'maker', from, to: node.outputs.filter(float) };
      this.#unitOfNode.set(node, unit);
      this.#addUnit(unit);
    }
  }
  #addSlot(node: Node, slot: ControlSlot): void {
    const values = [...slot.from, ...slot.to];
    if (values.length === 0 || !values.every((value) => this.#types.isFloat32(value))) return;
    const unit = { half: false, maker: false, from: slot.from, to: slot.to };
    for (const index of slot.inputs) nested(this.#slotOfInput, node).set(index, unit);
    for (const { graph, index } of slot.results) nested(this.#slotOfResult, graph).set(index, unit);
    this.#addUnit(unit);
  }
  #addUnit(unit: Unit): void {
    for (const value of unit.to) this.#unitOfValue.set(value, unit);
    for (const value of unit.from) {
      const known = this.#readers.get(value);
      if (known) known.push(unit);
      else this.#readers.set(value, [unit]);
    }
  }

  /** From half arithmetic (and half graph inputs and outputs) over all movers and slots that touch it. */
  #spread(): void {
    const pending: Unit[] = [];
    const touch = (unit: Unit | undefined): void => {
      if (!unit || unit.half || unit.maker) return;
      unit.half = true;
      pending.push(unit);
    };
    const read = (value: Value | undefined): void => {
      if (value && !constantOf(value)) touch(this.#unitOfValue.get(value));
    };
    const made = (value: Value): void => {
      for (const unit of this.#readers.get(value) ?? []) touch(unit);
    };
    for (const [node, { kind, signature }] of this.classes) {
      if (kind !== 'half' || !signature) continue;
      for (const [index, value] of node.inputs.entries()) if (canBeHalf(inputClass(signature, index))) read(value);
      for (const [index, value] of node.outputs.entries())
        if (value && canBeHalf(outputClass(signature, index))) made(value);
    }
    if (!this.#keepIo) {
      for (const value of this.#model.graph.inputs)
        if (this.#types.isFloat32(value) && isCallersInput(this.#model, value)) made(value);
      for (const value of this.#model.graph.outputs) if (this.#types.isFloat32(value)) read(value);
    }
    for (let unit = pending.pop(); unit; unit = pending.pop()) {
      for (const value of unit.from) read(value);
      for (const value of unit.to) made(value);
    }
  }

  /** A value made from other types is half when all its readers are. */
  #decideMakers(): void {
    for (const unit of this.#unitOfNode.values()) {
      if (!unit.maker) continue;
      unit.half = unit.to.every((value) => {
        const { graph } = value;
        const outputs = graph.outputs.flatMap((output, index) => (output === value ? [index] : []));
        return (
          value.isUsed &&
          value.uses.every(({ node, index }) => this.demandOfInput(node, index) === 'half') &&
          outputs.every((index) => this.demandOfOutput(graph, index) === 'half')
        );
      });
    }
  }
}

/** An input that a caller must give; one with an initializer behind it keeps the type of that. */
const isCallersInput = (model: Model, value: Value): boolean =>
  value.graph === model.graph && value.isGraphInput && value.initializer === undefined;

function nested<K, V>(map: Map<K, Map<number, V>>, key: K): Map<number, V> {
  const inner = map.get(key) ?? new Map<number, V>();
  map.set(key, inner);
  return inner;
}
