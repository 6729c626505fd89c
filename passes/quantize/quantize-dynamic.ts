import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { walk } from '../../src/rewrite/driver.ts';
import { isKept, keepRule, reportUnmatched } from '../../src/rewrite/keep.ts';
import { miss } from '../../src/rewrite/match.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { cpuProfiles, reduceFor, saturates } from './cpu.ts';
import { attentionRule } from './dynamic/attention.ts';
import { convRule } from './dynamic/conv.ts';
import { embeddingRule } from './dynamic/embedding.ts';
import { expertsRule, typesForExperts } from './dynamic/experts.ts';
import { ActivationStore, linearRule } from './dynamic/linear.ts';
import { lstmRule } from './dynamic/lstm.ts';
import { storedRule } from './dynamic/stored.ts';
import { type WeightFormat, WeightStore } from './dynamic/weights.ts';
import { readLinear } from './linear.ts';
import { retieTables } from './retie.ts';
import { inlineRule, openLayers, takesWeights } from './static/open-functions.ts';
import { readTable } from './table.ts';

const options = {
  weights: opt.choice(
    ['auto', 's8', 'u8'],
    'auto',
    'signed or unsigned codes; auto: signed, the faster kernel, and unsigned on wasm, where that is',
  ),
  cpu: opt.choice(
    cpuProfiles,
    'auto',
    'processor the model will run on; auto: any of them, so the most cautious choice',
  ),
  reduceRange: opt.choice(
    ['auto', 'yes', 'no'],
    'auto',
    '7-bit signed weights; auto: only as far as products could saturate, on processors that do (no VNNI)',
  ),
  ranges: opt.choice(
    ['minmax', 'mse'],
    'minmax',
    'ranges of weights of MatMul and Gemm: minmax (all of them), or mse (cut where that makes the squared error of the weights least)',
  ),
  embeddings: opt.boolean(true, 'store embedding tables in 8 bits too'),
  conv: opt.boolean(false, 'integer convolutions: measure them, for they are seldom faster'),
  stored: opt.boolean(true, 'weights of convolutions, GRU and RNN in 8 bits too, expanded to float at load'),
  ifFloat: opt.boolean(false, 'leave a model as it is that computes on integers already, in part at least'),
  minElements: opt.int(1024, 'leave weights with fewer elements in float', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, that stay in float'),
} as const;

/** Operators with weights that stay as they are, and what to do instead. */
const refused: Readonly<Record<string, string>> = {
  'com.microsoft.MultiHeadAttention': 'it multiplies activations only; the layers before it are quantized on their own',
  'com.microsoft.FusedMatMul': 'it is fused already: quantize before fusing',
  'com.microsoft.FusedGemm': 'it is fused already: quantize before fusing',
};

const refusal: Rule = {
  id: 'not-dynamic',
  summary: 'Operators with weights that stay in float, and why',
  ops: [...Object.keys(refused), 'Einsum'],
  apply: ({ root }) =>
    root.is('Einsum')
      ? miss(
          root,
          'its weights have no 8-bit form in an Einsum: mlpack fuse makes products of those that are some',
          root.inputs.some((input) => (constantOf(input)?.shape.length ?? 0) > 1),
        )
      : miss(root, refused[root.domain ? `${root.domain}.${root.op}` : root.op] ?? 'it has no 8-bit form'),
};

/** INT8 with activations quantized at run time: no calibration data needed. */
export const quantizeDynamic = definePass({
  id: 'quantize-dynamic',
  summary: 'INT8 weights with activations quantized at run time (MatMul, Gemm, LSTM, embeddings); no data needed',
  options,
  rules: {
    ...constantCopyRule,
    inline: inlineRule,
    linear: 'MatMul and Gemm with constant weights multiply in 8 bits',
    conv: 'Conv multiplies in 8 bits, unsigned, with activations quantized at run time (--conv)',
    attention: 'Fused attention makes queries, keys and values in 8 bits (QAttention)',
    stored: 'Weights of convolutions, GRU and RNN are stored in 8 bits and expanded once, at load',
    experts: 'Experts that a Gather picks are stored in 8 bits, with one scale for each output',
    retie: 'Output layers that were written out as their embedding transposed read it again',
    opset: 'The opset is raised to one that has DynamicQuantizeLinear',
    lstm: 'LSTM keeps its weights in 8 bits (DynamicQuantizeLSTM)',
    embedding: 'Embedding tables are stored in 8 bits, with one scale per row',
    keep: 'Names given with --keep that stand for nothing',
    'not-dynamic': 'Operators with weights that stay in float, and why',
  },
  numerics: () => lossy(20),
  run(model, given, ctx) {
    if (given.ifFloat && computesOnIntegers(model)) {
      ctx.note?.('the model computes on integers already, and stays as it is (--if-float)');
      return { changed: false };
    }
    const reduce = reduceFor(given.reduceRange, saturates(given.cpu));
    const unsigned = given.weights === 'u8' || (given.weights === 'auto' && given.cpu === 'wasm');
    const format: WeightFormat = { type: unsigned ? 'uint8' : 'int8', reduce, search: given.ranges === 'mse' };
    const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
    const misses = { allMisses: ctx.explain ?? false };
    const { keep, minElements } = given;
    reportUnmatched(model, keep, ctx);
    const opened = openLayers(model, ctx, takesWeights);
    const copies = readThroughCopies(model, trace);
    const raised = raiseOpset(model, minElements, ctx);
    // A table that an exporter wrote out transposed for the output layer is one again, and stored once.
    const retied = given.embeddings && !unsigned && retieTables(model, tablesOf(model, keep, minElements), ctx);
    // Shared activations are quantized before their first reader, which must then stand first.
    sortTopologically(model.graph);
    const [weights, activations] = [new WeightStore(format), new ActivationStore()];
    const rules = [
      linearRule(weights, activations, minElements),
      lstmRule(format, minElements),
      attentionRule(weights, activations),
      ...(given.conv ? [convRule(activations, minElements)] : []),
      ...(given.stored ? [storedRule(minElements)] : []),
    ];
    const types = given.stored ? typesForExperts(model) : undefined;
    const keptWhy = (node: Node): string | undefined =>
      isKept(node, keep) ? 'you asked for it to stay as it is (--keep)' : undefined;
    const experts = given.stored ? [expertsRule(minElements, keptWhy)] : [];
    const first = walk(model, [...experts, ...rules.map((rule) => keepRule(rule, keep)), refusal], trace, {
      ...misses,
      ...(types && { types }),
    });
    const changed = opened || copies || raised || retied || first.changed;
    if (!given.embeddings) return { changed };
    // Afterwards, because a table tied to a MatMul is free once that has weights of its own.
    const tied = (table: Value) => weights.tableOf(table);
    const second = walk(model, [keepRule(embeddingRule(minElements, tied), keep)], trace, misses);
    return { changed: changed || second.changed };
  },
});

/** Operators that make integers of activations. Weights alone in 8 bits are no computing on integers. */
const makesIntegers: ReadonlySet<string> = new Set(['QuantizeLinear', 'DynamicQuantizeLinear']);

function computesOnIntegers(model: Model): boolean {
  return [...model.graphs()].some((graph) => [...graph.nodes].some(({ op }) => makesIntegers.has(op)));
}

/** The first opset that has DynamicQuantizeLinear. */
const dynamicOpset = 11;

/** Raises the opset where something could be quantized then. @returns whether it did */
function raiseOpset(model: Model, minElements: number, ctx: PassContext): boolean {
  const { opset } = model;
  if (opset >= dynamicOpset) return false;
  const worth = [...model.graphs()].some((graph) =>
    [...graph.nodes].some((node) => {
      if (!node.is('MatMul') && !node.is('Gemm')) return false;
      const linear = readLinear(node);
      return typeof linear !== 'string' && elementCount(linear.tensor.shape) >= minElements;
    }),
  );
  if (!worth) return false;
  const why = upgradeOpset(model);
  if (why === undefined) ctx.applied('opset', 'model', `raised from ${opset} to ${model.opset}`);
  else ctx.skipped('opset', 'model', why);
  return why === undefined;
}

function tablesOf(model: Model, keep: readonly string[], minElements: number): Set<Value> {
  const tables = new Set<Value>();
  for (const node of model.graph.nodes) {
    if (!node.is('Gather') || isKept(node, keep)) continue;
    const table = readTable(node, minElements);
    if (!('why' in table) && table.tensor.dtype === 'float32' && table.value.tensor) tables.add(table.value);
  }
  return tables;
}
