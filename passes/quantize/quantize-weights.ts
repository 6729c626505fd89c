import { UserError } from '../../src/errors.ts';
import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { storedBits } from '../../src/kernels/block-fit.ts';
import { formatBytes } from '../../src/messages.ts';
import { type OptionValues, opt } from '../../src/pass/options.ts';
import { type Activations, definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { walk } from '../../src/rewrite/driver.ts';
import { isKept, keepRule, reportUnmatched } from '../../src/rewrite/keep.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { embeddingRule } from './dynamic/embedding.ts';
import { expertsRule, typesForExperts } from './dynamic/experts.ts';
import { retieTables } from './retie.ts';
import { inlineRule, openLayers, takesWeights } from './static/open-functions.ts';
import { readTable } from './table.ts';
import { batchedRule, pointwiseRule, typesForBatches } from './weight-only/as-matmul.ts';
import { scaleInputs } from './weight-only/awq.ts';
import { blockedDequantizeRule } from './weight-only/blocked-dq.ts';
import { bnb4Rule } from './weight-only/bnb4.ts';
import { LayerBook } from './weight-only/book.ts';
import { calibrate } from './weight-only/calibrated.ts';
import {
  defaultMethod,
  type FormatName,
  formatNames,
  isTied,
  type MethodName,
  methodNames,
  type WeightOnlyOptions,
} from './weight-only/format.ts';
import { canGather, gatherRule } from './weight-only/gather.ts';
import { matMulNBitsRule } from './weight-only/matmul-nbits.ts';
import { LayerPlan, recipeNames } from './weight-only/plan.ts';
import { BlockStore } from './weight-only/store.ts';

const options = {
  bits: opt.choice([2, 3, 4, 8], 4, 'bits per weight; 3 is stored in 4 and compresses better'),
  block: opt.choice([16, 32, 64, 128, 256], 32, 'weights that share a scale; 128 is faster and smaller, 32 more exact'),
  symmetric: opt.boolean(false, 'no zero points: up to 1 dB less exact, 2 % smaller, as fast'),
  format: opt.choice(
    formatNames,
    'matmul-nbits',
    'MatMulNBits of ONNX Runtime, blocked DequantizeLinear (opset 21), or MatMulBnb4 with the NF4 values',
  ),
  method: opt.choice(
    ['auto', ...methodNames],
    'auto',
    'how codes are chosen; auto: gptq where there is data (or a language model that writes its own) and it does not take minutes, else kquant. rtn rounds, clip searches the range, kquant fits scales by least squares, hqq moves zero points, awq scales inputs by what they carry, gptq makes up for errors (both need --data); clip and kquant weigh inputs by the data, if any',
  ),
  realZeros: opt.boolean(false, 'hqq: real zero points, a little more exact, in a kernel that is 20 times slower'),
  recipe: opt.choice(
    recipeNames,
    'uniform',
    'mixed: the output layer, layers that narrow by half or more, and the first and last eighth in 8 bits',
  ),
  layer: opt.list(
    [],
    'NAME=BITS for single layers (2, 3, 4, 8, float); NAME is a node, output or weight, * any letters',
  ),
  embeddings: opt.choice(
    ['float', 2, 4, 8],
    8,
    'bits of embedding tables; those that an output layer shares have as many as that layer, if it has more',
  ),
  accuracyLevel: opt.choice(
    ['auto', 0, 1, 2, 3, 4],
    'auto',
    'arithmetic of MatMulNBits: 1 float32, 2 float16, 3 bfloat16, 4 int8; auto: 4, and 1 for small layers in 4 bits, over whose rows float is faster',
  ),
  conv: opt.boolean(
    false,
    'convolutions with a window of one position too, as products between Transposes: smaller, and on the CPU slower',
  ),
  minElements: opt.int(1024, 'leave weights with fewer elements in float', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, that stay in float'),
} as const;

type Given = Omit<OptionValues<typeof options>, 'method'> & WeightOnlyOptions;

/** Decibels that plain rounding keeps at the outputs of small networks, the hardest case. */
const floor = { 2: -10, 3: 0, 4: 8, 8: 25 } as const;

/** Weights in 2, 3, 4 or 8 bits, activations in float. */
export const quantizeWeights = definePass({
  id: 'quantize-weights',
  summary: 'INT4 (2, 3, 8) weights in blocks with float activations (MatMulNBits); no data needed',
  options,
  rules: {
    ...constantCopyRule,
    inline: inlineRule,
    'matmul-nbits': 'MatMul and Gemm with constant weights become MatMulNBits',
    batched: 'Products with a batch of constant matrices become one product for each matrix',
    pointwise: 'Convolutions with a window of one position become products (--conv)',
    'blocked-dq': 'Weights of MatMul and Gemm are stored in blocks behind DequantizeLinear',
    bnb4: 'MatMul and Gemm with constant weights become MatMulBnb4 (NF4)',
    embedding:
      'Embedding tables are looked up in blocks of codes (GatherBlockQuantized), or in 8 bits with one scale per row',
    experts: 'Experts that a Gather picks are stored in 8 bits, with one scale for each output',
    retie: 'Output layers that were written out as their embedding transposed read it again',
    opset: 'The opset is raised to one that has DequantizeLinear by blocks',
    layer: 'Names given with --layer that stand for nothing',
    awq: 'Inputs that carry more get finer weights; the factor goes into what comes before',
    keep: 'Names given with --keep that stand for nothing',
  },
  numerics: ({ bits }) => lossy(floor[bits]),
  async run(model, options, ctx) {
    const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
    const opened = openLayers(model, ctx, takesWeights);
    const copies = readThroughCopies(model, trace);
    const activations = await samplesOf(model, options, ctx);
    const method = options.method === 'auto' ? methodFor(options.format, activations) : options.method;
    const given = { ...options, method };
    checkConflicts(given);
    const plan = LayerPlan.of(model, given.bits, given.recipe, given.layer);
    plan.reportUnmatched(model, ctx);
    reportUnmatched(model, given.keep, ctx);
    const { keep, minElements, format } = given;
    const blocked = given.embeddings !== 'float' && format !== 'qdq';
    const gathers = (node: Node): boolean =>
      blocked && !isKept(node, keep) && typeof plan.bitsOf(node) === 'number' && canGather(node, minElements);
    const split = asMatMul(model, given, plan, ctx);
    const retied = blocked && format === 'matmul-nbits' && retieTables(model, tablesOf(model, gathers), ctx);
    const raised = format === 'qdq' && raiseOpset(model, given, plan, ctx);
    const book = new LayerBook(given, plan, keep, format === 'matmul-nbits' ? gathers : () => false);
    const scaled = await chooseCodes(model, book, activations, ctx, options.method === 'auto');
    const shared = sharedTables(model, book);
    const types = typesForExperts(model);
    const { changed } = walk(model, rulesOf(given, book, plan), trace, {
      allMisses: ctx.explain ?? false,
      ...(types && { types }),
    });
    for (const sentence of shared) ctx.note?.(sentence);
    reportOthers(model, changed, ctx);
    return { changed: changed || opened || copies || split || retied || raised || scaled };
  },
});

/** Gives what is a product in another form that of a product. @returns whether something changed */
function asMatMul(model: Model, { conv, keep, minElements }: Given, plan: LayerPlan, ctx: PassContext): boolean {
  const keptWhy = (node: Node): string | undefined => {
    if (isKept(node, keep)) return 'you asked for it to stay as it is (--keep)';
    const bits = plan.bitsOf(node);
    return typeof bits === 'number' ? undefined : bits.why;
  };
  const options = { minElements, keptWhy };
  const rules = [batchedRule(options), ...(conv ? [pointwiseRule(options)] : [])];
  const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
  const types = typesForBatches(model);
  return walk(model, rules, trace, { allMisses: ctx.explain ?? false, ...(types && { types }) }).changed;
}

/** Weights that stand in operators which have no such form: Einsum always, since it need not stay one; the others where nothing was quantized. */
function reportOthers(model: Model, changed: boolean, ctx: PassContext): void {
  const counts = new Map<string, number>();
  const hasMatrix = (node: Node): boolean => node.inputs.some((input) => (constantOf(input)?.shape.length ?? 0) > 1);
  for (const graph of model.graphs())
    for (const node of graph.nodes) {
      const told = node.op === 'Einsum' || (!changed && withoutBlocks.has(node.op));
      if (told && node.domain === '' && hasMatrix(node)) counts.set(node.op, (counts.get(node.op) ?? 0) + 1);
    }
  for (const [op, count] of counts) {
    const advice =
      op === 'Einsum'
        ? 'mlpack fuse turns those into products that are some'
        : 'quantize-static or quantize-dynamic store the others in 8 bits';
    const why = `${count} ${op}: only MatMul and Gemm (and tables of Gather) have a form with weights in blocks; ${advice}`;
    ctx.skipped('matmul-nbits', 'model', why);
  }
}

const withoutBlocks: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'LSTM', 'GRU', 'RNN']);

