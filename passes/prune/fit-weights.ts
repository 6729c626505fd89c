import { dampedHessian, factorInOrder } from '../../src/kernels/gptq.ts';
import { dropGroups, type GroupView, keepNofM, smallest } from '../../src/kernels/mask.ts';
import { transpose } from '../../src/kernels/quantize.ts';
import { type Removal, refitKept, removeSecondOrder } from '../../src/kernels/second-order.ts';
import type { Gram } from '../../src/pass/pass.ts';
import type { Products } from '../quantize/weight-only/product.ts';
import type { FitLayer } from './fit-layer.ts';
import type { Cut } from './pattern.ts';

/** With fewer rows of data than these, and as few to judge by, nothing is fitted to them. */
const leastRows = 32;
const leastHeldOut = 8;
const damping = 0.01;
const refitSteps = 20;

export const scoreNames = ['magnitude', 'wanda', 'sparsegpt'] as const;
export type ScoreName = (typeof scoreNames)[number];

/** A pruned layer on its way. */
export interface Fitted {
  readonly name: string;
  readonly rows: Float32Array;
  /** What the bias takes up, by output, as it counts in the output; zeros where there is none to change. */
  readonly bias: Float64Array;
  /** Σ (x·w − x·ŵ − b)² over the rows held out. */
  readonly noise: number;
}

export type FitAnswer =
  | { readonly best: Fitted; readonly plain: Fitted; readonly signal: number }
  | { readonly why: string };

/**
 * Prunes one layer by what it sees. Each way is judged on rows that nothing was fitted to.
 * @param hasBias whether the mean of what is lost can go into a bias
 */
export async function fitWeights(
  layer: FitLayer,
  grams: readonly Gram[],
  cut: Cut,
  score: Exclude<ScoreName, 'magnitude'>,
  hasBias: boolean,
  products: Products,
): Promise<FitAnswer> {
  const short = grams.find((gram) => gram.rows < leastRows || gram.heldOutRows < leastHeldOut);
  if (short || grams.length !== layer.groups)
    return {
      why: `${(short?.rows ?? 0) + (short?.heldOutRows ?? 0)} rows of data are too few to fit its weights to: by magnitude`,
    };
  const fit = new WeightFit(layer, grams, cut, hasBias, products);
  const plain = await fit.judge('magnitude', fit.masked(fit.rows));
  const found = score === 'wanda' ? [await fit.judge('wanda', fit.masked(fit.weighed()))] : await fit.secondOrder();
  // Asked for by name, wanda is what it gets: it claims nothing about the output.
  const best =
    score === 'wanda' ? (found[0] as Fitted) : [plain, ...found].reduce((a, b) => (b.noise < a.noise ? b : a));
  return { best, plain, signal: await fit.signal() };
}

class WeightFit {
  readonly rows: Float32Array;
  readonly #layer: FitLayer;
  readonly #grams: readonly Gram[];
  readonly #cut: Cut;
  readonly #hasBias: boolean;
  readonly #products: Products;

  constructor(layer: FitLayer, grams: readonly Gram[], cut: Cut, hasBias: boolean, products: Products) {
    this.rows = layer.rows();
    this.#layer = layer;
    this.#grams = grams;
    this.#cut = cut;
    this.#hasBias = hasBias;
    this.#products = products;
  }

