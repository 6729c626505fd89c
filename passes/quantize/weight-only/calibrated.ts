import type { Model, Value } from '../../../src/ir/graph.ts';
import { computedTensor, type Tensor } from '../../../src/ir/tensor.ts';
import { dequantizeBlocks, quantizeBlocks } from '../../../src/kernels/blockwise.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { transpose } from '../../../src/kernels/quantize.ts';
import type { Activations, Gram, PassContext } from '../../../src/pass/pass.ts';
import { beyondBudget, bytesToFit, checkMemory, gptqCost, rowsOf } from '../fit-cost.ts';
import type { Linear } from '../linear.ts';
import type { LayerBook } from './book.ts';
import { fits, layerWeights, quantizeLayer } from './candidate.ts';
import { fitGptq } from './fit-gptq.ts';
import { blockFormat, decibels, type MethodName, type QuantizedLayer } from './format.ts';
import { type Attempt, consider, type Fitting, Judge } from './judge.ts';
import { type Products, products } from './product.ts';
import { lostToUnderflow } from './underflow.ts';

/** With fewer rows of data than these, and as few to judge by, nothing is fitted to them. */
const leastRows = 32;
const leastHeldOut = 8;

/** Layers by the value that they multiply, where it can be observed. */
export function layersByInput(model: Model, book: LayerBook): Map<Value, Linear[]> {
  const byInput = new Map<Value, Linear[]>();
  for (const node of model.graph.nodes) {
    if (!node.is('MatMul') && !node.is('Gemm')) continue;
    const linear = book.candidate(node);
    if (typeof linear === 'string' || linear.transA) continue;
    byInput.set(linear.a, [...(byInput.get(linear.a) ?? []), linear]);
  }
  return byInput;
}

/**
 * Quantizes the layers whose inputs can be observed, input by input. Each is judged on rows that it was not fitted to,
 * against plain rounding, and the better one is kept. With GPTQ each layer sees the inputs that the layers before it,
 * quantized by then, give. Weights that several layers share are fitted to what the first of them sees.
 */
export async function calibrate(
  model: Model,
  activations: Activations,
  book: LayerBook,
  ctx: PassContext,
  chosenByUs: boolean,
): Promise<void> {
  const byInput = layersByInput(model, book);
  const left = chosenByUs ? tooCostly(byInput, activations.samples) : tooLarge(byInput, book.options.method, ctx);
  for (const [value, why] of left) {
    for (const linear of byInput.get(value) ?? []) withoutData(linear, book, why, cheapMethod(book.options.method));
    byInput.delete(value);
  }
  // An input of another width than the weights would be an invalid model: the runtime says so when it runs.
  const requests = [...byInput].map(([value, [first]]) => ({ value, k: first?.k ?? 0 }));
  const product = products(ctx.compute);
  const sequential = book.options.method === 'gptq';
  await activations.grams(
    model,
    requests,
    async (value, gram) => {
      const todo = (byInput.get(value) ?? []).filter((linear) => linear.k === gram.k && !book.has(linear));
      await fitLayers(todo, gram, book, product, ctx.signal);
      return sequential ? standIns(todo, book) : undefined;
    },
    { sequential },
  );
}

/** Seconds of processor time for each k²·n of GPTQ in blocks, with its descent: 1.7 s at 2048×512, 4.2 s at 4096×512. */
const perWeight = 6e-10;
/** Dampings that are tried where rows are few, as they often are for many inputs. */
const factorizations = 3;

function tooCostly(byInput: ReadonlyMap<Value, readonly Linear[]>, samples: number): Map<Value, string> {
  const costs = new Map(
    [...byInput].map(([value, layers]) => {
      const outputs = layers.reduce((sum, { n }) => sum + n, 0);
      const rows = rowsOf(samples, value.shape);
      return [value, gptqCost({ k: layers[0]?.k ?? 0, outputs, rows, factorizations, perWeight })];
    }),
  );
  return beyondBudget(costs, '--method gptq');
}

/**
 * Inputs whose sums do not fit the memory, for methods that do without.
 * @throws UserError for methods that do not.
 */
