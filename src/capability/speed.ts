/** Speed of layers in their formats against the same layer in float32, by provider. Figures are medians of measurements; sources beside them. */

/** A kind of layer that providers have kernels of their own for. */
export type LayerKind = 'conv' | 'linear' | 'recurrent' | 'table';

interface SpeedRow {
  readonly provider: string;
  readonly layer: LayerKind;
  readonly format: string;
  /** Above 1 is faster than float32. */
  readonly factor: number;
  readonly source: string;
}

const chain = '4 × Conv 3×3 128→128 on 28×28, onnxruntime-node 1.30, AVX-512 VNNI, one thread';
const product =
  'MatMul 2048×2048, onnxruntime-node 1.30, AVX-512 VNNI, one thread; geometric mean of 1, 32 and 256 rows';
const wasmChain = '3 × Conv 64 channels on 28×28, onnxruntime-web 1.30, WASM SIMD, one thread';
/** By what the runtime does; `quantize-dynamic` makes ConvInteger only with --conv, and mixes never do. */
const stored = 'expanded to float once, at load';
const wasmProduct = 'MatMul 1024×1024, onnxruntime-web 1.30, WASM SIMD, one thread; geometric mean of 1 and 32 rows';

const rows: readonly SpeedRow[] = [
  { provider: 'cpu', layer: 'conv', format: 'int8', factor: 3.87, source: chain },
  { provider: 'cpu', layer: 'conv', format: 'int8-dynamic', factor: 1, source: stored },
  { provider: 'cpu', layer: 'conv', format: 'fp16', factor: 1, source: chain },
  { provider: 'cpu', layer: 'linear', format: 'int8', factor: 4, source: product },
  { provider: 'cpu', layer: 'linear', format: 'int8-dynamic', factor: 4, source: product },
  {
    provider: 'cpu',
    layer: 'linear',
    format: 'int4',
    factor: 1.8,
    source: `${product}; blocks of 32, accuracy level 4`,
  },
  { provider: 'cpu', layer: 'linear', format: 'fp16', factor: 1, source: product },
  { provider: 'web-wasm', layer: 'conv', format: 'int8', factor: 2.39, source: wasmChain },
  { provider: 'web-wasm', layer: 'conv', format: 'int8-dynamic', factor: 1, source: stored },
  { provider: 'web-wasm', layer: 'conv', format: 'fp16', factor: 1.05, source: wasmChain },
  { provider: 'web-wasm', layer: 'linear', format: 'int8', factor: 1.41, source: wasmProduct },
  { provider: 'web-wasm', layer: 'linear', format: 'int8-dynamic', factor: 1.67, source: wasmProduct },
  { provider: 'web-wasm', layer: 'linear', format: 'int4', factor: 0.19, source: `${wasmProduct}; MatMulNBits` },
  { provider: 'web-wasm', layer: 'linear', format: 'int4-dq', factor: 1, source: stored },
  { provider: 'web-wasm', layer: 'linear', format: 'fp16', factor: 1, source: wasmProduct },
];

const kinds: Readonly<Record<string, LayerKind>> = {
  Conv: 'conv',
  ConvTranspose: 'conv',
  MatMul: 'linear',
  Gemm: 'linear',
  LSTM: 'recurrent',
  GRU: 'recurrent',
  RNN: 'recurrent',
  Gather: 'table',
};

/** @returns 1 where nothing was measured: a format is then chosen for its size alone. */
export function speedOf(provider: string, op: string, format: string): number {
  const layer = kinds[op];
  return rows.find((row) => row.provider === provider && row.layer === layer && row.format === format)?.factor ?? 1;
}
