import type { DropLimit } from '../../drop-limit.ts';

/** How variants are laid out beside `variants/`: not at all, or as transformers.js looks for them (onnx/model_q4.onnx …). */
export type Naming = 'plain' | 'transformers-js';

/** Flags of `optimize` as the command line gives them: undefined where the user said nothing. */
export interface OptimizeFlags {
  readonly out?: string;
  readonly target?: readonly string[];
  readonly variant?: readonly string[];
  readonly data?: string;
  readonly maxDrop?: DropLimit;
  readonly provider?: readonly string[];
  readonly config?: string;
  readonly inputShape?: readonly string[];
  readonly seed?: number;
  readonly samples?: number;
  readonly allowModules?: boolean;
  readonly seconds?: number;
  readonly bench: boolean;
  readonly force?: boolean;
  readonly cache: boolean;
  readonly frozen?: boolean;
  readonly lock?: string;
  readonly naming?: Naming;
}
