import type { Model } from '../ir/graph.ts';
import type { OptionTable, OptionValues } from '../pass/options.ts';
import type { IoInfo } from '../report/report.ts';

/** A finished model on its way into a bundle. */
export interface Artifact {
  /** Folder-safe model name: `digits`. */
  readonly name: string;
  readonly variant: string;
  /** Model file and, where external, its data files: bundle-relative name → place on disk. `model.onnx` comes first. */
  readonly files: readonly {
    readonly name: string;
    readonly source: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  /** Operators by `domain:op` ('' domain without colon) with their count. */
  readonly ops: Readonly<Record<string, number>>;
  /** Bytes of initializers by element type, where known: { float16: 1200, int8: 64000 }. */
  readonly weightBytes?: Readonly<Record<string, number>>;
  readonly golden: readonly GoldenCase[];
  /** From the dataset, where there is one. */
  readonly labels: readonly string[] | undefined;
  /** dataset.json's inputs section, for preprocessing in the bundle. */
  readonly preprocessing: unknown;
  readonly license: string | undefined;
  /**
   * For targets with `wantsGraph`: the model with every input fixed at its shape in the first golden case, constants folded,
   * types of all values known. Not the model of `files`, which stays as it came.
   */
  readonly graph?: Model;
}

/** One recorded inference: inputs and the outputs that this file gave on the CPU provider of this machine's runtime. */
export interface GoldenCase {
  readonly inputs: readonly GoldenTensor[];
  readonly outputs: readonly GoldenTensor[];
  /** |got − expected| ≤ atol + rtol · max|expected| of that output; `goldenTolerance` in tolerance.ts gives one that fits. */
  readonly tolerance: { readonly rtol: number; readonly atol: number };
}

export interface GoldenTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian, row-major; bool is one byte; strings as `packStrings` in golden.ts writes them. */
  readonly bytes: Uint8Array;
}

/** One file of a bundle: bytes, or a file to copy (`from`, absolute). Paths use `/` and stay inside the bundle. */
export type BundleFile =
  | { readonly path: string; readonly bytes: Uint8Array | string }
  | { readonly path: string; readonly from: string };

export interface Support {
  readonly ok: boolean;
  /** Sentences: why not, or what to know. */
  readonly because: readonly string[];
  /** Providers that this very model runs on in the bundle, the one that decides first; default the target's. */
  readonly providers?: readonly string[];
  /** Session config entries that the bundle sets, by provider: whoever measures must set them too. */
  readonly sessionConfig?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface Target<T extends OptionTable = OptionTable> {
  readonly id: string;
  readonly summary: string;
  readonly options: T;
  /** The target writes code or another format from the graph: it gets `Artifact.graph`, and golden cases of that shape only. */
  readonly wantsGraph?: boolean;
  /** Providers the bundle runs on, the one that decides first. */
  readonly providers: readonly string[];
  /** The npm package and exact version of the runtime in the bundle. */
  readonly runtime: { readonly package: string; readonly version: string };
  supports(artifact: Artifact, options: OptionValues<T>): Support;
  /** Pure: the same artifact and options give the same files. The core adds `mlpack.json` (the manifest) and writes. */
  emit(artifact: Artifact, options: OptionValues<T>): Iterable<BundleFile>;
  /** How a person uses the bundle, relative to its folder; also what `mlpack check` does. */
  commands(
    artifact: Artifact,
    options: OptionValues<T>,
  ): { readonly install?: string; readonly start: string; readonly kind: 'http-v2' | 'browser' };
}

export function defineTarget<const T extends OptionTable>(target: Target<T>): Target<T> {
  return target;
}
