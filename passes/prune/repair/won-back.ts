import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Score } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';

/** Judges the model as it came, as it was cut and as it was repaired on the same samples: what was lost, and what was won back. */
export class WonBack {
  readonly #judge: Awaited<ReturnType<NonNullable<PassContext['judge']>>>;
  #cut: Score | undefined;

  private constructor(judge: Awaited<ReturnType<NonNullable<PassContext['judge']>>>) {
    this.#judge = judge;
  }

  /** @returns undefined without data to judge by. */
  static async of(original: Model, ctx: PassContext): Promise<WonBack | undefined> {
    if (!ctx.judge || ctx.activations?.source !== 'data') return undefined;
    return new WonBack(await ctx.judge(original));
  }

  async cut(model: Model): Promise<void> {
    this.#cut = await this.#judge.score(cloneModel(model), 'search');
  }

  async sentence(model: Model): Promise<string | undefined> {
    const [cut, repaired] = [this.#cut, await this.#judge.score(cloneModel(model), 'search')];
    if (!cut) return undefined;
    const { metric, base, samples } = repaired;
    if (metric === 'sqnr')
      return `outputs keep ${cut.value.toFixed(1)} dB as cut and ${repaired.value.toFixed(1)} dB repaired, on ${samples} samples`;
    return `${metric} ${base.toFixed(4)} as it came, ${cut.value.toFixed(4)} as cut (lost ${cut.drop.toFixed(4)}), ${repaired.value.toFixed(4)} repaired (won back ${(cut.drop - repaired.drop).toFixed(4)}), on ${samples} samples`;
  }

  async dispose(): Promise<void> {
    await this.#judge.dispose();
  }
}
