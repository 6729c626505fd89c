import type { Model, Value } from '../../../src/ir/graph.ts';
import { dequantizeBlocks, quantizeBlocks } from '../../../src/kernels/blockwise.ts';
import { transpose } from '../../../src/kernels/quantize.ts';
import type { Activations, Gram, PassContext } from '../../../src/pass/pass.ts';
import { canScale, moveScale } from '../input-scale.ts';
import type { Linear } from '../linear.ts';
import type { LayerBook } from './book.ts';
import { layersByInput } from './calibrated.ts';
import { layerWeights } from './candidate.ts';
import { blockFormat } from './format.ts';
import { Judge } from './judge.ts';
import { type Products, products } from './product.ts';

/** Exponents that are tried; 0 leaves everything as it is. */
const exponents = Array.from({ length: 11 }, (_, i) => i / 10);
/** Rows to judge an exponent by; it is one number, which a few tell. */
const mostRows = 256;
const leastRows = 32;
/** A Mul on every run is worth this share of the error; what folds away costs nothing. */
const worthANode = 0.05;

/**
 * AWQ (Lin et al. 2023): inputs that carry more are given finer weights. With s = rms(x)^α, scaled to √(max·min) = 1, the layers
 * that share an input multiply x/s with s·W; α is the one with the smallest error at their outputs on held-out rows. 1/s goes
 * into what makes x (see moveScale).
 * @returns whether the model changed
 */
export async function scaleInputs(
  model: Model,
  activations: Activations,
  book: LayerBook,
  ctx: PassContext,
): Promise<boolean> {
  const byInput = new Map<Value, Linear[]>();
  for (const [value, layers] of layersByInput(model, book))
    if (layers.every(({ node, tensor }) => tensor.dtype === 'float32' && canScale(node.input(1))))
      byInput.set(value, layers);
  const chosen = new Map<Value, Choice>();
  const product = products(ctx.compute);
  await activations.grams(
    model,
    [...byInput].map(([value, [first]]) => ({ value, k: first?.k ?? 0 })),
    async (value, gram) => {
      ctx.signal.throwIfAborted();
      const layers = (byInput.get(value) ?? []).filter(({ k }) => k === gram.k);
      const choice = gram.rows < leastRows ? undefined : await chooseScale(layers, gram, book, product);
      if (choice && choice.noise < choice.plain) chosen.set(value, choice);
    },
  );
  let changed = false;
  for (const [value, { scales, alpha, noise, plain }] of chosen) {
    const layers = byInput.get(value) as Linear[];
    const saved = 1 - noise / plain;
    const [first] = layers;
    if (!first) continue;
    const folded = moveScale(model, value, layers, scales, saved >= worthANode);
    if (folded === undefined) continue;
    changed = true;
    const where = folded ? 'folded into what comes before' : 'with a Mul';
    ctx.applied('awq', first.node, `inputs scaled by rms^${alpha}, ${where}: ${(100 * saved).toFixed(0)} % less error`);
  }
  return changed;
}

interface Choice {
  readonly scales: Float32Array;
  readonly alpha: number;
  /** Σ of the squared errors at the outputs, with and without. */
  readonly noise: number;
  readonly plain: number;
}

async function chooseScale(
  layers: readonly Linear[],
  gram: Gram,
  book: LayerBook,
  product: Products,
): Promise<Choice | undefined> {
  const { k } = gram;
  const heldOutRows = Math.min(mostRows, gram.heldOutRows);
  const rows = { ...gram, heldOutRows, heldOut: gram.heldOut.subarray(0, heldOutRows * k) };
  const rms = Float64Array.from({ length: k }, (_, i) => Math.sqrt((gram.sum[i * k + i] as number) / gram.rows));
  const judged = [];
  for (const linear of layers) {
    const weights = layerWeights(linear);
    if (typeof weights === 'string') return undefined;
    judged.push({
      linear,
      weights,
      format: blockFormat(linear, book.optionsFor(linear)),
      judge: await Judge.of(weights, rows, product),
    });
  }
  let best: Choice | undefined;
  let plain = 0;
  for (const alpha of exponents) {
    const scales = scalesOf(rms, alpha);
    let noise = 0;
    for (const { linear, weights, format, judge } of judged) {
      const { n } = linear;
      const data = weights.data.slice();
      scaleRows(data, k, n, weights.rows, scales);
      const back = dequantizeBlocks(quantizeBlocks({ ...weights, data }, format), n, k, format);
      scaleRows(
        back,
        k,
        n,
        'n',
        scales.map((s) => 1 / s),
      );
      noise += await judge.noiseOf(transpose(back, n, k));
    }
    if (alpha === 0) plain = noise;
    if (!best || noise < best.noise) best = { scales, alpha, noise, plain };
  }
  return best;
}

/** rms^α, scaled so that the largest times the smallest is 1. Inputs that carry nothing count as the smallest that do. */
function scalesOf(rms: Float64Array, alpha: number): Float32Array {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const x of rms) {
    if (x > 0) low = Math.min(low, x);
    high = Math.max(high, x);
  }
  if (!(high > 0) || !Number.isFinite(high)) return new Float32Array(rms.length).fill(1);
  // Beyond four decades nothing is to be gained, and numbers leave the range of halves.
  const floor = Math.max(low, high * 1e-4);
  const middle = Math.sqrt(floor * high);
  return Float32Array.from(rms, (x) => (Math.max(x, floor) / middle) ** alpha);
}

/** Multiplies what belongs to input i by scales[i]. */
function scaleRows(data: Float32Array, k: number, n: number, rows: 'k' | 'n', scales: Float32Array): void {
  for (let at = 0; at < data.length; at++) {
    const input = rows === 'n' ? at % k : Math.floor(at / n);
    data[at] = (data[at] as number) * (scales[input] as number);
  }
}