/** The first opset that has DequantizeLinear by blocks. */
const blockedOpset = 21;

/** Raises the opset where something could be quantized then. @returns whether it did */
function raiseOpset(model: Model, given: Given, plan: LayerPlan, ctx: PassContext): boolean {
  const { opset } = model;
  if (opset >= blockedOpset) return false;
  const book = new LayerBook(given, plan, given.keep, () => false);
  const worth = [...model.graph.nodes].some(
    (node) => (node.is('MatMul') || node.is('Gemm')) && typeof book.candidate(node) !== 'string',
  );
  if (!worth) return false;
  const why = upgradeOpset(model, blockedOpset);
  if (why === undefined) ctx.applied('opset', 'model', `raised from ${opset} to ${blockedOpset}`);
  else ctx.skipped('opset', 'model', why);
  return why === undefined;
}

function rulesOf(given: Given, book: LayerBook, plan: LayerPlan): Rule[] {
  const { format, embeddings, minElements, keep, block, accuracyLevel } = given;
  const store = new BlockStore(book);
  const product = {
    'matmul-nbits': () => matMulNBitsRule(book, store, accuracyLevel),
    qdq: () => blockedDequantizeRule(book),
    bnb4: () => bnb4Rule(book, block),
  }[format]();
  const experts = expertsRule(minElements, (node) => book.keptWhy(node));
  if (embeddings === 'float') return [experts, product];
  if (format === 'qdq') return [keepRule(embeddingRule(minElements), keep), experts, product];
  // Lookups read one row at a time: nothing to fit to data, and plain rounding in 8 bits loses next to nothing.
  const tables = new LayerBook(
    { ...book.options, bits: embeddings, method: 'kquant' },
    plan.withBits(embeddings),
    keep,
    () => true,
  );
  return [keepRule(gatherRule(book, tables, store, minElements), keep), experts, product];
}

