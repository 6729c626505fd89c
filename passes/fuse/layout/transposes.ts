/**
 * Transposes moved over operators that do not care for the order of axes, where that leaves fewer of them. Between the Transposes of
 * one permutation and their inverses lies a region of such operators; each works in the one order or in the other, and a value that
 * one makes and another reads in a different order costs a Transpose. The cheapest choice is a minimum cut.
 */
import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Model, Node, Value } from '../../../src/ir/graph.ts';
import { compose, invert, isIdentity, movesElements } from '../../../src/ir/permutation.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import type { Shape, ValueType } from '../../../src/ir/types.ts';
import { FlowNetwork } from '../../../src/kernels/min-cut.ts';
import type { PassContext, Trace } from '../../../src/pass/pass.ts';
import { addConstant, provenanceKey } from '../../../src/rewrite/edit.ts';
import { type Site, siteOf, ValueTypes } from '../../../src/rewrite/rule.ts';
import { type Movable, movable } from './movable.ts';
import { permuteOperand } from './permute.ts';

export const layoutRule = 'transpose-layout';

type TellingTrace = Pick<PassContext, 'applied' | 'skipped' | 'explain'>;

/** @param types what inference found. @returns whether anything moved. */
export function moveTransposes(model: Model, types: ReadonlyMap<Value, ValueType>, ctx: TellingTrace): boolean {
  const known = new ValueTypes(types);
  let changed = false;
  for (const graph of [...model.graphs()]) {
    const site = siteOf(model, graph, known);
    const tried = new Set<string>();
    for (const node of graph.nodes) {
      const perm = node.is('Transpose') ? node.ints('perm') : undefined;
      if (!perm || isIdentity(perm) || tried.has(perm.join())) continue;
      tried.add(perm.join());
      if (new Region(site, perm).move(ctx)) changed = true;
    }
  }
  return changed;
}

/** All operators of one graph that could work in front of the Transposes by `perm` ("turned") instead of behind them ("as written"). */
class Region {
  readonly #site: Site;
  readonly #graph: Graph;
  /** As written = Transpose(turned, perm): axis i of what is written is axis perm[i] of what is turned. */
  readonly #perm: readonly number[];
  readonly #inverse: readonly number[];
  readonly #members = new Map<Node, Movable>();
  /** Why operators at the rim keep their order. */
  readonly #fixed: string[] = [];
  /** Transposes there are now. */
  #transposes = 0;

  constructor(site: Site, perm: readonly number[]) {
    this.#site = site;
    this.#graph = site.graph;
    this.#perm = perm;
    this.#inverse = invert(perm);
    this.#collect();
  }

