export type ErrorCode = 'network' | 'integrity' | 'provider' | 'runtime' | 'input' | 'cancelled' | 'disposed' | 'place';

export class ModelError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions);
}

export interface Signature {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | null)[] | null;
}

export interface Float16ArrayLike extends ArrayLike<number> {
  readonly BYTES_PER_ELEMENT: number;
  readonly buffer: ArrayBufferLike;
}

/** Elements in row-major order; with `dims` where the model leaves more than one dimension open. */
export type Feed<Data> = Data | { readonly data: Data; readonly dims?: readonly number[] };

export interface Output<Data> {
  readonly data: Data;
  readonly dims: readonly number[];
  readonly type: string;
}

/* own types */
export interface Progress {
  /** `download`: bytes of runtime and model; `start`: the runtime compiles and opens the model, of unknown length. */
  readonly phase: 'download' | 'start';
  readonly loaded: number;
  readonly total: number;
}

export interface LoadOptions {
  /** Where the folder is served; default: where its index.js lies. Needed where a bundler moves that. */
  readonly base?: string | URL;
  readonly provider?: 'auto' | 'webgpu' | 'wasm';
  readonly variant?: VariantName;
  readonly threads?: number;
  /** Keep the model for the next visit; default true. */
  readonly cache?: boolean;
  /** Run off the page's thread; default true. */
  readonly worker?: boolean;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** What a person gives: a picture, a text (or two), a sound. Which of them the model takes, `task` says. */
export type Media =
  | ImageBitmapSource
  | Blob
  | string
  | readonly [first: string, second: string]
  | AudioBuffer
  | Float32Array;

export interface Score {
  readonly label: Label;
  readonly index: number;
  readonly score: number;
}

export interface Prepared {
  readonly feeds: Readonly<Record<string, { readonly data: ArrayLike<number>; readonly dims: readonly number[] }>>;
  /** Of a text: its tokens, and how many the model takes. */
  readonly tokens?: { readonly count: number; readonly most: number | null };
}

export interface Prediction extends Prepared {
  /** Classes, best first; undefined where the model has no labels. */
  readonly answer: readonly Score[] | undefined;
  readonly outputs: Outputs;
  readonly ms: number;
}

export interface Latency {
  readonly provider: string;
  readonly p50Ms: number;
  readonly ratioToBase: number;
}

export interface Accuracy {
  readonly metric: string;
  readonly value: number | null;
  readonly base: number | null;
}

export interface Model {
  readonly name: string;
  readonly variant: VariantName;
  readonly variants: readonly VariantName[];
  readonly bytes: number;
  readonly inputs: readonly Signature[];
  readonly outputs: readonly Signature[];
  readonly labels: readonly Label[] | null;
  readonly license: string | null;
  readonly task: { readonly kind: 'image' | 'text' | 'audio' } | null;
  /** What was measured of the variant before it was packed. */
  readonly latency: readonly Latency[];
  readonly accuracy: Accuracy | null;
  readonly provider: 'webgpu' | 'wasm';
  readonly threads: number;
  /** Name of the graphics adapter, with WebGPU. */
  readonly adapter: string | undefined;
  /** Why ways that come before this one were not taken, and what else there is to know. */
  readonly reasons: readonly string[];
  /** Milliseconds that the runtime took for the last inference. */
  readonly lastMs: number | undefined;
  /** `transfer`: typed arrays go over to the worker instead of being copied, and are empty afterwards. */
  run(feeds: Inputs, options?: { readonly transfer?: boolean }): Promise<Outputs>;
  predict(input: Media): Promise<Prediction>;
  prepare(input: Media): Promise<Prepared>;
  dispose(): Promise<void>;
}

export function load(options?: LoadOptions): Promise<Model>;
