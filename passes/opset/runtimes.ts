/**
 * The first ONNX Runtime with an operator of com.microsoft that fusion and quantization write, found by loading a model with each on the
 * packages that ir/ceilings.ts lists. Those of 1.17 are in 1.16.3 too, and not in 1.16.0.
 */
export const contribSince: Readonly<Record<string, number>> = {
  QuickGelu: 14,
  MultiHeadAttention: 14,
  SkipSimplifiedLayerNormalization: 14,
  MatMulNBits: 17,
  MatMulBnb4: 17,
  RotaryEmbedding: 17,
  GroupQueryAttention: 17,
  GatherBlockQuantized: 20,
};
