import { UserError } from '../errors.ts';
import type { IoInfo } from '../report/report.ts';
import type { Evidence } from './evidence.ts';
import { manifestSchema } from './manifest-schema.ts';
import type { Release } from './release.ts';
import { schemaProblem } from './schema-check.ts';
import type { BundleKind, Program } from './target.ts';

export const manifestName = 'mlpack.json';
/** What installing a bundle puts beside its files; no manifest, sum or signature speaks of it. */
export const installedFolder = 'node_modules';
export const bundleSchema = 'mlpack.bundle/1';

export interface ManifestFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A tensor of a golden case; `file` holds little-endian row-major elements (strings: see GoldenTensor). */
export interface ManifestTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
  /** Of an output, where it differs from the case's. */
  readonly tolerance?: { readonly rtol: number; readonly atol: number };
}

/** A model file; `pieces` where it is cut: they joined are the file, and `path` is the first of them. */
export interface ManifestModelFile {
  readonly name: string;
  readonly path: string;
  readonly pieces?: readonly string[];
}

/** Where a model file lies, or would lie if it were not cut into pieces (`<path>.000` …). */
export function wholePath({ path, pieces }: ManifestModelFile): string {
  return pieces ? path.replace(/\.\d+$/, '') : path;
}

/** A variant in a bundle that holds several. */
export interface ManifestVariant {
  readonly name: string;
  /** Digest of its `.onnx` file. */
  readonly sha256: string;
  readonly files: readonly ManifestModelFile[];
  readonly providers: readonly string[];
  readonly evidence: Evidence | null;
}

export interface ManifestGolden {
  /** Which variant gave the outputs, in a bundle that holds several. */
  readonly variant?: string;
  readonly inputs: readonly ManifestTensor[];
  readonly outputs: readonly ManifestTensor[];
  /** |got − expected| ≤ atol + rtol · max|expected| for every element of an output. */
  readonly tolerance: { readonly rtol: number; readonly atol: number };
}

export interface ManifestProgram extends Program {
  readonly path: string;
}

/** `mlpack.json`, the manifest at the root of every bundle: what is in it, what it needs, and how it proves itself. */
export interface Manifest {
  readonly schema: typeof bundleSchema;
  readonly tool: { readonly name: 'mlpack'; readonly version: string };
  readonly target: string;
  readonly kind: BundleKind;
  readonly options: Readonly<Record<string, unknown>>;
  readonly variant: string;
  readonly release: Release;
  readonly model: {
    readonly name: string;
    /** Digest of the `.onnx` file itself. */
    readonly sha256: string;
    readonly license: string | null;
    /** The `.onnx` file first, then its external data; `name` is what the model calls it. */
    readonly files: readonly ManifestModelFile[];
  };
  /** All variants, the one that `variant` names first, where the bundle holds several. */
  readonly variants?: readonly ManifestVariant[];
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly labels: readonly string[] | null;
  readonly providers: readonly string[];
  /** The runtime the bundle brings, and what the model asks of any other. */
  readonly runtime: { readonly package: string; readonly version: string };
  readonly requires: { readonly irVersion: number; readonly opsets: Readonly<Record<string, number>> };
  readonly commands: { readonly install: string | null; readonly start: string };
  readonly notes: readonly string[];
  /** How the model came about and what was measured on it, where that is known. */
  readonly evidence: Evidence | null;
  readonly golden: readonly ManifestGolden[];
  /** Files that an app loads, where the bundle is not itself an app. */
  readonly programs?: readonly ManifestProgram[];
  /** Every file of the bundle but the manifest itself and what is made of it (`SHA256SUMS`, `model.sig`), sorted by path. */
  readonly files: readonly ManifestFile[];
}

/** The bytes of `mlpack.json`. */
export function printManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** Reads and validates the text of a manifest. Throws UserError `bundle-manifest` naming the first thing that is wrong. */
export function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UserError('bundle-manifest', `${manifestName} is not JSON: ${why}.`, { cause });
  }
  const problem = schemaProblem(manifestSchema, value, manifestName);
  if (problem !== undefined) throw new UserError('bundle-manifest', `${problem}.`);
  return value as Manifest;
}
