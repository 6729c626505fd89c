import type { InferenceSession } from 'onnxruntime-node';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { IoInfo } from '../report/report.ts';
import { runtimeSentence } from './failure.ts';
import { OrtSession } from './ort-session.ts';
import { loadRuntime } from './runtime.ts';
import { openWebSession } from './web-session.ts';

export type OptimizationLevel = 'disabled' | 'basic' | 'extended' | 'layout' | 'all';

export interface SessionOptions {
  /** `cpu` (default) or another provider of onnxruntime-node, or `web-wasm`: onnxruntime-web as browsers run it. */
  readonly provider?: string;
  /** Default `all`, as the runtime itself. */
  readonly graphOptimizationLevel?: OptimizationLevel;
  /** Session config entries by their full key: `{ 'session.disable_quant_qdq': '1' }`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Threads inside one operator; default: the runtime decides (physical cores), on `web-wasm` one. */
  readonly threads?: number;
  /** Where the runtime writes the graph it made. */
  readonly optimizedModelFilePath?: string;
  /** Where the runtime writes its profile when the session ends: a path, to which it adds the time. */
  readonly profileFilePrefix?: string;
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
  dispose(): Promise<void>;
}

/**
 * Runs inferences in a row where the model is (this process, a page), and gives the milliseconds of each.
 * `settleMs`: first goes on untimed for so long. @throws UserError when the model cannot run on the inputs.
 */
export type Timer = (block: { readonly count: number; readonly settleMs: number }) => Promise<number[]>;

/** onnxruntime-web's WebAssembly provider, run in this process. */
const webWasm = 'web-wasm';

/**
 * Opens a model on ONNX Runtime. Models over 2 GB and models with external data are given as a path.
 * @throws UserError when the provider is not there or the runtime refuses the model (with its reason).
 */
export async function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const provider = options.provider ?? 'cpu';
  await requireProvider(provider);
  const label = options.label ?? (typeof model === 'string' ? model : 'the model');
  return provider === webWasm ? openWebSession(model, options, label) : openNative(model, provider, options, label);
}

/** Providers that `openSession` takes on this machine; whether they work, only trying tells. */
export async function listProviders(): Promise<string[]> {
  const ort = await loadRuntime();
  return [...ort.listSupportedBackends().map((backend) => backend.name), webWasm];
}

/** @throws UserError when `openSession` has no such provider. */
export async function requireProvider(provider: string): Promise<void> {
  const known = await listProviders();
  if (known.includes(provider)) return;
  if (provider === 'web-webgpu') {
    throw new UserError(
      'provider-unknown',
      'web-webgpu runs in a browser on a graphics adapter, so it cannot be measured here; web-wasm can.',
    );
  }
  throw new UserError(
    'provider-unknown',
    `The ONNX Runtime on this machine has no provider "${provider}"; it has ${known.join(', ')}. "mlpack doctor" says what each one needs.`,
  );
}

async function openNative(
  model: Uint8Array | string,
  provider: string,
  options: SessionOptions,
  label: string,
): Promise<Session> {
  const ort = await loadRuntime();
  const config = sessionConfig(provider, options);
  const started = performance.now();
  let inner: InferenceSession;
  try {
    inner = await (typeof model === 'string'
      ? ort.InferenceSession.create(model, config)
      : ort.InferenceSession.create(model, config));
  } catch (error) {
    const on = provider === 'cpu' ? 'ONNX Runtime' : `ONNX Runtime (${provider})`;
    throw new UserError('session-load', `${on} cannot load ${label}: ${runtimeSentence(error)}`, { cause: error });
  }
  return new OrtSession(ort, inner, provider, label, performance.now() - started);
}

function sessionConfig(provider: string, options: SessionOptions): InferenceSession.SessionOptions {
  const extra: Record<string, string> = { ...options.extra };
  if (options.modelDir !== undefined) extra['session.model_external_initializers_file_folder_path'] = options.modelDir;
  return {
    // The runtime adds its CPU kernels behind any provider by itself.
    executionProviders: [provider],
    graphOptimizationLevel: options.graphOptimizationLevel ?? 'all',
    logSeverityLevel: 4,
    extra,
    ...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
    ...(options.profileFilePrefix !== undefined && {
      enableProfiling: true,
      profileFilePrefix: options.profileFilePrefix,
    }),
    ...(options.optimizedModelFilePath !== undefined && { optimizedModelFilePath: options.optimizedModelFilePath }),
  };
}
