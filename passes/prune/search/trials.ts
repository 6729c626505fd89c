import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import { type Floor, type Judge, type JudgedBatch, keepsFloor, type Score } from '../../../src/pass/judge.ts';
import type { Activations, PairSampling, PassContext } from '../../../src/pass/pass.ts';
import { sizeOf } from '../gates.ts';
import { repairReaders } from '../repair/repair.ts';
import { type Parts, type Shape, takeOut } from './parts.ts';

/** Inputs that are held in memory, at most. */
const mostBytes = 400e6;

/** Looked at more coarsely than a final fit: prices only have to be told apart. */
const coarsely: PairSampling = { samples: 64, rows: { least: 4096, perInput: 8 } };

/** A verdict is on a somewhat worse fit than the last one, which takes the whole of the samples: what keeps the floor keeps it then, too. */
const fairly: PairSampling = { rows: { least: 8192, perInput: 16 } };

export interface TrialOptions {
  readonly samples: number;
  readonly keep: readonly string[];
}

/** What the original gives. */
interface Reference {
  readonly batches: readonly JudgedBatch[];
  readonly base: readonly Map<string, Tensor>[];
}

/** Tries shapes on copies of a model: cut, fitted, measured. */
export class Trials {
  readonly #original: Model;
  readonly #parts: Parts;
  readonly #judge: Judge;
  readonly #activations: Activations;
  readonly #options: TrialOptions;
  readonly #silent: PassContext;
  #seen: Reference | undefined;

  constructor(
    original: Model,
    parts: Parts,
    judge: Judge,
    activations: Activations,
    options: TrialOptions,
    ctx: PassContext,
  ) {
    this.#original = original;
    this.#parts = parts;
    this.#judge = judge;
    this.#activations = activations;
    this.#options = options;
    this.#silent = { ...ctx, applied: () => {}, skipped: () => {}, note: undefined };
  }

  /** What the outputs lose, cut and coarsely fitted: divergence of class scores, or noise. */
  async loss(shape: Shape): Promise<number> {
    const { batches, base } = await this.#reference();
    const runner = await this.#judge.open(await this.#fitted(shape, coarsely));
    try {
      const tally = this.#judge.tally();
      for (const [index, { feeds, size }] of batches.entries())
        tally.add(base[index] ?? new Map(), await runner.run(feeds), size);
      return sizeOf(tally.result());
    } finally {
      await runner.dispose();
    }
  }

  /** The same more closely, on up to eight times as many samples: what whole shapes are compared by. Nothing here looks at a label. */
  async closeLoss(shape: Shape): Promise<number> {
    const batches = await this.#judge.some(await this.#many(), this.#options.samples);
    const [before, after] = [
      await this.#judge.open(this.#original),
      await this.#judge.open(await this.#fitted(shape, undefined)),
    ];
    try {
      const tally = this.#judge.tally();
      for (const { feeds, size } of batches) tally.add(await before.run(feeds), await after.run(feeds), size);
      return sizeOf(tally.result());
    } finally {
      await before.dispose();
      await after.dispose();
    }
  }

  async #many(): Promise<number> {
    const [one] = await this.#judge.some(1, 1);
    const bytes = [...(one?.feeds.values() ?? [])].reduce((sum, tensor) => sum + tensor.byteLength, 0);
    return Math.max(1, Math.min(8 * this.#options.samples, Math.floor(mostBytes / Math.max(1, bytes))));
  }

  /** On the samples that no search looked at. */
  async confirm(shape: Shape): Promise<Score> {
    return await this.#judge.score(await this.#fitted(shape, fairly), 'heldOut');
  }

  /** Cut, fitted and judged on the samples that the search may look at. */
  async verdict(shape: Shape, floor: Floor): Promise<{ keeps: boolean; score: Score }> {
    const score = await this.#judge.score(await this.#fitted(shape, fairly), 'search');
    return { keeps: keepsFloor(score, floor), score };
  }

  async #fitted(shape: Shape, sampling: PairSampling | undefined): Promise<Model> {
    const model = cloneModel(this.#original);
    const narrowed = takeOut(model, this.#parts, shape, this.#options.keep, this.#silent);
    await repairReaders(this.#original, model, narrowed, this.#activations, 'weights', this.#silent, sampling);
    return model;
  }

  async #reference(): Promise<Reference> {
    if (this.#seen) return this.#seen;
    const batches = await this.#judge.some(this.#options.samples, this.#options.samples);
    const runner = await this.#judge.open(this.#original);
    try {
      const base: Map<string, Tensor>[] = [];
      for (const { feeds } of batches) base.push(await runner.run(feeds));
      this.#seen = { batches, base };
      return this.#seen;
    } finally {
      await runner.dispose();
    }
  }
}
