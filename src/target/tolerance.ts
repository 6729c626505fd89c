import type { Tolerance } from './compare.ts';
import { blockwiseOps, int8Ops } from './formats.ts';

/**
 * Tolerance for golden cases recorded on the native CPU provider and replayed on any other machine or provider, as a share of
 * each output's largest magnitude. Measured, native against WebAssembly and WebGPU (onnxruntime 1.30): float32 up to 5e-6 over
 * ten models; a BERT classifier in dynamic int8 3.5e-3, in 4-bit blocks 8.5e-3 (the native kernel multiplies in int8, the
 * others in float), and so does one whose 4-bit weights are dequantized (the native runtime makes blocks of them). 16-bit floats are rounded at
 * every step where a GPU computes in them. Static int8 has no figure of its own: by how much its outputs may differ hangs on the model (a
 * step of a logit behind a softmax is 12 % of the output, a step of an output 0.4 %) and is found out on it, `roundingTolerance`; the 1e-1 stands
 * where that cannot be done.
 * @param ops operators by `domain:op`
 * @param weightBytes bytes of initializers by element type
 */
export function goldenTolerance(
  ops: Readonly<Record<string, number>>,
  weightBytes: Readonly<Record<string, number>> = {},
): Tolerance {
  if ((ops.QuantizeLinear ?? 0) > 0) return { rtol: 1e-1, atol };
  const fused = (weightBytes.int4 ?? 0) + (weightBytes.uint4 ?? 0) > 0 && (ops.DequantizeLinear ?? 0) > 0;
  if (fused || [...blockwiseOps, ...int8Ops].some((op) => (ops[op] ?? 0) > 0)) return { rtol: dynamicRtol, atol };
  if ((weightBytes.float16 ?? 0) > 0 || (weightBytes.bfloat16 ?? 0) > 0) return { rtol: 1e-2, atol };
  return { rtol: floatRtol, atol };
}

const atol = 1e-6;
const floatRtol = 1e-4;
const dynamicRtol = 2e-2;

/**
 * Tolerance of an output whose values may differ by `spread` because rounding falls out another way, beside what float32
 * itself does. Two digits are enough, and keep the bundle the same where the last bits of a sum are not.
 */
export function roundingTolerance(spread: number): Tolerance {
  return { rtol: floatRtol, atol: Math.max(atol, Number((spread * 1.05).toPrecision(2))) };
}

/** The same for activations that are rounded on scales found at run time: what was measured over several models, or more where this one shows more. */
export function dynamicTolerance(spread: number): Tolerance {
  return widest([{ rtol: dynamicRtol, atol }, roundingTolerance(spread)]);
}

/** What is within one of these tolerances is within this one. */
export function widest(all: readonly Tolerance[]): Tolerance {
  return all.reduce((a, b) => ({ rtol: Math.max(a.rtol, b.rtol), atol: Math.max(a.atol, b.atol) }), {
    rtol: 0,
    atol: 0,
  });
}
