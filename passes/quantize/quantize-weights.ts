import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { walk } from '../../src/rewrite/driver.ts';
import { keepRule, reportUnmatched } from './keep.ts';
import { blockedDequantizeRule } from './weight-only/blocked-dq.ts';
import { type MethodName, methods } from './weight-only/format.ts';
import { matMulNBitsRule } from './weight-only/matmul-nbits.ts';

const options = {
  bits: opt.choice([2, 4, 8], 4, 'bits per weight'),
  block: opt.choice([16, 32, 64, 128, 256], 32, 'weights that share a scale; 128 is faster and smaller, 32 more exact'),
  symmetric: opt.boolean(true, 'no zero points: 1 dB less exact, a little smaller'),
  format: opt.choice(
    ['matmul-nbits', 'qdq'],
    'matmul-nbits',
    'MatMulNBits of ONNX Runtime, or blocked DequantizeLinear (opset 21)',
  ),
  method: opt.choice(Object.keys(methods) as MethodName[], 'rtn', 'how codes are chosen'),
  accuracyLevel: opt.choice(
    [0, 1, 2, 3, 4],
    4,
    'arithmetic of MatMulNBits: 1 float32, 2 float16, 3 bfloat16, 4 int8 (fast)',
  ),
  minElements: opt.int(1024, 'leave weights with fewer elements in float', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, that stay in float'),
} as const;

/** Decibels that plain rounding keeps at the outputs of small networks, the hardest case. */
const floor = { 2: -10, 4: 8, 8: 25 } as const;

/** Weights in 2, 4 or 8 bits, activations in float. */
export const quantizeWeights = definePass({
  id: 'quantize-weights',
  summary: 'INT4 (2, 8) weights in blocks with float activations (MatMulNBits); no data needed',
  options,
  rules: {
    'matmul-nbits': 'MatMul and Gemm with constant weights become MatMulNBits',
    'blocked-dq': 'Weights of MatMul and Gemm are stored in blocks behind DequantizeLinear',
    keep: 'Names given with --keep that stand for nothing',
  },
  numerics: ({ bits }) => lossy(floor[bits]),
  run(model, given, ctx) {
    // 8- and 2-bit weights have a usable kernel only at level 4.
    const accuracyLevel = given.bits === 4 ? given.accuracyLevel : 4;
    const make = given.format === 'qdq' ? blockedDequantizeRule : matMulNBitsRule;
    const rule = keepRule(make({ ...given, accuracyLevel }), given.keep);
    reportUnmatched(model, given.keep, ctx);
    const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
    const { changed } = walk(model, [rule], trace, { allMisses: ctx.explain ?? false });
    return { changed };
  },
});
