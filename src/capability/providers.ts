/** What each format comes to on each provider of ONNX Runtime 1.30: read before work starts, so that nothing is built that cannot pay. */

export const providerNames = [
  'cpu',
  'cuda',
  'tensorrt',
  'webgpu',
  'web-wasm',
  'web-webgpu',
  'xnnpack',
  'coreml',
  'nnapi',
  'qnn',
] as const;

/**
 * fast: kernels that win time · size: smaller, at the speed of float32 · slow: slower than float32 · fallback: nodes go back to the CPU with copies · missing:
 * does not run · twin: another variant comes to the same · unknown: nobody measured it here.
 */
export type Standing = 'fast' | 'size' | 'slow' | 'fallback' | 'missing' | 'twin' | 'unknown';

export interface Capability {
  readonly provider: string;
  /** Name of the variant: fp16, int8-static, … */
  readonly variant: string;
  readonly standing: Standing;
  /** A sentence for the user: what happens, and what to take instead. */
  readonly why: string;
  /** [M] measured, [S] source (what follows of it for speed is not measured), [D] documentation, [I] issue; sections of shared/reference/quantization.md and targets.md where these say it. */
  readonly source: string;
}

const row = (provider: string, variant: string, standing: Standing, why: string, source: string): Capability => ({
  provider,
  variant,
  standing,
  why,
  source,
});

const both = (providers: readonly string[], ...rest: [string, Standing, string, string]): Capability[] =>
  providers.map((provider) => row(provider, ...rest));

const noHalf = 'has no half kernels for convolutions and products: fp16 is smaller, not faster';
const integersOnGpu = 'has no integer kernels: int8 falls back to the CPU with copies in between, so use q4f16 or fp16';
const blocksOnWasm =
  'MatMulNBits is 11 to 15 times slower than float32 on WebAssembly: int4-dq has the same size, and its weights are expanded once at load (session.disable_quant_qdq)';

