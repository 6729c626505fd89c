/** The registry: every pass there is. A new pass is one file and one line here. */
import type { Pass } from '../src/pass/pass.ts';
import { fuse } from './fuse/fuse.ts';
import { inputLayout } from './layout/input-layout.ts';
import { tensorOutputs } from './layout/tensor-outputs.ts';
import { lowRank } from './low-rank/low-rank.ts';
import { toOpset } from './opset/to-opset.ts';
import { clusterWeights } from './prune/cluster-weights.ts';
import { dropLayers } from './prune/drop-layers.ts';
import { pruneChannels } from './prune/prune-channels.ts';
import { pruneHeads } from './prune/prune-heads.ts';
import { pruneSearch } from './prune/prune-search.ts';
import { pruneWeights } from './prune/prune-weights.ts';
import { mixedPrecision } from './quantize/mixed-precision.ts';
import { quantizeDynamic } from './quantize/quantize-dynamic.ts';
import { quantizeStatic } from './quantize/quantize-static.ts';
import { quantizeWeights } from './quantize/quantize-weights.ts';
import { toBf16 } from './quantize/to-bf16.ts';
import { toFp16 } from './quantize/to-fp16.ts';
import { toFp32 } from './quantize/to-fp32.ts';
import { equalize } from './repair/equalize.ts';
import { smoothQuant } from './repair/smooth-quant.ts';
import { simplify } from './simplify/simplify.ts';

export const passes: readonly Pass[] = [
  fuse,
  simplify,
  toOpset,
  inputLayout,
  tensorOutputs,
  equalize,
  smoothQuant,
  toFp16,
  toBf16,
  toFp32,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  mixedPrecision,
  pruneChannels,
  pruneSearch,
  pruneHeads,
  dropLayers,
  pruneWeights,
  clusterWeights,
  lowRank,
];
