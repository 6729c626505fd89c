import { closeSync, openSync, readSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-node';
import { nowMs } from '../clock.ts';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { looksLike } from '../onnx/sniff.ts';
import type { IoInfo } from '../report/report.ts';
import type { BrowserHost } from './browser/host.ts';
import { runtimeSentence } from './failure.ts';
import { OrtSession } from './ort-session.ts';
import { isWeb, type ProviderSpec, parseProvider } from './providers.ts';
import { loadRuntime } from './runtime.ts';
import { openWebSession } from './web-session.ts';

export type OptimizationLevel = 'disabled' | 'basic' | 'extended' | 'layout' | 'all';

export interface SessionOptions {
  /**
   * `cpu` (default) or another provider of onnxruntime-node, `web-wasm` or `web-webgpu`; with options such as
   * `cpu:threads=2` (providers.ts).
   */
  readonly provider?: string;
  /** Where the web providers run; without one `web-wasm` runs in this process, and `web-webgpu` does not. */
  readonly browser?: BrowserHost | undefined;
  /** Default `all`, as the runtime itself. */
  readonly graphOptimizationLevel?: OptimizationLevel;
  /** Session config entries by their full key: `{ 'session.disable_quant_qdq': '1' }`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Whether memory that was needed once is kept for the next run; default yes, as the runtime itself. Of a native session. */
  readonly arena?: boolean;
  /** Threads inside one operator; default: the runtime decides (physical cores), on `web-wasm` one. */
  readonly threads?: number;
  /** Where the runtime writes the graph it made. */
  readonly optimizedModelFilePath?: string;
  /** Where the runtime writes its profile when the session ends: a path, to which it adds the time. */
  readonly profileFilePrefix?: string;
  /** In a page: asks the runtime where it puts nodes (`PageSession.placement`). */
  readonly placement?: boolean;
  /** Folder of the external data files, for models given as bytes. */
  readonly modelDir?: string;
  /** What messages call the model; default its path, or "the model". */
  readonly label?: string;
}

export interface Session {
  readonly provider: string;
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  /** Milliseconds that creating the session took (runtime already loaded). */
  readonly createMs: number;
  /**
   * @param outputs names of the outputs wanted; default all that are tensors which can be handed out.
   * @throws UserError when the inputs do not fit the model, or the runtime fails at a node.
   */
  run(feeds: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Map<string, Tensor>>;
  /** A clock around the bare inference, inputs converted beforehand and outputs left alone: what a benchmark needs. */
  timer(feeds: ReadonlyMap<string, Tensor>): Timer;
  /** Writes the profile, where `profileFilePrefix` was given to a native provider. */
  endProfiling?(): void;
  dispose(): Promise<void>;
}

/**
 * Runs inferences in a row where the model is (this process, a page), and gives the milliseconds of each.
 * `settleMs`: first goes on untimed for so long. @throws UserError when the model cannot run on the inputs.
 */
export type Timer = (block: { readonly count: number; readonly settleMs: number }) => Promise<number[]>;

/** onnxruntime-web's WebAssembly provider, run in this process. */
const webWasm = 'web-wasm';
const webGpu = 'web-webgpu';

/**
 * Opens a model on ONNX Runtime. Models over 2 GB and models with external data are given as a path.
 * @throws UserError when the provider is not there or the runtime refuses the model (with its reason).
 */
export async function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const spec = parseProvider(options.provider ?? 'cpu');
  const own = { ...options, ...(spec.threads !== undefined && { threads: spec.threads }) };
  if (options.browser && isWeb(spec.id)) {
    const { openPageSession } = await import('./browser/session.ts');
    return openPageSession(options.browser, model, { id: spec.id, threads: own.threads ?? 1 }, own);
  }
  await requireProvider(spec.id);
  const label = options.label ?? (typeof model === 'string' ? model : 'the model');
  return spec.id === webWasm ? openWebSession(model, own, label) : openNative(model, spec, own, label);
}

/** Providers that `openSession` takes on this machine; whether they work, only trying tells. */
export async function listProviders(): Promise<string[]> {
  const ort = await loadRuntime();
  return [...ort.listSupportedBackends().map((backend) => backend.name), webWasm];
}

/**
 * @param browser there is one, which has the web providers.
 * @throws UserError when `openSession` has no such provider.
 */
export async function requireProvider(text: string, browser = false): Promise<void> {
  const { id: provider } = parseProvider(text);
  const known = await listProviders();
  if (known.includes(provider) || (browser && provider === webGpu)) return;
  if (provider === webGpu) {
    throw new UserError(
      'provider-unknown',
      'web-webgpu runs in Chromium or Chrome, and none was found; install one (Debian: apt-get install chromium), or measure web-wasm, which runs without.',
    );
  }
  throw new UserError(
    'provider-unknown',
    `The ONNX Runtime on this machine has no provider "${provider}"; it has ${known.join(', ')}. "mlpack doctor" says what each one needs.`,
  );
}

async function openNative(
  model: Uint8Array | string,
  { id: provider, device }: ProviderSpec,
  options: SessionOptions,
  label: string,
): Promise<Session> {
  const ort = await loadRuntime();
  const config = sessionConfig(device === undefined ? provider : onDevice(provider, device), options);
  const started = nowMs();
  let inner: InferenceSession;
  try {
    inner = await (typeof model === 'string'
      ? ort.InferenceSession.create(model, config)
      : ort.InferenceSession.create(model, config));
  } catch (error) {
    const said = runtimeSentence(error);
    if (typeof model === 'string' && said.includes('Protobuf parsing failed')) throw noModel(model, label, error);
    const on = provider === 'cpu' ? 'ONNX Runtime' : `ONNX Runtime (${provider})`;
    throw new UserError('session-load', `${on} cannot load ${label}: ${said}`, { cause: error });
  }
  return new OrtSession(ort, inner, provider, label, nowMs() - started);
}

/** What the file is instead, as far as its first bytes tell: the runtime says no more than that it cannot read it. */
function noModel(file: string, label: string, cause: unknown): UserError {
  const head = Buffer.alloc(512);
  const handle = openSync(file, 'r');
  try {
    const what = looksLike(head.subarray(0, readSync(handle, head, 0, head.length, 0)));
    return what === undefined
      ? new UserError('session-load', `${label}: The file is damaged or cut off. Fetch or export it again.`, { cause })
      : new UserError('not-a-model', `${label}: This is no ONNX model: ${what}.`, { cause });
  } finally {
    closeSync(handle);
  }
}

/** The numbered card of cuda, tensorrt and dml; the binding's types know the option by these names only. */
function onDevice(provider: string, deviceId: number): InferenceSession.ExecutionProviderConfig {
  return { name: provider, deviceId } as InferenceSession.CudaExecutionProviderOption;
}

function sessionConfig(
  provider: InferenceSession.ExecutionProviderConfig,
  options: SessionOptions,
): InferenceSession.SessionOptions {
  const extra: Record<string, string> = { ...options.extra };
  if (options.modelDir !== undefined) extra['session.model_external_initializers_file_folder_path'] = options.modelDir;
  return {
    // The runtime adds its CPU kernels behind any provider by itself.
    executionProviders: [provider],
    graphOptimizationLevel: options.graphOptimizationLevel ?? 'all',
    logSeverityLevel: 4,
    extra,
    ...(options.arena !== undefined && { enableCpuMemArena: options.arena }),
    ...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
    ...(options.profileFilePrefix !== undefined && {
      enableProfiling: true,
      profileFilePrefix: options.profileFilePrefix,
    }),
    ...(options.optimizedModelFilePath !== undefined && { optimizedModelFilePath: options.optimizedModelFilePath }),
  };
}