function tooLarge(
  byInput: ReadonlyMap<Value, readonly Linear[]>,
  method: MethodName,
  { compute }: PassContext,
): Map<Value, string> {
  const free = compute.freeBytes?.();
  const left = new Map<Value, string>();
  for (const [value, [first]] of byInput) {
    if (!first || free === undefined || bytesToFit(method, first.k) <= free) continue;
    if (method === 'gptq' || method === 'awq')
      checkMemory(method, `"${first.node}"`, first.k, free, 'Keep it in float with --keep, or use --method kquant.');
    left.set(value, `the sums of its ${first.k} inputs do not fit the memory there is`);
  }
  return left;
}

const cheapMethod = (method: MethodName): MethodName => (method === 'gptq' || method === 'awq' ? 'kquant' : method);

/** What the layers' weights have become, in the form the weights had. */
function standIns(layers: readonly Linear[], book: LayerBook): Map<Value, Tensor> {
  const made = new Map<Value, Tensor>();
  for (const linear of layers) {
    const layer = book.quantize(linear);
    if (typeof layer !== 'string') made.set(linear.weight, standIn(linear, layer));
  }
  return made;
}

function standIn({ tensor, k, n, rows, alpha }: Linear, { quantized, format }: QuantizedLayer): Tensor {
  const { dtype, shape } = tensor;
  return computedTensor(dtype, shape, () => {
    const byOutput = dequantizeBlocks(quantized, n, k, format);
    if (alpha !== 1) for (let i = 0; i < byOutput.length; i++) byOutput[i] = (byOutput[i] as number) / alpha;
    const data = rows === 'n' ? byOutput : transpose(byOutput, n, k);
    return new Uint8Array((dtype === 'float16' ? f32ToF16(data) : data).buffer);
  });
}

async function fitLayers(
  todo: readonly Linear[],
  gram: Gram,
  book: LayerBook,
  product: Products,
  signal: AbortSignal,
): Promise<void> {
  const { k } = gram;
  const { method } = book.options;
  if (gram.rows < leastRows || gram.heldOutRows < leastHeldOut) {
    const rows = gram.rows + gram.heldOutRows;
    for (const linear of todo) withoutData(linear, book, `${rows} rows of data are too few`, cheapMethod(method));
    return;
  }
  const diagonal = Float64Array.from({ length: k }, (_, i) => gram.sum[i * k + i] as number);
  const fittings: Fitting[] = [];
  for (const linear of todo) {
    signal.throwIfAborted();
    const weights = layerWeights(linear);
    if (typeof weights === 'string') continue;
    const format = blockFormat(linear, book.optionsFor(linear));
    const judge = await Judge.of(weights, gram, product);
    const rounded = quantizeBlocks(weights, format);
    if (lostToUnderflow(linear.weight, weights, rounded, format) !== undefined) continue;
    const plain = await judge.try('rtn', rounded, format);
    const fitting: Fitting = { linear, weights, format, judge, plain, best: plain, asked: undefined };
    fittings.push(fitting);
    const weighed = method === 'gptq' ? 'clip' : method;
    const attempt = await judge.try(weighed, quantizeBlocks(weights, format, fits[weighed](format), diagonal), format);
    consider(fitting, attempt, method);
    // What there would be without data: with few rows for many inputs nothing that was fitted to them need be better.
    if (weighed !== 'kquant')
      consider(
        fitting,
        await judge.try('kquant', quantizeBlocks(weights, format, fits.kquant(format)), format),
        method,
      );
  }
  if (method === 'gptq' && fittings.length > 0) await fitGptq(fittings, gram, product, () => signal.throwIfAborted());
  for (const { linear, format, best, asked, plain, judge } of fittings) {
    const at = (attempt: Attempt): string => decibels(judge.signal, attempt.noise);
    const other = best === plain ? asked : plain;
    const against = other ? ` (${other.name} ${at(other)})` : '';
    const quality = `${at(best)} at the output with ${best.name}${against}, on rows it was not fitted to`;
    book.set(linear, { quantized: best.quantized, format, quality });
  }
}

/** A method that needs no data, and why. */
function withoutData(linear: Linear, book: LayerBook, why: string, method: MethodName): void {
  const layer = quantizeLayer(linear, { ...book.optionsFor(linear), method });
  if (typeof layer !== 'string') book.set(linear, { ...layer, quality: `${layer.quality}; ${method}, since ${why}` });
}
