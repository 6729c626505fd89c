import type { Model, Value } from '../../../src/ir/graph.ts';
import type { BlockFormat } from '../../../src/kernels/block-fit.ts';
import {
  type BlockQuantized,
  dequantizeBlocks,
  type LinearWeights,
  quantizeBlocks,
} from '../../../src/kernels/blockwise.ts';
import { dampedHessian, gptqBlocks, gptqFactor } from '../../../src/kernels/gptq.ts';
import { refineBlocks } from '../../../src/kernels/gptq-refine.ts';
import { transpose } from '../../../src/kernels/quantize.ts';
import type { Activations, Gram, PassContext } from '../../../src/pass/pass.ts';
import type { Linear } from '../linear.ts';
import type { LayerBook } from './book.ts';
import { fits, layerWeights, quantizeLayer } from './candidate.ts';
import { blockFormat, decibels, type WeightOnlyOptions } from './format.ts';
import { type Product, products } from './product.ts';

/** With fewer rows of data than these, and as few to judge by, nothing is fitted to them. */
const leastRows = 32;
const leastHeldOut = 8;

/** Shares of the mean diagonal to damp with: the fewer rows for each input, the stronger; with few, several are tried. */
function dampingsFor(rows: number, k: number): readonly number[] {
  if (rows < 4 * k) return [0.01, 0.1, 1];
  return rows < 16 * k ? [0.03] : [0.01];
}

/** Coordinate descent after GPTQ: most of its gain comes in two sweeps. In layers above this cost (K²·N) it would take minutes. */
const sweeps = 2;
const mostRefined = 2e9;

/**
 * Quantizes the layers whose inputs can be observed, input by input. Each is judged on rows that it was not fitted to,
 * against plain rounding, and the better one is kept. Weights that several layers share are fitted to what the first of
 * them sees.
 */
export async function calibrate(
  model: Model,
  activations: Activations,
  book: LayerBook,
  ctx: PassContext,
): Promise<void> {
  const byInput = new Map<Value, Linear[]>();
  for (const node of model.graph.nodes) {
    if (!node.is('MatMul') && !node.is('Gemm')) continue;
    const linear = book.candidate(node);
    if (typeof linear === 'string' || linear.transA) continue;
    byInput.set(linear.a, [...(byInput.get(linear.a) ?? []), linear]);
  }
  // An input of another width than the weights would be an invalid model: the runtime says so when it runs.
  const requests = [...byInput].map(([value, [first]]) => ({ value, k: first?.k ?? 0 }));
  const product = products(ctx.compute);
  await activations.grams(model, requests, async (value, gram) => {
    const todo = (byInput.get(value) ?? []).filter((linear) => linear.k === gram.k && !book.has(linear));
    await fitLayers(todo, gram, book, product, ctx.signal);
  });
}

interface Attempt {
  readonly name: string;
  readonly quantized: BlockQuantized;
  readonly noise: number;
}

interface Fitting {
  readonly linear: Linear;
  readonly weights: LinearWeights;
  readonly format: BlockFormat;
  readonly judge: Judge;
  readonly plain: Attempt;
  best: Attempt;
  /** The best of the method asked for, whether it won or not. */
  asked: Attempt | undefined;
}

