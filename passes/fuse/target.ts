/**
 * What the fused model is for. `portable`: operators of ai.onnx only, which every runtime and every quantizer knows.
 * `runtime`: ONNX Runtime's own as well (com.microsoft), as far as the provider has kernels for them.
 */
import type { DType } from '../../src/ir/dtype.ts';

export const levels = ['portable', 'runtime'] as const;
export const providers = ['cpu', 'web-wasm', 'webgpu', 'cuda'] as const;

/** ONNX Runtime 1.x that the table below describes. */
export const newestRuntime = 30;

export type Level = (typeof levels)[number];
export type Provider = (typeof providers)[number];

interface Kernel {
  /** ONNX Runtime, 1.x: the first with the operator on any of the providers. */
  readonly since: number;
  /** Element types by provider; the web's WebAssembly has the CPU's kernels. */
  readonly cpu?: readonly DType[];
  readonly webgpu?: readonly DType[];
  readonly cuda?: readonly DType[];
  /** Why it is not worth while on the CPU, although there is a kernel. */
  readonly slowOnCpu?: string;
}

/** Measured: clip-text, distilbert and whisper-encoder of the zoo, one thread, `bench:fusion --options level=runtime[,skip=skip-norm]`. */
const slowSkip = 'is slower on the CPU than Add and the norm (whole models take ×1.09 to ×1.13 of the time, measured)';

const f32 = ['float32'] as const;
const f32f16 = ['float32', 'float16'] as const;

/**
 * Kernels of com.microsoft operators (and SimplifiedLayerNormalization, which stands in the default domain). CPU: the
 * registry of ONNX Runtime 1.30; GPU: docs/OperatorKernels.md and the JSEP and WebGPU lists of the same version.
 */
const kernels: Readonly<Record<string, Kernel>> = {
  Gelu: { since: 0, cpu: f32, webgpu: f32f16, cuda: f32f16 },
  FastGelu: { since: 3, cpu: f32, webgpu: f32f16, cuda: f32f16 },
  // 1.12 still knows other attributes only (loaded with 1.11, 1.12.1, 1.13.1, 1.14, 1.30). Nothing here has a kernel to try it on: tests hold its definition, row by row, against Add and Softmax.
  BiasSoftmax: { since: 13, cuda: f32f16 },
  BiasGelu: { since: 3, cpu: f32, cuda: f32f16 },
  QuickGelu: { since: 14, cpu: f32, webgpu: f32f16, cuda: f32f16 },
  LayerNormalization: { since: 0, cpu: f32f16, webgpu: f32f16, cuda: f32f16 },
  SimplifiedLayerNormalization: { since: 8, cpu: f32f16, webgpu: f32f16, cuda: f32f16 },
  SkipLayerNormalization: { since: 3, cpu: f32f16, webgpu: f32f16, cuda: f32f16, slowOnCpu: slowSkip },
  SkipSimplifiedLayerNormalization: { since: 14, cpu: f32f16, webgpu: f32f16, cuda: f32f16, slowOnCpu: slowSkip },
  FusedConv: { since: 1, cpu: f32, webgpu: f32f16, cuda: f32 },
  FusedGemm: { since: 1, cpu: f32 },
  FusedMatMul: { since: 4, cpu: f32, cuda: f32f16 },
  EmbedLayerNormalization: { since: 3, cpu: f32, cuda: f32f16 },
  Attention: { since: 3, cpu: f32, cuda: f32f16 },
  MultiHeadAttention: { since: 14, cpu: f32, webgpu: f32f16, cuda: f32f16 },
  // Since 1.30 as far as measured: it must not add a causal mask of its own (attribute causal).
  GroupQueryAttention: { since: 30, cpu: f32f16, webgpu: f32f16, cuda: ['float16'] },
  RotaryEmbedding: { since: 17, cpu: f32f16, webgpu: f32f16, cuda: f32f16 },
};

export class FusionTarget {
  readonly level: Level;
  readonly provider: Provider;
  /** ONNX Runtime 1.x. */
  readonly version: number;

  /** A past comes with one sample, or with one position at a time. */
  readonly generation: boolean;

  constructor(level: Level, provider: Provider, version: number, generation = false) {
    this.generation = generation;
    this.level = level;
    this.provider = provider;
    this.version = version;
  }
  get isRuntime(): boolean {
    return this.level === 'runtime';
  }
  /** The provider computes ONNX's own Attention (opset 23) in one kernel. At level portable nothing else may be used. */
  get hasNativeAttention(): boolean {
    return !this.isRuntime || this.provider === 'cpu' || this.provider === 'web-wasm' || this.provider === 'cuda';
  }
  /** `true`, or why the runtime's own operator may not be used for data of this type. */
  offers(op: string, dtype: DType | undefined): true | string {
    if (!this.isRuntime) return `${op} is ONNX Runtime's own, and level portable leaves those out`;
    const kernel = kernels[op];
    const provider = this.provider === 'web-wasm' ? 'cpu' : this.provider;
    const types = kernel?.[provider];
    if (!kernel || !types) return `${this.provider} has no kernel for ${op}`;
    if (this.version < kernel.since) return `${op} came with ONNX Runtime 1.${kernel.since}, not 1.${this.version}`;
    if (provider === 'cpu' && kernel.slowOnCpu) return `${op} ${kernel.slowOnCpu}`;
    if (!dtype) return `the element type is not known`;
    return types.includes(dtype) || `${this.provider} has no kernel for ${op} of ${dtype}`;
  }
}