  /** The weights by these scores. */
  masked(scores: Float32Array, data = this.rows): Float32Array {
    const { n, columns } = this.#layer;
    return cutBy(data, { ...columns, outer: n }, this.#cut, scores);
  }

  /** |w| · ‖x‖ (Wanda: Sun et al. 2023), each output compared within itself where a share goes. */
  weighed(): Float32Array {
    const { n, k } = this.#layer;
    const perGroup = n / this.#grams.length;
    const scores = new Float32Array(n * k);
    for (const [g, { sum }] of this.#grams.entries()) {
      const norms = Float64Array.from({ length: k }, (_, i) => Math.sqrt(sum[i * k + i] as number));
      for (let r = g * perGroup; r < (g + 1) * perGroup; r++)
        for (let i = 0; i < k; i++) scores[r * k + i] = Math.abs(this.rows[r * k + i] as number) * (norms[i] as number);
    }
    return scores;
  }

  async secondOrder(): Promise<Fitted[]> {
    const { n, k, columns } = this.#layer;
    const perGroup = n / this.#grams.length;
    const removed = new Float32Array(n * k);
    const refitted = new Float32Array(n * k);
    const kept = this.masked(this.rows);
    let done = 0;
    for (const [g, gram] of this.#grams.entries()) {
      const from = g * perGroup * k;
      const to = from + perGroup * k;
      const own = this.rows.subarray(from, to);
      const sum = this.#hasBias ? centered(gram) : gram.sum;
      const groups = columnGroups(columns, this.#cut);
      const share = Math.round((this.#toDrop() * (g + 1)) / this.#grams.length) - done;
      done += share;
      const order = Int32Array.from(groups.flat());
      const factor = await factorInOrder(sum, k, order, damping, this.#products.float64);
      if (!factor) return [];
      const removal = removalOf(this.#cut, share);
      const pruned = await removeSecondOrder(own, perGroup, factor, groups, removal, this.#products.float32);
      removed.set(pruned, from);
      const hessian = dampedHessian(sum, k, factor.damping);
      refitted.set(await refitKept(own, pruned, perGroup, k, hessian, refitSteps, this.#products.float32), from);
      const magnitude = kept.subarray(from, to);
      kept.set(await refitKept(own, magnitude, perGroup, k, hessian, refitSteps, this.#products.float32), from);
    }
    return [
      await this.judge('sparsegpt', removed),
      await this.judge('sparsegpt, refitted', refitted),
      await this.judge('magnitude, refitted', kept),
    ];
  }

  /** How much goes, in weights or in groups. */
  #toDrop(): number {
    return this.#cut.kind === 'n-of-m' ? 0 : this.#cut.drop;
  }

  async judge(name: string, rows: Float32Array): Promise<Fitted> {
    const { n, k } = this.#layer;
    const perGroup = n / this.#grams.length;
    const bias = new Float64Array(n);
    let noise = 0;
    for (const [g, gram] of this.#grams.entries()) {
      const lost = new Float32Array(perGroup * k);
      const from = g * perGroup * k;
      for (let at = 0; at < lost.length; at++)
        lost[at] = (this.rows[from + at] as number) - (rows[from + at] as number);
      if (this.#hasBias && name !== 'magnitude' && name !== 'wanda') {
        for (let r = 0; r < perGroup; r++) {
          let mean = 0;
          for (let i = 0; i < k; i++) mean += (lost[r * k + i] as number) * (gram.total[i] as number);
          bias[g * perGroup + r] = mean / gram.rows;
        }
      }
      const outputs = await this.#products.float32(
        gram.heldOut,
        transpose(lost, perGroup, k),
        gram.heldOutRows,
        k,
        perGroup,
      );
      for (let at = 0; at < outputs.length; at++)
        noise += ((outputs[at] as number) - (bias[g * perGroup + (at % perGroup)] as number)) ** 2;
    }
    return { name, rows, bias, noise };
  }

  /** Σ (x·w)² over the rows held out. */
  async signal(): Promise<number> {
    const { n, k } = this.#layer;
    const perGroup = n / this.#grams.length;
    let sum = 0;
    for (const [g, gram] of this.#grams.entries()) {
      const own = this.rows.subarray(g * perGroup * k, (g + 1) * perGroup * k);
      const outputs = await this.#products.float32(
        gram.heldOut,
        transpose(own, perGroup, k),
        gram.heldOutRows,
        k,
        perGroup,
      );
      for (let at = 0; at < outputs.length; at++) sum += (outputs[at] as number) ** 2;
    }
    return sum;
  }
}

/** Σ(x − x̄)ᵀ(x − x̄): a bias takes up what the mean carries. */
function centered({ sum, total, rows, k }: Gram): Float32Array {
  const result = sum.slice();
  for (let i = 0; i < k; i++) {
    const share = (total[i] as number) / rows;
    for (let j = 0; j < k; j++) result[i * k + j] = (result[i * k + j] as number) - share * (total[j] as number);
  }
  // What float32 lost on the way must not make the diagonal negative.
  for (let i = 0; i < k; i++) result[i * k + i] = Math.max(0, result[i * k + i] as number);
  return result;
}

/** Drops by scores: a share of all, N of M, or whole groups. */
export function cutBy(data: Float32Array, view: GroupView, cut: Cut, scores = data): Float32Array {
  if (cut.kind === 'n-of-m') return keepNofM(data, view, cut.n, cut.m, scores);
  if (cut.kind === 'groups') return dropGroups(data, view, cut.size, cut.drop, scores);
  const gone = smallest(scores, cut.drop);
  return data.map((w, at) => (gone[at] === 1 ? 0 : w));
}

/** Inputs of one row that are decided on together. */
function columnGroups({ length, inner }: GroupView, cut: Cut): number[][] {
  const size = cut.kind === 'share' ? 1 : cut.kind === 'n-of-m' ? cut.m : cut.size;
  const groups: number[][] = [];
  for (let i = 0; i < inner; i++)
    for (let j = 0; j < length; j += size)
      groups.push(Array.from({ length: Math.min(size, length - j) }, (_, at) => (j + at) * inner + i));
  return groups;
}

function removalOf(cut: Cut, share: number): Removal {
  if (cut.kind === 'n-of-m') return cut;
  return { kind: cut.kind, drop: share };
}
