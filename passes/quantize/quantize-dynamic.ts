import { sortTopologically } from '../../src/ir/sort.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { walk } from '../../src/rewrite/driver.ts';
import { keepRule, reportUnmatched } from '../../src/rewrite/keep.ts';
import { miss } from '../../src/rewrite/match.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { cpuProfiles, saturates } from './cpu.ts';
import { embeddingRule } from './dynamic/embedding.ts';
import { ActivationStore, linearRule } from './dynamic/linear.ts';
import { lstmRule } from './dynamic/lstm.ts';
import { type WeightFormat, WeightStore } from './dynamic/weights.ts';

const options = {
  weights: opt.choice(['auto', 's8', 'u8'], 'auto', 'signed or unsigned codes; auto: signed, the faster kernel'),
  cpu: opt.choice(
    cpuProfiles,
    'auto',
    'processor the model will run on; auto: any of them, so the most cautious choice',
  ),
  reduceRange: opt.choice(
    ['auto', 'yes', 'no'],
    'auto',
    '7-bit signed weights; auto: on processors that would saturate (no VNNI)',
  ),
  embeddings: opt.boolean(true, 'store embedding tables in 8 bits too'),
  minElements: opt.int(1024, 'leave weights with fewer elements in float', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, that stay in float'),
} as const;

/** Operators with weights for which 8 bits at run time do not pay, and what to do instead. */
const refused: Readonly<Record<string, string>> = {
  Conv: 'integer convolutions with activations quantized at run time are slower than float in ONNX Runtime: quantize statically (QDQ) instead',
  ConvTranspose: 'ONNX Runtime has no integer ConvTranspose: to-fp16 makes it smaller',
  GRU: 'ONNX Runtime has a dynamically quantized LSTM but no GRU: to-fp16 makes it smaller',
  RNN: 'ONNX Runtime has a dynamically quantized LSTM but no RNN: to-fp16 makes it smaller',
  'com.microsoft.Attention': 'fused attention quantizes only in part: quantize before fusing',
  'com.microsoft.FusedMatMul': 'it is fused already: quantize before fusing',
  'com.microsoft.FusedGemm': 'it is fused already: quantize before fusing',
};

const refusal: Rule = {
  id: 'not-dynamic',
  summary: 'Operators with weights that stay in float, and why',
  ops: Object.keys(refused),
  apply: ({ root }) =>
    miss(root, refused[root.domain ? `${root.domain}.${root.op}` : root.op] ?? 'it has no 8-bit form'),
};

/** INT8 with activations quantized at run time: no calibration data needed. */
export const quantizeDynamic = definePass({
  id: 'quantize-dynamic',
  summary: 'INT8 weights with activations quantized at run time (MatMul, Gemm, LSTM, embeddings); no data needed',
  options,
  rules: {
    linear: 'MatMul and Gemm with constant weights multiply in 8 bits',
    lstm: 'LSTM keeps its weights in 8 bits (DynamicQuantizeLSTM)',
    embedding: 'Embedding tables are stored in 8 bits, with one scale per row',
    keep: 'Names given with --keep that stand for nothing',
    'not-dynamic': 'Operators with weights that stay in float, and why',
  },
  numerics: () => lossy(20),
  run(model, given, ctx) {
    const reduced = given.reduceRange === 'yes' || (given.reduceRange === 'auto' && saturates(given.cpu));
    const format: WeightFormat = { type: given.weights === 'u8' ? 'uint8' : 'int8', reduced };
    const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
    const misses = { allMisses: ctx.explain ?? false };
    reportUnmatched(model, given.keep, ctx);
    const kept = (rule: Rule): Rule => keepRule(rule, given.keep);
    // Shared activations are quantized before their first reader, which must then stand first.
    sortTopologically(model.graph);
    const linear = linearRule(new WeightStore(format), new ActivationStore(), given.minElements);
    const first = walk(model, [kept(linear), kept(lstmRule(format, given.minElements)), refusal], trace, misses);
    if (!given.embeddings) return { changed: first.changed };
    // Afterwards, because a table tied to a MatMul is free once that has weights of its own.
    const second = walk(model, [kept(embeddingRule(given.minElements))], trace, misses);
    return { changed: first.changed || second.changed };
  },
});
