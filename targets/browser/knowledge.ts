import { blockwiseOps, int8Ops } from '../../src/target/formats.ts';
import type { Artifact } from '../../src/target/target.ts';
import type { Options } from './options.ts';

export type WebProvider = 'wasm' | 'webgpu';

/** What running the model in a browser comes to: providers, best first, and what to know about them. */
export interface Assessment {
  readonly providers: readonly WebProvider[];
  readonly webgpuFeatures: readonly string[];
  /** Weight-only blocks, for which WebAssembly has no fast kernels. */
  readonly blockwise: boolean;
  /** Weights are dequantized once at load instead of on every run. */
  readonly foldWeights: boolean;
  readonly notes: readonly string[];
}

/** Control flow, recurrence, selection and strings, which the WebGPU provider does not have (operator list of onnxruntime-web). */
const notOnWebgpu = [
  'LSTM',
  'GRU',
  'RNN',
  'Loop',
  'Scan',
  'NonMaxSuppression',
  'NonZero',
  'StringNormalizer',
  'Unique',
];

/**
 * A small model's arithmetic is little next to the cost of dispatching it to a GPU and of the larger runtime, so that
 * WebAssembly goes first. Where the border lies was not measured: there was no browser with a real GPU to measure on.
 */
export const isSmall = (bytes: number, { gpuFrom }: Pick<Options, 'gpuFrom'>): boolean => bytes < gpuFrom * 1e6;

function present(artifact: Artifact, names: readonly string[]): string[] {
  return names.filter((name) => (artifact.ops[name] ?? 0) > 0);
}

function has16BitWeights({ weightBytes, inputs, outputs }: Artifact): boolean {
  if ((weightBytes?.float16 ?? 0) > 0) return true;
  return [...inputs, ...outputs].some(({ dtype }) => dtype === 'float16');
}

/**
 * Which provider goes first, by what the operators of the model run on in onnxruntime-web 1.30 (measured: placement with CPU
 * fallback switched off, and speed against float32; the figures stand in the notes below).
 */
export function assess(artifact: Artifact, chosen: Pick<Options, 'provider' | 'gpuFrom'>): Assessment {
  const notes: string[] = [];
  const blocks = present(artifact, blockwiseOps);
  const quantized = present(artifact, int8Ops);
  const ml = Object.keys(artifact.ops).filter((op) => op.startsWith('ai.onnx.ml:'));
  const foreign = [...present(artifact, notOnWebgpu), ...ml];
  const half = has16BitWeights(artifact);
  const onlyDequantizes = (artifact.ops.DequantizeLinear ?? 0) > 0 && quantized.length === 0;

  const preferred = preference(artifact, { blocks, quantized, foreign, half }, chosen);
  const providers = choose(preferred, chosen.provider);
  const gpu = providers.includes('webgpu');
  if (blocks.length > 0) {
    const names = blocks.map(plainName).join(', ');
    notes.push(
      providers[0] === 'wasm'
        ? `${names} on WebAssembly is 11 to 15 times slower than float32 at batch 1: it is meant for WebGPU.`
        : `Where WebGPU is missing, ${names} runs on WebAssembly, 11 to 15 times slower than float32 at batch 1.`,
    );
  }
  if (quantized.length > 0 && gpu) {
    notes.push(`${quantized.map(plainName).join(', ')} run on the CPU also under WebGPU, with copies in between.`);
  }
  if ((artifact.ops.ConvInteger ?? 0) > 0 && (artifact.weightBytes?.int8 ?? 0) > 0) {
    notes.push(
      'ConvInteger with signed weights is about 5 times slower than float32 on WebAssembly; unsigned weights are faster.',
    );
  }
  if (foreign.length > 0 && gpu) notes.push(`${foreign.map(plainName).join(', ')} run on the CPU also under WebGPU.`);
  if (half && providers[0] === 'wasm') {
    notes.push('16-bit floats make the download smaller; WebAssembly computes in 32 bits, at the same speed.');
  }
  return {
    providers,
    webgpuFeatures: half ? ['shader-f16'] : [],
    blockwise: blocks.length > 0,
    foldWeights: onlyDequantizes,
    notes,
  };
}

interface Found {
  readonly blocks: readonly string[];
  readonly quantized: readonly string[];
  readonly foreign: readonly string[];
  readonly half: boolean;
}

function preference(
  artifact: Artifact,
  { blocks, quantized, foreign, half }: Found,
  chosen: Pick<Options, 'gpuFrom'>,
): readonly WebProvider[] {
  if (blocks.length > 0) return ['webgpu', 'wasm'];
  if (quantized.length > 0 || foreign.length > 0) return ['wasm'];
  if (half) return ['webgpu', 'wasm'];
  const bytes = artifact.files.reduce((sum, file) => sum + file.bytes, 0);
  return isSmall(bytes, chosen) ? ['wasm', 'webgpu'] : ['webgpu', 'wasm'];
}

/** WebAssembly is always there as the way that works everywhere. */
function choose(preferred: readonly WebProvider[], wanted: 'auto' | WebProvider): readonly WebProvider[] {
  if (wanted === 'auto') return preferred;
  return wanted === 'wasm' ? ['wasm'] : ['webgpu', 'wasm'];
}

function plainName(op: string): string {
  return op.slice(op.indexOf(':') + 1);
}
