import type { Artifact } from '../../src/target/target.ts';
import { type Assessment, assess, isSmall, type WebProvider } from './knowledge.ts';
import type { Options } from './options.ts';
import type { RuntimeId } from './runtime-files.ts';

/** One way of running the model in a browser: a variant on a provider, and what it asks of the device. */
export interface Way {
  readonly variant: string;
  readonly provider: WebProvider;
  /** Features of the graphics adapter. */
  readonly features: readonly string[];
  /** Bytes that the adapter must take in one buffer. */
  readonly bufferBytes: number;
}

export interface WayPlan {
  /** Best first; the loader takes the first that works on the visitor's device. */
  readonly ways: readonly Way[];
  readonly assessments: ReadonlyMap<string, Assessment>;
  readonly runtimes: readonly RuntimeId[];
}

export function bytesOf({ files }: Artifact): number {
  return files.reduce((sum, file) => sum + file.bytes, 0);
}

/** Median of one inference when the variant was measured, in milliseconds. */
export function timeOf({ evidence }: Artifact, provider: WebProvider): number | undefined {
  return evidence?.latency.find((one) => one.provider === `web-${provider}`)?.p50Ms;
}

/** Lower is better: what was measured, else the download. */
function cost(artifact: Artifact, provider: WebProvider, everyTimed: boolean): number {
  const timed = timeOf(artifact, provider);
  return everyTimed && timed !== undefined ? timed : bytesOf(artifact);
}

function ranked(artifacts: readonly Artifact[], provider: WebProvider): Artifact[] {
  const everyTimed = artifacts.every((one) => timeOf(one, provider) !== undefined);
  return [...artifacts].sort((a, b) => cost(a, provider, everyTimed) - cost(b, provider, everyTimed));
}

/**
 * The ways in their order. Of several variants WebGPU gets those that run on it whole (int8 does not), the smallest first, and
 * WebAssembly those that are not in blocks; the recommended one leads where it can. WebGPU goes first where the timings of this
 * machine say so, or, without them, where the model is not small.
 */
export function planWays(artifact: Artifact, chosen: Options): WayPlan {
  const all = [artifact, ...(artifact.others ?? [])];
  const alone = all.length === 1;
  const assessments = new Map(all.map((one) => [one.variant, assess(one, chosen)]));
  const providersOf = ({ variant }: Artifact): readonly WebProvider[] => assessments.get(variant)?.providers ?? [];
  // Weights that are dequantized at load are no smaller on a GPU; in blocks they are.
  const folds = ({ variant }: Artifact): boolean => assessments.get(variant)?.foldWeights === true;
  const forGpu = ranked(
    all.filter((one) => providersOf(one).includes('webgpu') && (alone || !folds(one))),
    'webgpu',
  );
  const inBlocks = ({ variant }: Artifact): boolean => assessments.get(variant)?.blockwise === true;
  const usable = all.filter((one) => alone || !inBlocks(one) || all.every(inBlocks));
  const forWasm = ranked(usable, 'wasm').sort((a, b) => Number(b === artifact) - Number(a === artifact));
  const way = (one: Artifact, provider: WebProvider): Way => ({
    variant: one.variant,
    provider,
    features: provider === 'webgpu' ? (assessments.get(one.variant)?.webgpuFeatures ?? []) : [],
    bufferBytes: provider === 'webgpu' ? (one.largestWeight ?? 0) : 0,
  });
  const gpu = forGpu.map((one) => way(one, 'webgpu'));
  const wasm = forWasm.map((one) => way(one, 'wasm'));
  const ways = gpuFirst(all, [forGpu[0], forWasm[0]], providersOf, chosen) ? [...gpu, ...wasm] : [...wasm, ...gpu];
  return { ways, assessments, runtimes: runtimesOf(ways, chosen) };
}

/** Bytes of the model before anything was made smaller, as far as that is known. */
export function largestOf(all: readonly Artifact[]): number {
  return Math.max(...all.flatMap((one) => [bytesOf(one), one.evidence?.base.bytes ?? 0]));
}

function gpuFirst(
  all: readonly Artifact[],
  [gpu, wasm]: readonly [Artifact | undefined, Artifact | undefined],
  providersOf: (one: Artifact) => readonly WebProvider[],
  chosen: Options,
): boolean {
  if (!gpu || !wasm) return gpu !== undefined;
  const [onGpu, onWasm] = [timeOf(gpu, 'webgpu'), timeOf(wasm, 'wasm')];
  if (onGpu !== undefined && onWasm !== undefined) return onGpu < onWasm;
  if (all.length === 1) return providersOf(gpu)[0] === 'webgpu';
  return !isSmall(largestOf(all), chosen);
}

function runtimesOf(ways: readonly Way[], { webgpuRuntime }: Options): RuntimeId[] {
  if (!ways.some(({ provider }) => provider === 'webgpu')) return ['wasm'];
  return webgpuRuntime === 'both' ? ['wasm', 'jspi', 'asyncify'] : ['wasm', webgpuRuntime];
}
