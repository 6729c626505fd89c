import type { Model } from '../ir/graph.ts';
import type { OptionTable, OptionValues } from '../pass/options.ts';
import type { IoInfo } from '../report/report.ts';
import type { ArchiveEntry } from './archive.ts';
import type { Evidence } from './evidence.ts';
import type { Release } from './release.ts';

/** A finished model on its way into a bundle. */
export interface Artifact {
  /** Folder-safe model name: `digits`. */
  readonly name: string;
  readonly variant: string;
  /** Its file among those that make up the model, without the ending: `encoder_model`; variants of two parts may share a name. */
  readonly part?: string;
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
  /** An output that differs from run to run on the same inputs: nothing can be recorded then, and `golden` is empty. */
  readonly varies?: string;
  /** From the dataset, where there is one. */
  readonly labels: readonly string[] | undefined;
  /** The outputs are scores of classes, whether or not these have names. */
  readonly hasClasses?: boolean;
  /** dataset.json's inputs section, for preprocessing in the bundle. */
  readonly preprocessing: unknown;
  readonly license: string | undefined;
  /** How the model came about and what was measured on it, where that is known. */
  readonly evidence?: Evidence;
  /** Default: version 1.0.0 without a previous one. */
  readonly release?: Release;
  /**
   * For targets with `wantsGraph`: the model with every input fixed at its shape in the first golden case, constants folded,
   * types of all values known. Not the model of `files`, which stays as it came.
   */
  readonly graph?: Model;
  /** For targets that need more of the model than its file: the core reads, rewrites and runs on their behalf. */
  readonly workshop?: Workshop;
  /** Bytes of the largest initializer, where known: what a GPU must take in one buffer. */
  readonly largestWeight?: number;
  /** Files beside the model that say what its inputs mean: config.json, tokenizer.json … */
  readonly companions?: readonly Companion[];
  /** The same model in other formats, and further parts of it, for targets with `beside`; the inputs and outputs of one part have the same names. */
  readonly others?: readonly Artifact[];
}

export interface Companion {
  readonly name: string;
  readonly source: string;
  readonly bytes: number;
}

/** What the core does for a target while it emits; targets have neither file system nor runtime. */
export interface Workshop {
  /** The graph with its inputs at these extents and what follows from them folded, as `simplify --input-shape` does. */
  fixed(shapes: ReadonlyMap<string, readonly number[]>): Promise<Model>;
  /** The graph after these steps, as `mlpack run` writes them (`simplify`, `to-fp16:keepIo=true`), from the model or from `of`. */
  derived(steps: readonly string[], of?: Model): Promise<Model>;
  /** The file of a graph that the target has made itself. */
  encoded?(of: Model): Promise<Uint8Array>;
  /** What ONNX Runtime writes when it has loaded and optimized the model (or `of`). @throws UserError when it refuses. */
  saved(request: SaveRequest, of?: Model): Promise<Uint8Array>;
  /** What is wrong with a model file as the runtime runs it: refused, or a golden case answered otherwise; undefined if nothing. */
  problem(
    file: Uint8Array,
    config: Readonly<Record<string, string>>,
    cases: readonly GoldenCase[],
  ): Promise<string | undefined>;
  /** Rows per run that answer most rows per second here, on one thread; undefined where that cannot be found out. */
  bestBatch?(): Promise<number | undefined>;
  /** Sessions and threads of each that answer most runs of so many rows per second on `cpus` CPUs; undefined where that cannot be found out. */
  bestSplit?(rows: number, cpus: number): Promise<{ readonly instances: number; readonly threads: number } | undefined>;
  /** The same model with its large weights in a file of their own; undefined where it has too few for that to matter, or has them there already. */
  apart?(): Promise<ApartFiles | undefined>;
  /** Histograms of the evaluation data; undefined without data, or with too few samples to compare with. */
  reference?(): Promise<Reference | undefined>;
  /**
   * Which functions of onnxruntime-web's WebAssembly module run while the model is opened, answers the cases and their like in other shapes, and is
   * closed: numbers among the defined functions. @throws Error with a sentence where that cannot be found out
   */
  webFunctionsRun?(request: WebFunctionsRequest): Promise<readonly number[]>;
  /** The same as a graph. */
  savedGraph(request: Omit<SaveRequest, 'format'>, of?: Model): Promise<Model>;
}

/** Files that stand until `remove`, named as in a bundle. */
export interface ApartFiles {
  readonly files: Artifact['files'];
  remove(): Promise<void>;
}

export interface WebFunctionsRequest {
  /** Places of onnxruntime-web's script for Node, its glue and its module. */
  readonly runtime: { readonly script: string; readonly mjs: string; readonly wasm: string };
  /** Session config entries by their full key. */
  readonly config: Readonly<Record<string, string>>;
  readonly inputs: readonly IoInfo[];
  readonly cases: readonly GoldenCase[];
}

/** What inputs and predictions look like on the evaluation data, for a server that watches for drift. */
export interface Reference {
  readonly rows: number;
  /** Share of right answers of these rows; null without labels. */
  readonly accuracy: number | null;
  readonly features: readonly {
    readonly name: string;
    readonly side: 'input' | 'output';
    readonly kind: 'number' | 'class';
    /** Of a number: bin i holds what is at most edges[i], the last one the rest. */
    readonly edges?: readonly number[];
    readonly counts: readonly number[];
  }[];
}

export interface SaveRequest {
  readonly format: 'onnx' | 'ort';
  readonly level: 'basic' | 'extended' | 'layout' | 'all';
  /** Session config entries by their full key. */
  readonly config: Readonly<Record<string, string>>;
}