/** What nobody would look for: bits of a table decide over all scores where an output layer shares it, and it is the largest weight. */
function sharedTables(model: Model, book: LayerBook): string[] {
  const told = new Map<Value, string>();
  for (const node of [...model.graphs()].flatMap((graph) => [...graph.nodes])) {
    if (!node.is('MatMul') && !node.is('Gemm')) continue;
    const linear = book.candidate(node);
    if (typeof linear === 'string' || !isTied(linear)) continue;
    const { weight, n, k } = linear;
    const bits = storedBits(book.optionsFor(linear).bits);
    const alone = storedBits(book.optionsFor({ node }).bits);
    if (alone === 8) continue;
    const size = (width: number): string => formatBytes((n * k * width) / 8);
    const advice =
      bits > alone
        ? `--embeddings ${alone} makes it ${size(alone)}, and every score less exact`
        : `8 bits (${size(8)}) keep scores more exact`;
    told.set(
      weight,
      `"${weight.name}" is embedding and output layer in one, stored once in ${bits} bits (${size(bits)}); ${advice}`,
    );
  }
  return [...told.values()];
}

function tablesOf(model: Model, gathers: (node: Node) => boolean): Set<Value> {
  const tables = new Set<Value>();
  for (const node of model.graph.nodes) {
    if (!node.is('Gather') || !gathers(node)) continue;
    const table = readTable(node, 0);
    if (!('why' in table) && table.value.tensor) tables.add(table.value);
  }
  return tables;
}

function methodFor(format: FormatName, activations: Activations | undefined): MethodName {
  return format === 'bnb4' ? 'rtn' : defaultMethod(activations !== undefined);
}

/** The data; without any, text that a language model writes itself, where the method can use it. */
async function samplesOf(
  model: Model,
  { method, format }: OptionValues<typeof options>,
  ctx: PassContext,
): Promise<Activations | undefined> {
  const fitted = method === 'gptq' || method === 'awq' || (method === 'auto' && format !== 'bnb4');
  if (ctx.activations || !fitted || !ctx.ownText) return ctx.activations;
  ctx.progress?.('text of the model’s own');
  const own = await ctx.ownText(model);
  if (typeof own === 'string') return undefined;
  ctx.note?.(
    `no data was given: weights are fitted to ${own.samples} texts that the model wrote itself (made-up data)`,
  );
  return own;
}

/** @throws UserError for choices that exclude each other. */
function checkConflicts({ method, format, bits, realZeros }: Given): void {
  const conflict = (message: string): never => {
    throw new UserError('option.conflict', message);
  };
  if (realZeros && method !== 'hqq') conflict('--real-zeros are what --method hqq finds; the other methods have none.');
  if (realZeros && format === 'qdq')
    conflict('--real-zeros cannot be held by DequantizeLinear: leave it out, or use --format matmul-nbits.');
  if (realZeros && bits === 8)
    conflict('--real-zeros: ONNX Runtime computes with them in 4 and 2 bits only: leave it out, or use --bits 4.');
  if (format === 'bnb4' && bits !== 4) conflict('--format bnb4 has the 16 values of NF4: it takes --bits 4 only.');
  if (format === 'bnb4' && method !== 'rtn')
    conflict('--format bnb4 scales each block to its largest value: it takes --method rtn only.');
}

/** Codes that are chosen ahead, where the method looks at activations. @returns whether the model changed for it */
async function chooseCodes(
  model: Model,
  book: LayerBook,
  activations: Activations | undefined,
  ctx: PassContext,
  chosenByUs: boolean,
): Promise<boolean> {
  const { method }: WeightOnlyOptions = book.options;
  if ((method === 'gptq' || method === 'awq') && !activations)
    throw new UserError(
      'calibration.none',
      `--method ${method} fits the weights to samples, and there are none: give a folder of them with --data, or use --method kquant, which needs none.`,
    );
  if (!activations || method === 'rtn' || method === 'hqq') return false;
  const scaled = method === 'awq' && (await scaleInputs(model, activations, book, ctx));
  await calibrate(model, activations, book, ctx, chosenByUs);
  return scaled;
}
