/** The `dtype` of transformers.js, the end of the file name that it looks for, and our variants of that format, the preferred first. */
export const dtypes = [
  { dtype: 'fp32', suffix: '', variants: ['given', 'base', 'fp32'] },
  { dtype: 'fp16', suffix: '_fp16', variants: ['fp16', 'model_fp16'] },
  // Unsigned weights first where there are convolutions: see `quantizedFor`.
  { dtype: 'q8', suffix: '_quantized', variants: ['model_quantized'] },
  { dtype: 'int8', suffix: '_int8', variants: ['int8', 'model_int8'] },
  { dtype: 'uint8', suffix: '_uint8', variants: ['uint8', 'model_uint8'] },
  { dtype: 'q4', suffix: '_q4', variants: ['int4', 'q4', 'model_q4'] },
  { dtype: 'q4f16', suffix: '_q4f16', variants: ['q4f16', 'model_q4f16'] },
  { dtype: 'bnb4', suffix: '_bnb4', variants: ['bnb4', 'model_bnb4'] },
] as const;

export type Dtype = (typeof dtypes)[number]['dtype'];

/** What WebAssembly, WebGPU and the CPU of Node should take of what there is, best first. */
export const preferences: Readonly<Record<'wasm' | 'webgpu' | 'cpu', readonly Dtype[]>> = {
  wasm: ['q8', 'uint8', 'int8', 'fp32', 'fp16'],
  // q4f16 is not among them: transformers.js does not look whether the adapter has shader-f16 for it.
  webgpu: ['q4', 'fp16', 'fp32'],
  cpu: ['q8', 'int8', 'uint8', 'fp32'],
};