/** A package and its exact version; `none` where the bundle runs by itself. */
export interface Runtime {
  readonly package: string;
  readonly version: string;
}

/** One recorded inference: inputs and the outputs that this file gave on the CPU provider of this machine's runtime. */
export interface GoldenCase {
  readonly inputs: readonly GoldenTensor[];
  readonly outputs: readonly GoldenTensor[];
  /** |got − expected| ≤ atol + rtol · max|expected| of each output that has no tolerance of its own; see tolerance.ts. */
  readonly tolerance: { readonly rtol: number; readonly atol: number };
}

export interface GoldenTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian, row-major; bool is one byte; strings as `packStrings` in golden.ts writes them. */
  readonly bytes: Uint8Array;
  /** Of an output, where it differs from the case's: what rounding does to it was found out (engine/rounding.ts). */
  readonly tolerance?: { readonly rtol: number; readonly atol: number };
}

/**
 * One file of a bundle: bytes, or a file to copy (`from`, absolute), or its bytes from `start` up to `end` where a host takes no
 * file of its size, or a tar archive (`gzip`: in gzip's form, not compressed). Paths use `/` and stay inside the bundle.
 */
export type BundleFile = (
  | { readonly path: string; readonly bytes: Uint8Array | string }
  | { readonly path: string; readonly from: string; readonly start?: number; readonly end?: number }
  | { readonly path: string; readonly archive: readonly ArchiveEntry[]; readonly gzip?: boolean }
) & {
  /** Says that the file is the model in a form that an app loads: `mlpack check` replays the golden cases through it. */
  readonly program?: Program;
};

/** A file that runs, and how. */
export interface Program {
  /** `onnx` and `ort` run on ONNX Runtime, `tflite` and `coreml` on the package's own interpreters; others are listed, not executed. */
  readonly format: string;
  /** Session config entries that the app must set. */
  readonly config?: Readonly<Record<string, string>>;
  /** Where it cannot keep the tolerance of the golden cases: 16-bit weights, integer arithmetic of another runtime. */
  readonly tolerance?: { readonly rtol: number; readonly atol: number };
  /** Golden cases that it takes, by number; default all. A file of fixed shapes takes those of its shapes only. */
  readonly cases?: readonly number[];
  /** How axes of its inputs and outputs are ordered where it is not the model's order: [0, 2, 3, 1] is NHWC for NCHW. */
  readonly axes?: Readonly<Record<string, readonly number[]>>;
}

export interface Support {
  readonly ok: boolean;
  /** Sentences: why not, or what to know. */
  readonly because: readonly string[];
  /** Providers that this very model runs on in the bundle, the one that decides first; default the target's. */
  readonly providers?: readonly string[];
  /** For bundles of several variants: the providers that each of them runs on there. */
  readonly byVariant?: Readonly<Record<string, readonly string[]>>;
  /** Session config entries that the bundle sets, by provider: whoever measures must set them too. */
  readonly sessionConfig?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface Target<T extends OptionTable = OptionTable> {
  readonly id: string;
  readonly summary: string;
  readonly options: T;
  /** The target writes code or another format from the graph: it gets `Artifact.graph`, and golden cases of that shape only. */
  readonly wantsGraph?: boolean;
  /**
   * For targets whose bundles hold several variants and choose where they run: which of the candidates, all as accurate as asked,
   * go into the bundle beside the recommended one. Whoever names `Artifact.others` otherwise has chosen already.
   */
  beside?(recommended: Artifact, candidates: readonly Artifact[], options: OptionValues<T>): readonly Artifact[];
  /** Of `Artifact.others` those that go into the bundle, where it has no place for all; `supports` has said so of the rest. */
  holds?(artifact: Artifact): readonly Artifact[];
  /** The bundle holds all ONNX files that make up a model (encoder, decoder …), each under its own name. */
  readonly takesParts?: boolean;
  /** Variants that `mlpack bundle` builds for it when there is just the model. */
  readonly usualVariants?: readonly string[];
  /** Providers the bundle runs on, the one that decides first. */
  readonly providers: readonly string[];
  /** The npm package and exact version of the runtime in the bundle. */
  readonly runtime: Runtime;
  /** Where the options decide which one that is. */
  runtimeOf?(options: OptionValues<T>): Runtime;
  /** The ONNX Runtime that loads the model, where that is not the one in the bundle: a server that the bundle is put into. */
  loadedBy?(options: OptionValues<T>): string;
  /**
   * Large weights go into a file of their own, which ONNX Runtime maps into memory where it copies those within the model. For bundles whose files
   * nobody writes to once they are deployed: a mapped file that is overwritten in place changes under the session, or ends the process (SIGBUS).
   */
  weightsApart?(options: OptionValues<T>): boolean;
  supports(artifact: Artifact, options: OptionValues<T>): Support;
  /** Pure: the same artifact and options give the same files. The core adds `mlpack.json` (the manifest) and writes. */
  emit(artifact: Artifact, options: OptionValues<T>): Iterable<BundleFile> | AsyncIterable<BundleFile>;
  /** How a person uses the bundle, relative to its folder; also what `mlpack check` does. */
  commands(
    artifact: Artifact,
    options: OptionValues<T>,
  ): { readonly install?: string; readonly start: string; readonly kind: BundleKind };
}

/**
 * How a bundle is used: a server or page that is started, a program that answers one JSON line for each (`lines`), a function for
 * Lambda's Runtime API, or files for an app (`programs`), which nothing starts.
 */
export type BundleKind = 'http-v2' | 'browser' | 'programs' | 'lines' | 'lambda';

export function defineTarget<const T extends OptionTable>(target: Target<T>): Target<T> {
  return target;
}
