import { cloneModel } from '../../src/ir/clone.ts';
import { valuesByName } from '../../src/ir/cut.ts';
import type { Model } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import type { Judge, JudgedBatch } from '../../src/pass/judge.ts';
import type { StandIns } from '../../src/pass/pass.ts';
import { putConstant } from '../prune/store.ts';

/** Samples that outputs are compared on: a divergence of 0.01 nats shows on so many. */
const samples = 32;

/** What the outputs of a model lose when some of its weights are others. */
export class OutputMeter {
  readonly #model: Model;
  readonly #judge: Judge;
  readonly #batches: readonly JudgedBatch[];
  readonly #base: readonly Map<string, Tensor>[];
  readonly #accepted = new Map<string, Tensor>();

  private constructor(
    model: Model,
    judge: Judge,
    batches: readonly JudgedBatch[],
    base: readonly Map<string, Tensor>[],
  ) {
    this.#model = model;
    this.#judge = judge;
    this.#batches = batches;
    this.#base = base;
  }

  static async of(model: Model, judge: Judge): Promise<OutputMeter> {
    const copy = cloneModel(model);
    const batches = await judge.some(samples, samples);
    const runner = await judge.open(copy);
    try {
      const base: Map<string, Tensor>[] = [];
      for (const { feeds } of batches) base.push(await runner.run(feeds));
      return new OutputMeter(copy, judge, batches, base);
    } finally {
      await runner.dispose();
    }
  }

  /** Beside all that was accepted; in shares of what may be lost: divergence of class scores in nats, or tenfold noise where there are none. */
  async loss(candidate: StandIns): Promise<number> {
    const copy = cloneModel(this.#model);
    const values = valuesByName(copy.graph);
    const others = [...candidate].map(([value, tensor]): [string, Tensor] => [value.name, tensor]);
    for (const [name, tensor] of [...this.#accepted, ...others]) {
      const value = values.get(name);
      if (value) putConstant(value, tensor);
    }
    const runner = await this.#judge.open(copy);
    try {
      const tally = this.#judge.tally();
      for (const [index, { feeds, size }] of this.#batches.entries())
        tally.add(this.#base[index] ?? new Map(), await runner.run(feeds), size);
      const { kl, noise } = tally.result();
      return kl ?? noiseAsLoss * noise;
    } finally {
      await runner.dispose();
    }
  }

  accept(candidate: StandIns): void {
    for (const [value, tensor] of candidate) this.#accepted.set(value.name, tensor);
  }
}

/** 30 dB of noise weigh as much as a divergence of 0.01: what `optimize` asks of outputs that nothing judges. */
const noiseAsLoss = 10;
