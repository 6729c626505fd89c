/** Weight-only formats in blocks: the native CPU provider and WebGPU have fast kernels, WebAssembly has none. */
export const blockwiseOps: readonly string[] = [
  'com.microsoft:MatMulNBits',
  'com.microsoft:MatMulBnb4',
  'com.microsoft:GatherBlockQuantized',
];

/** int8 arithmetic. CPU and WebAssembly have kernels; WebGPU hands these nodes back to the CPU with a copy each way. */
export const int8Ops: readonly string[] = [
  'QuantizeLinear',
  'DynamicQuantizeLinear',
  'MatMulInteger',
  'ConvInteger',
  'QLinearConv',
  'QLinearMatMul',
  'com.microsoft:QGemm',
  'com.microsoft:QLinearAdd',
  'com.microsoft:QLinearMul',
  'com.microsoft:QLinearConcat',
  'com.microsoft:QLinearGlobalAveragePool',
  'com.microsoft:QLinearAveragePool',
  'com.microsoft:QLinearSoftmax',
  'com.microsoft:QAttention',
  'com.microsoft:DynamicQuantizeMatMul',
  'com.microsoft:MatMulIntegerToFloat',
];
