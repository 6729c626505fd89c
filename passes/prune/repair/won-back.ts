import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Judge, JudgedPart, Score } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';

/** Judges the model as it came, as it was cut and as it was repaired on the same samples: what was lost, and what was won back. */
export class WonBack {
  readonly #judge: Judge;
  readonly #parts: readonly JudgedPart[];
  readonly #cut = new Map<JudgedPart, Score>();

  private constructor(judge: Judge, parts: readonly JudgedPart[]) {
    this.#judge = judge;
    this.#parts = parts;
  }

  /**
   * @param searched what goes was found by looking at samples: those that were not looked at are reported on, too
   * @returns undefined without data to judge by.
   */
  static async of(original: Model, ctx: PassContext, searched: boolean): Promise<WonBack | undefined> {
    if (!ctx.judge || ctx.activations?.source !== 'data') return undefined;
    return new WonBack(await ctx.judge(original), searched ? ['search', 'heldOut'] : ['search']);
  }

  async cut(model: Model): Promise<void> {
    for (const part of this.#parts) this.#cut.set(part, await this.#judge.score(cloneModel(model), part));
  }

  /** One for each part of the samples. */
  async sentences(model: Model): Promise<string[]> {
    const sentences: string[] = [];
    for (const [part, cut] of this.#cut) {
      const repaired = await this.#judge.score(cloneModel(model), part);
      const which = this.#parts.length === 1 ? '' : part === 'search' ? ' that the search saw' : ' that it did not see';
      sentences.push(`${change(cut, repaired)}, on ${repaired.samples} samples${which}`);
    }
    return sentences;
  }

  async dispose(): Promise<void> {
    await this.#judge.dispose();
  }
}

function change(cut: Score, repaired: Score): string {
  const { metric, base } = repaired;
  if (metric === 'sqnr')
    return `outputs keep ${cut.value.toFixed(1)} dB as cut and ${repaired.value.toFixed(1)} dB repaired`;
  return `${metric} ${base.toFixed(4)} as it came, ${cut.value.toFixed(4)} as cut (lost ${cut.drop.toFixed(4)}), ${repaired.value.toFixed(4)} repaired (lost ${repaired.drop.toFixed(4)}, won back ${(cut.drop - repaired.drop).toFixed(4)})`;
}
