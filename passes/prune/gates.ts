import { cloneModel } from '../../src/ir/clone.ts';
import { valuesByName } from '../../src/ir/cut.ts';
import { dtypeCode } from '../../src/ir/dtype.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { type Tensor, tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import type { Judge, JudgedBatch, Loss, Runner } from '../../src/pass/judge.ts';

/** A value that can be switched: along its last axis, place by place, or as a whole between what a layer makes and what it was given. */
export type Gate =
  | { readonly kind: 'places'; readonly value: Value; readonly extent: number; readonly readers: readonly Node[] }
  | { readonly kind: 'bypass'; readonly from: Value; readonly to: Value };

/** Settings of the gates, by their place in the list: 1 is on. */
export type Settings = readonly Float32Array[];

const nameOf = (index: number): string => `mlpack_gate_${index}`;

/** A copy of the model whose gates are graph inputs: one session serves every setting. */
export function gatedCopy(model: Model, gates: readonly Gate[]): Model {
  const copy = cloneModel(model);
  const values = valuesByName(copy.graph);
  const { types } = inferShapes(copy, { write: false });
  /** The gate in the type of what it is multiplied with. */
  const opened = (input: Value, like: Value, before: Node): Value => {
    const type = types.get(like) ?? like.type;
    const dtype = type?.kind === 'tensor' ? type.dtype : 'float32';
    if (dtype === 'float32') return input;
    return before.graph
      .insertBefore(before, 'Cast', { inputs: [input], outputs: [''], attrs: { to: dtypeCode(dtype) } })
      .output();
  };
  // A stretch behind another is given what comes out of that one's gate.
  const gated = new Map<Value, Value>();
  for (const [index, gate] of gates.entries()) {
    const width = gate.kind === 'places' ? gate.extent : 1;
    const input = copy.graph.addInput(nameOf(index), tensorType('float32', [width]));
    if (gate.kind === 'places') {
      const names = new Set(gate.readers.map((node) => node.output().name));
      const value = values.get(gate.value.name);
      for (const { node, index: at } of value?.uses ?? []) {
        if (!value || !names.has(node.outputs[0]?.name ?? '')) continue;
        const inputs = [value, opened(input, value, node)];
        const open = node.graph.insertBefore(node, 'Mul', { inputs, outputs: [''] });
        node.setInput(at, open.output());
      }
    } else {
      const [from, to] = [values.get(gate.from.name), values.get(gate.to.name)];
      if (!from || !to?.producer) continue;
      gated.set(to, bypass(copy, gated.get(from) ?? from, to, to.producer, opened(input, to, to.producer)));
    }
  }
  return copy;
}

/** to ← from + gate · (to − from) @returns what stands for `to` */
function bypass({ graph }: Model, from: Value, to: Value, after: Node, gate: Value): Value {
  const { uses } = to;
  const made = graph.insertAfter(after, 'Sub', { inputs: [to, from], outputs: [''] });
  const weighed = graph.insertAfter(made, 'Mul', { inputs: [made.output(), gate], outputs: [''] });
  const sum = graph.insertAfter(weighed, 'Add', { inputs: [from, weighed.output()], outputs: [''] });
  for (const { node, index } of uses) node.setInput(index, sum.output());
  for (const [index, output] of graph.outputs.entries()) {
    if (output !== to) continue;
    const { name } = to;
    to.name = graph.freshName(`${name}_before`);
    sum.output().name = name;
    sum.output().type = to.type;
    graph.setOutput(index, sum.output());
  }
  return sum.output();
}

/** Measures what settings of gates cost at the outputs, on the same samples each time. */
export class GateMeter {
  readonly #judge: Judge;
  readonly #runner: Runner;
  readonly #batches: readonly JudgedBatch[];
  readonly #outputs: readonly string[];
  readonly #all: Settings;
  #base: Map<string, Tensor>[] | undefined;

  private constructor(
    judge: Judge,
    runner: Runner,
    batches: readonly JudgedBatch[],
    outputs: readonly string[],
    all: Settings,
  ) {
    this.#judge = judge;
    this.#runner = runner;
    this.#batches = batches;
    this.#outputs = outputs;
    this.#all = all;
  }

  static async of(judge: Judge, model: Model, gates: readonly Gate[], samples: number): Promise<GateMeter> {
    const all = gates.map((gate) => new Float32Array(gate.kind === 'places' ? gate.extent : 1).fill(1));
    const batches = await judge.some(samples, Math.min(samples, 8));
    const outputs = model.graph.outputs.map(({ name }) => name);
    return new GateMeter(judge, await judge.open(gatedCopy(model, gates)), batches, outputs, all);
  }

  get samples(): number {
    return this.#batches.reduce((sum, { size }) => sum + size, 0);
  }

  /** @param settings what is not there is on */
  async loss(settings: ReadonlyMap<number, Float32Array>): Promise<Loss> {
    this.#base ??= await this.#run(new Map());
    const tally = this.#judge.tally();
    const outputs = await this.#run(settings);
    for (const [index, { size }] of this.#batches.entries())
      tally.add(this.#base[index] ?? new Map(), outputs[index] ?? new Map(), size);
    return tally.result();
  }

  async #run(settings: ReadonlyMap<number, Float32Array>): Promise<Map<string, Tensor>[]> {
    const gates = this.#all.map((on, index) => settings.get(index) ?? on);
    const results: Map<string, Tensor>[] = [];
    for (const { feeds } of this.#batches) {
      const all = new Map(feeds);
      for (const [index, gate] of gates.entries()) all.set(nameOf(index), tensorFrom('float32', [gate.length], gate));
      results.push(await this.#runner.run(all, this.#outputs));
    }
    return results;
  }

  async dispose(): Promise<void> {
    await this.#runner.dispose();
  }
}

/** What a loss comes to, in one number: divergence of class scores where there are any, else noise at the outputs. */
export const sizeOf = ({ kl, noise }: Loss): number => kl ?? noise;
