import { type DType, dtypeBits } from '../ir/dtype.ts';
import { stringTensor, type Tensor, tensorFromBytes } from '../ir/tensor.ts';
import type { SessionOptions } from './session.ts';

/** A tensor as it goes to a child process. */
export interface WireTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  readonly strings?: readonly Uint8Array[];
}

export function packTask(feeds: ReadonlyMap<string, Tensor>): WireTensor[] {
  return [...feeds].map(([name, tensor]) => {
    const { dtype, shape } = tensor;
    const strings = tensor.strings?.();
    return { name, dtype, shape: [...shape], bytes: tensor.bytes(), ...(strings && { strings: [...strings] }) };
  });
}

export function unpackTask(wired: readonly WireTensor[]): Map<string, Tensor> {
  return new Map(
    wired.map(({ name, dtype, shape, bytes, strings }) => [
      name,
      dtypeBits(dtype) === 0 ? stringTensor(shape, strings ?? []) : tensorFromBytes(dtype, shape, bytes),
    ]),
  );
}

/** What came of loading and running a model in a process of its own. */
export type Probe =
  | {
      readonly ok: true;
      /** Creating the session, in a fresh process with the runtime loaded. */
      readonly sessionMs: number;
      /** The first inference. */
      readonly firstRunMs: number;
      /** Most memory the process ever held, and what it held before the model was loaded. */
      readonly peakRssBytes: number;
      readonly baselineRssBytes: number;
    }
  | {
      readonly ok: false;
      /** A sentence. */
      readonly why: string;
      /** True when the process died instead of reporting an error. */
      readonly crashed: boolean;
    };

/** What the child is to do. */
export interface WorkerTask {
  readonly model: string | Uint8Array;
  readonly feeds: readonly WireTensor[] | undefined;
  readonly options: SessionOptions;
}

export type WorkerStage = 'starting' | 'loading' | 'running';
export type WorkerAnswer =
  | { readonly kind: 'stage'; readonly stage: WorkerStage }
  | { readonly kind: 'answer'; readonly probe: Probe };
