export type ErrorCode = 'network' | 'integrity' | 'provider' | 'runtime' | 'input' | 'cancelled' | 'disposed';

export class ModelError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions);
}

export interface Signature {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | null)[] | null;
}

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | readonly number[]
  | readonly bigint[]
  | readonly string[];

export type Feed = TensorData | { readonly data: TensorData; readonly dims?: readonly number[] };

export interface Output {
  readonly data: TensorData;
  readonly dims: readonly number[];
  readonly type: string;
}

export interface Progress {
  readonly phase: 'model' | 'runtime';
  readonly loaded: number;
  readonly total: number;
}

export interface LoadOptions {
  readonly provider?: 'auto' | 'webgpu' | 'wasm';
  readonly threads?: number;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

export interface Model {
  readonly name: string;
  readonly variant: string;
  readonly inputs: readonly Signature[];
  readonly outputs: readonly Signature[];
  readonly labels: readonly string[] | null;
  readonly provider: 'webgpu' | 'wasm';
  readonly threads: number;
  /** Name of the graphics adapter, with WebGPU. */
  readonly adapter: string | undefined;
  /** Why providers that come before this one were not taken. */
  readonly reasons: readonly string[];
  run(feeds: Readonly<Record<string, Feed>>): Promise<Record<string, Output>>;
  dispose(): Promise<void>;
}

export function load(options?: LoadOptions): Promise<Model>;
