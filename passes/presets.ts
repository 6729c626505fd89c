/** Named ordered lists of steps: the variants that `optimize` builds, usable in `run` too. */
import type { Step } from '../src/pass/pass.ts';
import { fuse } from './fuse/fuse.ts';
import { clusterWeights } from './prune/cluster-weights.ts';
import { pruneSearch } from './prune/prune-search.ts';
import { pruneWeights } from './prune/prune-weights.ts';
import { mixedPrecision } from './quantize/mixed-precision.ts';
import { quantizeDynamic } from './quantize/quantize-dynamic.ts';
import { quantizeStatic } from './quantize/quantize-static.ts';
import { quantizeWeights } from './quantize/quantize-weights.ts';
import { toFp16 } from './quantize/to-fp16.ts';
import { simplify } from './simplify/simplify.ts';

/**
 * The rewrites that keep the numbers: what every variant begins with. What fusion takes from between Reshapes and Transposes lets
 * those meet (gtcrn: 404 nodes after the first two, 342 after all three).
 */
export const prepare: readonly Step[] = [simplify(), fuse(), simplify()];

/** Beside other variants a search looks less far. */
const searched = { trials: 8, fits: 4 } as const;

/** Codes fitted to what layers see; integers also where costs promise little, since variants are timed, and smaller; what stays in float is smaller at least. */
const static8 = { weights: 'auto', place: 'may-pay', stored: true } as const;
const mixed8 = { place: static8.place, stored: static8.stored } as const;

export const presets: Readonly<Record<string, readonly Step[]>> = {
  fp32: prepare,
  /**
   * With ONNX Runtime's own operators for norms, activations, rotations and attention. What ONNX Runtime fuses by itself whenever it loads a file is left to it, so that this is
   * the same file as fp32 (and not measured again) where there is nothing to win.
   */
  'fp32-runtime': [...prepare, fuse({ level: 'runtime', skip: ['fused-activation', 'fused-matmul'] })],
  fp16: [...prepare, toFp16()],
  int8: [...prepare, quantizeDynamic()],
  'int8-static': [...prepare, quantizeStatic(static8)],
  /** Split between integers and floats by what pays on WebAssembly, where depthwise convolutions and pools do not. */
  'int8-wasm': [...prepare, quantizeStatic({ ...static8, cpu: 'wasm' })],
  int4: [...prepare, quantizeWeights()],
  uint8: [...prepare, quantizeDynamic({ weights: 'u8' })],
  'int4-dq': [...prepare, quantizeWeights({ format: 'qdq' })],
  q4f16: [...prepare, quantizeWeights(), toFp16()],
  bnb4: [...prepare, quantizeWeights({ format: 'bnb4' })],
  mixed: [...prepare, mixedPrecision(mixed8)],
  /** The same for what int8-wasm and uint8 are: integers placed by what pays on WebAssembly, unsigned where they are made at run time, the worst layers in float. */
  'mixed-wasm': [...prepare, mixedPrecision({ ...mixed8, formats: ['int8', 'int8-dynamic'], cpu: 'wasm' })],
  /** For what int4-dq is, a small download: 4-bit blocks that are expanded at load, layers that these hurt in blocks of 8 bits or in float. */
  'mixed-dq': [...prepare, mixedPrecision({ formats: ['int8-weights', 'int4'], cpu: 'wasm', cost: 'size' })],
  /** Channels and blocks, as many as the floor of the run bears, all behind them fitted: fewer multiplications. */
  pruned: [...prepare, pruneSearch(searched)],
  /** Where ranges measured ahead do not pay, those that are measured at run time, and weights alone, may. */
  'pruned-int8': [...prepare, pruneSearch(searched), quantizeStatic(static8), quantizeDynamic({ ifFloat: true })],
  /** What pruning left of the allowed drop spent on integers, layer by layer. */
  'pruned-mixed': [...prepare, pruneSearch(searched), mixedPrecision({ ...mixed8, formats: ['int8', 'int8-dynamic'] })],
  /** Zeros, the other weights fitted around them: a smaller download, no speed. */
  sparse: [...prepare, pruneWeights()],
  'sparse-int8': [...prepare, pruneWeights(), quantizeStatic({ ...static8, stored: false })],
  clustered: [...prepare, clusterWeights()],
};
