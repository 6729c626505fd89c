import { cloneModel } from '../../src/ir/clone.ts';
import { cutModel, valuesByName } from '../../src/ir/cut.ts';
import type { Model } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import type { Judge, Runner } from '../../src/pass/judge.ts';
import type { FitLayer } from '../prune/fit-layer.ts';
import { type Extents, type Form, replaceLayer } from './rewrite.ts';

/** Turns in which the layer and what is to take its place are timed one behind the other. */
const turns = 5;
/** What two sessions of the same layer differ by at most, in the median of so many turns. */
const margin = 0.05;

export interface Timing {
  /** Median over the turns. */
  readonly ratio: number;
  /** The slowest turn but one: a single disturbance is no reason. */
  readonly worst: number;
  /** By more than two sessions of the same layer differ, and in all turns but one. */
  readonly isFaster: boolean;
}

/** Times layers as models of their own, on what they read of one sample. */
export class LayerClock {
  readonly #model: Model;
  readonly #judge: Judge;
  readonly #seen: ReadonlyMap<string, Tensor>;

  private constructor(model: Model, judge: Judge, seen: ReadonlyMap<string, Tensor>) {
    this.#model = model;
    this.#judge = judge;
    this.#seen = seen;
  }

  static async of(model: Model, layers: readonly FitLayer[], judge: Judge): Promise<LayerClock> {
    const copy = cloneModel(model);
    const values = valuesByName(copy.graph);
    const outputs = new Set(copy.graph.outputs.map(({ name }) => name));
    const names = new Set(layers.map(({ request }) => request.value.name));
    for (const name of names) {
      const value = values.get(name);
      if (value?.producer && !outputs.has(name)) copy.graph.addOutput(value);
    }
    const [batch] = await judge.some(1, 1);
    const runner = await judge.open(copy);
    try {
      const seen = batch ? await runner.run(batch.feeds) : new Map<string, Tensor>();
      for (const [name, tensor] of batch?.feeds ?? []) seen.set(name, tensor);
      return new LayerClock(model, judge, seen);
    } finally {
      await runner.dispose();
    }
  }

  get provider(): string {
    return this.#judge.provider;
  }

  /**
   * Time with the form over time without, the two in turns.
   * @returns undefined where the layer cannot be timed alone
   */
  async ratio(layer: FitLayer, form: Form, extents: Extents): Promise<Timing | undefined> {
    const { node, tensor } = layer.target;
    const input = node.input(0)?.name ?? '';
    const seen = this.#seen.get(input);
    const output = node.output().name;
    if (!seen) return undefined;
    const alone = cutModel(
      this.#model,
      [
        {
          name: input,
          type: tensorType(
            seen.dtype,
            seen.shape.map(() => undefined),
          ),
        },
      ],
      [output],
    );
    const changed = cloneModel(alone);
    const copy = valuesByName(changed.graph).get(output)?.producer;
    if (!copy) return undefined;
    replaceLayer(copy, form, extents, tensor.dtype === 'float16' ? 'float16' : 'float32');
    const runners: Runner[] = [];
    try {
      for (const one of [alone, changed]) runners.push(await this.#judge.open(one));
      const [before, after] = runners as [Runner, Runner];
      const feeds = new Map([[input, seen]]);
      const ratios: number[] = [];
      for (let turn = 0; turn < turns; turn++) ratios.push((await after.time(feeds)) / (await before.time(feeds)));
      ratios.sort((a, b) => a - b);
      const ratio = ratios[Math.floor(turns / 2)] as number;
      const worst = ratios[turns - 2] as number;
      return { ratio, worst, isFaster: ratio < 1 - margin && worst < 1 };
    } finally {
      for (const runner of runners) await runner.dispose();
    }
  }
}
