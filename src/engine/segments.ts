import { cloneModel } from '../ir/clone.ts';
import { capturedValues, type Model, type Node, type Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';

/**
 * A model cut at places in the order of its main graph's nodes, so that stretches of it can be run one after the other:
 * what is alive at a cut is handed from one stretch to the next. Nodes that depend on constants alone belong to every
 * stretch that needs them.
 */
export class Segments {
  readonly #model: Model;
  readonly #order: readonly Node[];
  readonly #at = new Map<Node, number>();
  readonly #free = new Set<Node>();

  constructor(model: Model) {
    this.#model = model;
    this.#order = [...model.graph.nodes];
    for (const [index, node] of this.#order.entries()) {
      this.#at.set(node, index);
      const needs = neededBy(node);
      if (node.subgraphs.length === 0 && needs.every((value) => this.#isFree(value)) && !random.has(node.op))
        this.#free.add(node);
    }
  }

  /** Number of nodes that come before the value is there. */
  placeOf(value: Value): number {
    return value.producer ? (this.#at.get(value.producer) ?? -1) + 1 : 0;
  }

  /** The place of the first node that reads the value. */
  firstReader(value: Value): number {
    let first = this.#order.length;
    for (const reader of value.readers) first = Math.min(first, this.#at.get(outermost(reader, this.#model)) ?? first);
    return first;
  }

  /** Values that are made, or fed, before `place` and read from there on, of nodes before `end`. */
  alive(place: number, end = this.#order.length): Value[] {
    const values = new Set<Value>();
    for (let i = place; i < end; i++) {
      const node = this.#order[i] as Node;
      if (this.#free.has(node)) continue;
      for (const value of neededBy(node)) if (!this.#isFree(value) && this.placeOf(value) <= place) values.add(value);
    }
    return [...values];
  }

  /** True when every value alive at `place` is a tensor that can be handed on. */
  canCut(place: number): boolean {
    return this.alive(place).every(({ type }) => type === undefined || type.kind === 'tensor');
  }

  /**
   * The nodes from `start` to before `end` as a model: what is alive at `start` is fed, `outputs` come out.
   * @param dtypes types of the values that are fed, for those that the model does not declare
   * @param standIns other data for initializers and Constant nodes, by value
   */
  cut(
    start: number,
    end: number,
    outputs: readonly Value[],
    fed: ReadonlyMap<string, Tensor>,
    standIns: ReadonlyMap<Value, Tensor>,
  ): Model {
    const copy = cloneModel(this.#model);
    const { graph } = copy;
    const nodes = [...graph.nodes];
    const byName = new Map<string, Value>();
    for (const value of [...graph.inputs, ...graph.initializers]) byName.set(value.name, value);
    for (const node of nodes) for (const value of node.outputs) if (value) byName.set(value.name, value);
    for (const [value, tensor] of standIns) {
      const target = byName.get(value.name);
      if (!target) continue;
      if (target.producer) target.producer.setAttr('value', { type: 'tensor', value: tensor });
      else target.tensor = tensor;
    }
    while (graph.outputs.length > 0) graph.removeOutput(graph.outputs.length - 1);
    const wanted = outputs.map(({ name }) => name);
    for (const value of start > 0 ? this.alive(start, end) : []) {
      const made = byName.get(value.name);
      const tensor = fed.get(value.name);
      if (!made || !tensor || made.isGraphInput) continue;
      const { name } = made;
      made.name = graph.freshName(`${name}_before`);
      const input = graph.addInput(
        name,
        tensorType(
          tensor.dtype,
          tensor.shape.map(() => undefined),
        ),
      );
      graph.replaceUses(made, input);
      byName.set(name, input);
    }
    for (const name of wanted) {
      const value = byName.get(name);
      if (value && !value.isGraphInput) graph.addOutput(value);
    }
    for (const [index, node] of [...nodes.entries()].reverse()) {
      const original = this.#order[index] as Node;
      const inside = index >= start && index < end;
      if (node.outputs.some((value) => value?.isUsed) && (inside || this.#free.has(original))) continue;
      for (const value of node.outputs) if (value?.isUsed) throw new Error(`segment cuts off "${value.name}"`);
      graph.remove(node);
    }
    for (const value of [...graph.initializers]) if (!value.isUsed) graph.removeInitializer(value);
    for (const value of [...graph.inputs]) if (!value.isUsed) graph.removeInput(value);
    return copy;
  }

  #isFree(value: Value): boolean {
    if (value.constant) return true;
    return value.producer !== undefined && this.#free.has(value.producer);
  }
}

/** Not the same twice, so they must not be run twice. */
const random = new Set([
  'RandomNormal',
  'RandomUniform',
  'RandomNormalLike',
  'RandomUniformLike',
  'Multinomial',
  'Bernoulli',
]);

function neededBy(node: Node): Value[] {
  const inputs = node.inputs.filter((value) => value !== undefined);
  return node.subgraphs.length > 0 ? [...inputs, ...capturedValues(node)] : inputs;
}

/** The node of the main graph in which `node` stands. */
function outermost(node: Node, model: Model): Node {
  let at = node;
  while (at.graph !== model.graph && at.graph.ownerNode) at = at.graph.ownerNode;
  return at;
}
