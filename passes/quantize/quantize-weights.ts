import { UserError } from '../../src/errors.ts';
import type { Model, Node } from '../../src/ir/graph.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { walk } from '../../src/rewrite/driver.ts';
import { isKept, keepRule, reportUnmatched } from '../../src/rewrite/keep.ts';
import type { Linear } from './linear.ts';
import { blockedDequantizeRule } from './weight-only/blocked-dq.ts';
import { CalibratedLayers, calibrate } from './weight-only/calibrated.ts';
import { candidate } from './weight-only/candidate.ts';
import { methodNames, type WeightOnlyOptions } from './weight-only/format.ts';
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
  method: opt.choice(
    methodNames,
    'rtn',
    'how codes are chosen: rtn rounds, clip searches the range, kquant fits scales by least squares, hqq moves real zero points (slow kernel), gptq makes up for errors (needs --data); clip and kquant weigh inputs by the data, if any',
  ),
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
  async run(model, given, ctx) {
    if (given.method === 'hqq' && given.format === 'qdq')
      throw new UserError(
        'option.conflict',
        '--method hqq has real zero points, which DequantizeLinear cannot hold: use --format matmul-nbits, or --method kquant.',
      );
    if (given.method === 'hqq' && given.bits === 8)
      throw new UserError(
        'option.conflict',
        '--method hqq has real zero points, with which ONNX Runtime computes 4 and 2 bits only: use --bits 4, or --method kquant.',
      );
    // 8- and 2-bit weights have a usable kernel only at level 4.
    const options = { ...given, accuracyLevel: given.bits === 4 ? given.accuracyLevel : 4 };
    const layers = await chooseCodes(model, options, given.format, given.keep, ctx);
    const make = given.format === 'qdq' ? blockedDequantizeRule : matMulNBitsRule;
    const rule = keepRule(make(options, layers), given.keep);
    reportUnmatched(model, given.keep, ctx);
    const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
    const { changed } = walk(model, [rule], trace, { allMisses: ctx.explain ?? false });
    return { changed };
  },
});

/** Layers quantized ahead, where the method looks at activations; none are otherwise. */
async function chooseCodes(
  model: Model,
  options: WeightOnlyOptions,
  format: 'matmul-nbits' | 'qdq',
  keep: readonly string[],
  ctx: PassContext,
): Promise<CalibratedLayers> {
  const { method } = options;
  const { activations } = ctx;
  if (method === 'gptq' && !activations)
    throw new UserError(
      'calibration.none',
      '--method gptq fits the weights to samples, and there are none: give a folder of them with --data, or use --method kquant, which needs none.',
    );
  if (!activations || method === 'rtn' || method === 'hqq') return new CalibratedLayers(options);
  const read = (node: Node): Linear | string => {
    if (!node.is('MatMul') && !node.is('Gemm')) return 'it is no linear layer';
    if (isKept(node, keep)) return 'it stays as it is';
    const linear = candidate(node, options);
    // Behind a DequantizeLinear the Gemm stays, and alpha with it.
    return typeof linear === 'string' || format !== 'qdq' ? linear : { ...linear, alpha: 1 };
  };
  return await calibrate(model, activations, read, options, ctx);
}
