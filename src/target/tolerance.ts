import { blockwiseOps, int8Ops } from './formats.ts';

/**
 * Tolerance for golden cases recorded on the native CPU provider and replayed on any other machine or provider, as a share of
 * each output's largest magnitude. Measured, native against WebAssembly and WebGPU (onnxruntime 1.30): float32 up to 5e-6 over
 * ten models; a BERT classifier in dynamic int8 3.5e-3, in 4-bit blocks 8.5e-3 (the native kernel multiplies in int8, the
 * others in float), and so does one whose 4-bit weights are dequantized (the native runtime makes blocks of them). MobileNetV1 in static int8 with
 * its softmax: 5.3e-2. 16-bit floats are rounded at every step where a GPU computes in them.
 * @param ops operators by `domain:op`
 * @param weightBytes bytes of initializers by element type
 */
export function goldenTolerance(
  ops: Readonly<Record<string, number>>,
  weightBytes: Readonly<Record<string, number>> = {},
): { rtol: number; atol: number } {
  const atol = 1e-6;
  // Rounded to integers after every layer: where two kernels round a tie another way, it travels on.
  if ((ops.QuantizeLinear ?? 0) > 0) return { rtol: 1e-1, atol };
  const fused = (weightBytes.int4 ?? 0) + (weightBytes.uint4 ?? 0) > 0 && (ops.DequantizeLinear ?? 0) > 0;
  if (fused || [...blockwiseOps, ...int8Ops].some((op) => (ops[op] ?? 0) > 0)) return { rtol: 2e-2, atol };
  if ((weightBytes.float16 ?? 0) > 0 || (weightBytes.bfloat16 ?? 0) > 0) return { rtol: 1e-2, atol };
  return { rtol: 1e-4, atol };
}