async function fitLayers(
  todo: readonly Linear[],
  gram: Gram,
  book: LayerBook,
  product: Product,
  signal: AbortSignal,
): Promise<void> {
  const { k } = gram;
  const { options } = book;
  if (gram.rows < leastRows || gram.heldOutRows < leastHeldOut) {
    for (const linear of todo) {
      const layer = quantizeLayer(linear, { ...book.optionsFor(linear), method: 'rtn' });
      if (typeof layer === 'string') continue;
      const rows = gram.rows + gram.heldOutRows;
      book.set(linear, { ...layer, quality: `${layer.quality}; rtn, since ${rows} rows of data are too few` });
    }
    return;
  }
  const diagonal = Float64Array.from({ length: k }, (_, i) => gram.sum[i * k + i] as number);
  const fittings: Fitting[] = [];
  for (const linear of todo) {
    const weights = layerWeights(linear);
    if (typeof weights === 'string') continue;
    const format = blockFormat(linear, book.optionsFor(linear));
    const judge = await Judge.of(weights, gram, product);
    const plain = await judge.try('rtn', quantizeBlocks(weights, format), format);
    const fitting: Fitting = { linear, weights, format, judge, plain, best: plain, asked: undefined };
    fittings.push(fitting);
    const weighed = options.method === 'gptq' ? 'clip' : options.method;
    const attempt = await judge.try(weighed, quantizeBlocks(weights, format, fits[weighed](format), diagonal), format);
    consider(fitting, attempt, options);
  }
  if (options.method === 'gptq' && fittings.length > 0)
    await fitGptq(fittings, gram, options, () => signal.throwIfAborted());
  for (const { linear, format, best, asked, plain, judge } of fittings) {
    const at = (attempt: Attempt): string => decibels(judge.signal, attempt.noise);
    const other = best === plain ? asked : plain;
    const against = other ? ` (${other.name} ${at(other)})` : '';
    const quality = `${at(best)} at the output with ${best.name}${against}, on rows it was not fitted to`;
    book.set(linear, { quantized: best.quantized, format, quality });
  }
}

/** Tries dampings, and refines the best of what came out. */
async function fitGptq(
  fittings: readonly Fitting[],
  gram: Gram,
  options: WeightOnlyOptions,
  stop: () => void,
): Promise<void> {
  const { k, sum, rows } = gram;
  const dampings = new Map<Attempt, number>();
  for (const damping of dampingsFor(rows, k)) {
    const factor = gptqFactor(sum, k, options.block, damping);
    if (!factor) continue;
    for (const fitting of fittings) {
      const { weights, format, judge } = fitting;
      const attempt = await judge.try('gptq', gptqBlocks(weights, format, factor, stop), format);
      dampings.set(attempt, factor.damping);
      consider(fitting, attempt, options);
    }
  }
  for (const fitting of fittings) {
    const { weights, format, judge, asked } = fitting;
    const damping = asked && dampings.get(asked);
    if (!asked || damping === undefined || k * k * weights.n > mostRefined) continue;
    const hessian = dampedHessian(sum, k, damping);
    const refined = refineBlocks(weights, format, hessian, asked.quantized, sweeps, stop);
    consider(fitting, await judge.try('gptq', refined, format), options);
  }
}

function consider(fitting: Fitting, attempt: Attempt, { method }: WeightOnlyOptions): void {
  if (attempt.name === method && !(fitting.asked && fitting.asked.noise <= attempt.noise)) fitting.asked = attempt;
  if (attempt.noise < fitting.best.noise) fitting.best = attempt;
}

/** Measures what quantized weights do to the outputs of held-out rows. */
class Judge {
  /** Σ(x·w)² over the rows and outputs. */
  readonly signal: number;
  readonly #weights: Float32Array;
  readonly #gram: Gram;
  readonly #n: number;
  readonly #product: Product;

  private constructor(weights: Float32Array, n: number, gram: Gram, product: Product, signal: number) {
    this.#weights = weights;
    this.#n = n;
    this.#gram = gram;
    this.#product = product;
    this.signal = signal;
  }

  static async of({ data, k, n, rows }: LinearWeights, gram: Gram, product: Product): Promise<Judge> {
    const byInput = rows === 'k' ? data : transpose(data, n, k);
    const outputs = await product(gram.heldOut, byInput, gram.heldOutRows, k, n);
    return new Judge(byInput, n, gram, product, squares(outputs));
  }

  async try(name: string, quantized: BlockQuantized, format: BlockFormat): Promise<Attempt> {
    const { k, heldOut, heldOutRows } = this.#gram;
    const difference = transpose(dequantizeBlocks(quantized, this.#n, k, format), this.#n, k);
    for (let i = 0; i < difference.length; i++)
      difference[i] = (difference[i] as number) - (this.#weights[i] as number);
    const errors = await this.#product(heldOut, difference, heldOutRows, k, this.#n);
    return { name, quantized, noise: squares(errors) };
  }
}

function squares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return sum;
}