  #isTranspose(node: Node | undefined, perm: readonly number[]): boolean {
    return node?.is('Transpose') === true && node.list === this.#graph && node.ints('perm')?.join() === perm.join();
  }

  /** Operators around the Transposes, up and down, as far as the order of axes does not matter to them. */
  #collect(): void {
    const { types, opset } = this.#site;
    const pending: Node[] = [];
    const seen = new Set<Node>();
    const note = (node: Node | undefined): void => {
      if (!node || node.list !== this.#graph || seen.has(node)) return;
      seen.add(node);
      pending.push(node);
    };
    for (const node of this.#graph.nodes) {
      if (this.#isTranspose(node, this.#perm)) for (const reader of node.output().readers) note(reader);
      if (this.#isTranspose(node, this.#inverse)) note(node.input(0)?.producer);
    }
    for (let node = pending.pop(); node; node = pending.pop()) {
      const form = movable(node, this.#perm.length, opset, types);
      if (typeof form !== 'string' && form.keepsLast && this.#perm.at(-1) !== this.#perm.length - 1) continue;
      if (typeof form === 'string') {
        if (!node.is('Transpose')) this.#fixed.push(form);
        continue;
      }
      if (!this.#turnable(node, form)) continue;
      this.#members.set(node, form);
      for (const index of form.carried) {
        note(node.input(index)?.producer);
        for (const reader of node.input(index)?.readers ?? []) note(reader);
      }
      for (const output of node.outputs) for (const reader of output?.readers ?? []) note(reader);
    }
  }

  /** Its constants can be turned; what it carries is not constant itself (folding will see to that). */
  #turnable(node: Node, form: Movable): boolean {
    if (form.carried.length === 0) return false;
    if (form.carried.some((index) => constantOf(node.input(index)) !== undefined)) return false;
    return form.constants.every((index) => {
      const tensor = constantOf(node.input(index));
      return tensor !== undefined && permuteOperand(tensor, this.#inverse) !== undefined;
    });
  }

  /** Members that are to work turned, where that takes fewer Transposes than there are. */
  #choose(): ReadonlySet<Node> | undefined {
    const network = new FlowNetwork();
    const [turned, written] = [0, 1];
    const units = new Map<Node, number>();
    for (const node of this.#members.keys()) units.set(node, network.node());
    let now = 0;
    for (const value of this.#values()) {
      const { producer } = value;
      const leaf = this.#isTranspose(producer, this.#perm);
      const maker = leaf ? turned : (units.get(producer as Node) ?? written);
      const readers = new Set<number>();
      for (const reader of value.readers) {
        const unit = units.get(reader);
        if (unit !== undefined && this.#members.get(reader)?.carried.some((index) => reader.input(index) === value))
          readers.add(unit);
        else if (this.#isTranspose(reader, this.#inverse)) readers.add(turned);
        // A Transpose by another order is one in any case.
        else if (!this.#isOtherTranspose(reader)) readers.add(written);
      }
      if (value.isGraphOutput) readers.add(written);
      if (leaf || readers.has(turned)) now++;
      // Made turned, read as written: one Transpose, whoever reads it; and the other way round.
      const down = network.node();
      const up = network.node();
      const price = this.#price(value);
      network.edge(maker, down, price);
      network.edge(up, maker, price);
      for (const reader of readers) {
        network.edge(down, reader, Number.POSITIVE_INFINITY);
        network.edge(reader, up, Number.POSITIVE_INFINITY);
      }
    }
    this.#transposes = now;
    const sides = network.cut();
    const chosen = new Set<Node>();
    for (const [node, unit] of units) if (sides[unit]) chosen.add(node);
    if (chosen.size === 0) return undefined;
    return this.#cost(chosen) < now ? chosen : undefined;
  }

  /** Values that members make or carry, and those that the Transposes at the region's rim give or take. */
  #values(): Set<Value> {
    const values = new Set<Value>();
    for (const [node, { carried }] of this.#members) {
      for (const index of carried) values.add(node.input(index) as Value);
      for (const output of node.outputs) if (output) values.add(output);
    }
    return values;
  }

  #isOtherTranspose(node: Node): boolean {
    return node.is('Transpose') && node.list === this.#graph && node.ints('perm')?.length === this.#perm.length;
  }

  /** Of a new Transpose of the value: next to nothing where that moves dimensions of 1 alone, and is a Reshape. */
  #price(value: Value): number {
    const shape = this.#site.types.shapeOf(value);
    return shape?.every((dim) => typeof dim === 'number') && !movesElements(shape, this.#inverse) ? 0.1 : 1;
  }

  /** Transposes at the region when `chosen` work turned. */
  #cost(chosen: ReadonlySet<Node>): number {
    let cost = 0;
    for (const value of this.#values()) {
      const isTurned = this.#isTranspose(value.producer, this.#perm) || chosen.has(value.producer as Node);
      let [asWritten, asTurned] = [value.isGraphOutput, false];
      for (const reader of value.readers) {
        if (this.#isTranspose(reader, this.#inverse)) asTurned = true;
        else if (this.#members.get(reader)?.carried.some((index) => reader.input(index) === value)) {
          if (chosen.has(reader)) asTurned = true;
          else asWritten = true;
        } else if (!this.#isOtherTranspose(reader)) asWritten = true;
      }
      if (isTurned ? asWritten : asTurned) cost += this.#price(value);
    }
    return cost;
  }

  move(trace: TellingTrace): boolean {
    const chosen = this.#choose();
    if (!chosen) {
      if (trace.explain || this.#transposes > 1) this.#explain(trace);
      return false;
    }
    /** What was made as written, by now turned. */
    const turned = new Map<Value, Value>();
    const order = [...this.#graph.nodes].filter((node) => chosen.has(node));
    const stale = new Set<Node>();
    for (const node of order) {
      const form = this.#members.get(node) as Movable;
      for (const index of form.carried) {
        const { producer } = node.input(index) as Value;
        if (producer && this.#isTranspose(producer, this.#perm)) stale.add(producer);
      }
      this.#turn(node, form, turned);
      trace.applied(layoutRule, node, `[${this.#perm.join(',')}] goes behind it, or away`);
    }
    for (const node of order) {
      for (const output of node.outputs) if (output) this.#serve(output, turned.get(output) as Value, chosen, turned);
    }
    for (const node of order.reverse()) if (!node.removed) this.#graph.removeWithUnused(node);
    for (const node of stale) if (!node.removed) this.#graph.removeWithUnused(node);
    return true;
  }

  /** Says what holds the Transposes where operators that could work in another order stand behind them. */
  #explain(trace: Trace): void {
    for (const node of this.#graph.nodes) {
      if (!this.#isTranspose(node, this.#perm)) continue;
      if (![...node.output().readers].some((reader) => this.#members.has(reader))) continue;
      const why = this.#fixed[0] ?? 'what is behind them is an output of the graph';
      trace.skipped(layoutRule, node, `as many Transposes would be left elsewhere: ${why}`);
    }
  }

  /** A node like `node` in front of it that works turned. */
  #turn(node: Node, form: Movable, turned: Map<Value, Value>): void {
    const others = form.inputs(this.#perm);
    const inputs = [...node.inputs];
    for (const index of form.carried) inputs[index] = this.#turnedOf(node.input(index) as Value, node, turned);
    for (const index of form.constants) {
      const value = node.input(index) as Value;
      const tensor = constantOf(value);
      const other = tensor && permuteOperand(tensor, this.#inverse);
      if (other && other !== tensor) inputs[index] = addConstant(node, value.name, other);
    }
    for (const [index, tensor] of others) inputs[index] = addConstant(node, `${node.op.toLowerCase()}_axes`, tensor);
    const copy = this.#graph.insertBefore(node, node.op, {
      inputs,
      outputs: node.outputs.map((output) => output && this.#graph.freshName(`${output.name}_turned`)),
      types: node.outputs.map((output) => this.#typeOf(output, this.#inverse)),
      attrs: { ...Object.fromEntries(node.attrs), ...form.attrs(this.#perm) },
    });
    copy.name = node.name;
    copy.doc = node.doc;
    copy.meta = new Map(node.meta).set(
      provenanceKey,
      `${layoutRule}(${node.meta?.get(provenanceKey) ?? (node.name || node.op)})`,
    );
    for (const [index, output] of node.outputs.entries()) if (output) turned.set(output, copy.output(index));
  }

  #turnedOf(value: Value, anchor: Node, turned: Map<Value, Value>): Value {
    const known = turned.get(value);
    if (known) return known;
    const { producer } = value;
    const made = this.#isTranspose(producer, this.#perm)
      ? (producer?.input(0) as Value)
      : this.#transpose(value, this.#inverse, anchor);
    turned.set(value, made);
    return made;
  }

  #transpose(value: Value, perm: readonly number[], anchor: Node): Value {
    const type = this.#typeOf(value, perm);
    const from = this.#site.types.shapeOf(value);
    const to = type?.kind === 'tensor' ? type.shape : undefined;
    if (from && to?.every((dim) => typeof dim === 'number') && !movesElements(from, perm) && this.#site.opset >= 5) {
      const shape = addConstant(anchor, 'shape', int64Vector(to));
      return this.#graph.insertBefore(anchor, 'Reshape', { inputs: [value, shape], types: [type] }).output();
    }
    return this.#graph.insertBefore(anchor, 'Transpose', { inputs: [value], types: [type], attrs: { perm } }).output();
  }

  /** Readers of `old` that were not turned read it through a Transpose; those that undid the order read `made`. */
  #serve(old: Value, made: Value, chosen: ReadonlySet<Node>, turned: ReadonlyMap<Value, Value>): void {
    for (const reader of [...old.consumers]) {
      if (chosen.has(reader)) continue;
      const perm = reader.list === this.#graph && reader.is('Transpose') ? reader.ints('perm') : undefined;
      if (perm?.length !== this.#perm.length) continue;
      const whole = compose(this.#perm, perm);
      if (isIdentity(whole)) {
        this.#graph.replaceUses(reader.output(), made);
        this.#graph.remove(reader);
      } else {
        reader.setInput(0, made);
        reader.setAttr('perm', whole);
      }
    }
    const others = old.consumers.filter((reader) => !chosen.has(reader));
    if (others.length === 0 && !old.isGraphOutput) return;
    const anchor = old.producer as Node;
    const back = this.#transpose(turned.get(old) as Value, this.#perm, anchor);
    back.type = old.type ?? back.type;
    const { name } = old;
    const wasOutput = old.isGraphOutput;
    for (const { node, index } of old.uses) if (!chosen.has(node)) node.setInput(index, back);
    if (wasOutput) this.#graph.replaceUses(old, back);
    else {
      old.name = back.name;
      back.name = name;
    }
  }

  /** Type of `value` with its axes in the order `perm`. */
  #typeOf(value: Value | undefined, perm: readonly number[]): ValueType | undefined {
    const type = this.#site.types.typeOf(value);
    if (type?.kind !== 'tensor' || !type.shape) return type;
    const { shape } = type;
    return { ...type, shape: perm.map((axis) => shape[axis]) as Shape };
  }
}
