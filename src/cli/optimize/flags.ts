import type { DropLimit } from '../../drop-limit.ts';
import type { Naming } from './naming.ts';

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