export const capabilities: readonly Capability[] = [
  row('cpu', 'fp16', 'size', `the CPU ${noHalf}`, '[M] 0.1, and the kernel table'),
  row(
    'cpu',
    'int8-static',
    'fast',
    'QLinearConv and QLinearMatMul are 3.9 and 4.4 times as fast as float32 with VNNI',
    '[M] 0.1',
  ),
  row(
    'cpu',
    'int8',
    'fast',
    'products with weights in int8 are 3.4 to 4.4 times as fast as float32; convolutions stay in float',
    '[M] 0.1',
  ),
  row(
    'cpu',
    'uint8',
    'slow',
    'unsigned weights are the slower kernel on the CPU (1.7 to 2.6 times float32 where int8 has 3.4 to 4.4): take int8',
    '[M] 0.1',
  ),
  row('cpu', 'int4', 'fast', 'MatMulNBits at accuracy level 4 is 1.4 to 4 times as fast as float32', '[M] 0.1'),
  row(
    'cpu',
    'int4-dq',
    'twin',
    'ONNX Runtime turns blocked DequantizeLinear into MatMulNBits on the CPU: int4 is the same without opset 21',
    '[M] 4.3',
  ),
  row('cpu', 'q4f16', 'slow', `the CPU ${noHalf}; int4 is as small where it counts and faster`, '[M] 0.1'),
  row(
    'cpu',
    'bnb4',
    'slow',
    'MatMulBnb4 has no form that multiplies in int8, as int4 has: take int4, which is as small',
    '[S]; speed not verified',
  ),

  row('web-wasm', 'fp16', 'size', `WebAssembly ${noHalf}`, '[M] 0.2: ×1.05'),
  row(
    'web-wasm',
    'int8-static',
    'fast',
    'convolutions are 2 to 2.4 times as fast as float32 on WebAssembly',
    '[M] 0.2',
  ),
  row(
    'web-wasm',
    'uint8',
    'fast',
    'dynamic products with unsigned weights are 1.2 to 2.4 times as fast as float32 on WebAssembly',
    '[M] 0.2',
  ),
  row(
    'web-wasm',
    'int8',
    'fast',
    'dynamic products with signed weights are as fast as with unsigned ones at many rows (2.4 times float32), a sixth slower at one',
    '[M] 0.2',
  ),
  row('web-wasm', 'int4', 'slow', blocksOnWasm, '[M] 0.2'),
  row(
    'web-wasm',
    'int4-dq',
    'size',
    'weights expand once at load: a small download at the speed of float32',
    '[M] 0.2: ×1.00',
  ),
  row('web-wasm', 'q4f16', 'slow', blocksOnWasm, '[M] 0.2'),
  row(
    'web-wasm',
    'bnb4',
    'slow',
    'MatMulBnb4 expands its weights on every run: take int4-dq, which does so once',
    '[S]; speed on WebAssembly not verified',
  ),

  ...both(
    ['webgpu', 'web-webgpu'],
    'fp16',
    'fast',
    'half precision is what WebGPU computes in where the device has shader-f16',
    '[D] targets 4',
  ),
  ...both(
    ['webgpu', 'web-webgpu'],
    'int8',
    'fallback',
    `WebGPU ${integersOnGpu}`,
    '[M] targets 4, strict mode; [I] tjs atjsh/llmlingua-2-js#17',
  ),
  ...both(['webgpu', 'web-webgpu'], 'uint8', 'fallback', `WebGPU ${integersOnGpu}`, '[M] targets 4, strict mode'),
  ...both(
    ['webgpu', 'web-webgpu'],
    'int8-static',
    'fallback',
    `WebGPU ${integersOnGpu}`,
    '[M] targets 4, strict mode; [I] transformers.js#1512',
  ),
  ...both(['webgpu', 'web-webgpu'], 'int4', 'fast', 'WebGPU has a kernel for MatMulNBits', '[M] targets 4'),
  ...both(
    ['webgpu', 'web-webgpu'],
    'q4f16',
    'fast',
    'WebGPU has a kernel for MatMulNBits in half precision',
    '[M] targets 4',
  ),
  ...both(
    ['webgpu', 'web-webgpu'],
    'int4-dq',
    'unknown',
    'blocked DequantizeLinear on WebGPU was not measured: int4 is the form that it has a kernel for',
    '[U]',
  ),
  ...both(['webgpu', 'web-webgpu'], 'bnb4', 'fallback', 'WebGPU has no MatMulBnb4: take int4', '[S] operator list'),

  row('cuda', 'fp16', 'fast', 'half precision is the fast path of CUDA', '[D]'),
  row(
    'cuda',
    'int8',
    'fallback',
    'dynamic int8 is a format for CPUs: CUDA has no such kernels, and BERT went from 12 to 232 ms; take fp16 or int4',
    '[I] ort#10267',
  ),
  row(
    'cuda',
    'uint8',
    'fallback',
    'dynamic int8 is a format for CPUs: CUDA has no such kernels; take fp16 or int4',
    '[I] ort#10267',
  ),
  row(
    'cuda',
    'int8-static',
    'fallback',
    'CUDA has no QLinear kernels: nodes go back to the CPU with copies; QDQ pays on TensorRT only',
    '[I] ort#12229, ort#3294',
  ),
  row('cuda', 'int4', 'fast', 'CUDA has a kernel for MatMulNBits', '[S]'),
  row('cuda', 'q4f16', 'fast', 'CUDA has a kernel for MatMulNBits in half precision', '[S]'),
  row('cuda', 'int4-dq', 'unknown', 'blocked DequantizeLinear on CUDA was not measured: take int4', '[U]'),
  row('cuda', 'bnb4', 'fast', 'CUDA has a kernel for MatMulBnb4', '[S]'),

  row('tensorrt', 'fp16', 'fast', 'half precision is the fast path of TensorRT', '[D]'),
  row(
    'tensorrt',
    'int8-static',
    'fast',
    'TensorRT takes QDQ with signed symmetric activations (quantize-static --activations s8)',
    '[D]',
  ),
  ...['int8', 'uint8', 'int4', 'q4f16', 'int4-dq', 'bnb4'].map((variant) =>
    row(
      'tensorrt',
      variant,
      'fallback',
      'TensorRT takes fp16 and static QDQ; these nodes go to another provider',
      '[D]',
    ),
  ),

  row('xnnpack', 'int8-static', 'fast', 'XNNPACK has convolutions, products and pools in QU8 and QS8', '[U] targets 7'),
  ...['fp16', 'int8', 'uint8', 'int4', 'q4f16', 'int4-dq', 'bnb4'].map((variant) =>
    row(
      'xnnpack',
      variant,
      'fallback',
      'XNNPACK takes float32 and static 8-bit convolutions and products; the rest runs on the CPU provider',
      '[U] targets 7',
    ),
  ),

  row('coreml', 'fp16', 'fast', 'Core ML computes in half precision on the Neural Engine', '[D]'),
  ...['int8', 'uint8', 'int8-static', 'int4', 'q4f16', 'int4-dq', 'bnb4'].map((variant) =>
    row(
      'coreml',
      variant,
      'fallback',
      'the Core ML provider has neither QuantizeLinear nor DequantizeLinear in its list: take fp16',
      '[S] targets 7',
    ),
  ),

  row(
    'nnapi',
    'int8-static',
    'fast',
    'NNAPI has QLinearConv, QLinearMatMul and their like with constant parameters; Google has deprecated NNAPI',
    '[S] targets 7',
  ),
  ...['fp16', 'int8', 'uint8', 'int4', 'q4f16', 'int4-dq', 'bnb4'].map((variant) =>
    row(
      'nnapi',
      variant,
      'fallback',
      'NNAPI takes float32 and static 8-bit nodes; the rest runs on the CPU provider',
      '[S] targets 7',
    ),
  ),

  row(
    'qnn',
    'int8-static',
    'fast',
    'QNN runs only quantized models: QDQ with 8- or 16-bit activations, static shapes',
    '[U] targets 7',
  ),
  ...['fp16', 'int8', 'uint8', 'int4', 'q4f16', 'int4-dq', 'bnb4'].map((variant) =>
    row('qnn', variant, 'missing', 'QNN takes static QDQ only: take int8-static', '[U] targets 7'),
  ),
];

export function capabilityOf(provider: string, variant: string): Capability | undefined {
  return capabilities.find((one) => one.provider === provider && one.variant === variant);
}
