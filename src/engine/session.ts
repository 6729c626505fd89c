import type { InferenceSession } from 'onnxruntime-node';
import { bug, UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { IoInfo } from '../report/report.ts';
import { runtimeSentence } from './failure.ts';
import { canExchange, fromOrtTensor, toOrtTensor } from './ort-tensor.ts';
import { loadRuntime, type Ort } from './runtime.ts';

export type OptimizationLevel = 'disabled' | 'basic' | 'extended' | 'layout' | 'all';

export interface SessionOptions {
  /** Execution provider, default `cpu`. */
  readonly provider?: string;
  /** Default `all`, as the runtime itself. */
  readonly graphOptimizationLevel?: OptimizationLevel;
  /** Session config entries by their full key: `{ 'session.disable_quant_qdq': '1' }`. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Threads inside one operator; default: the runtime decides (physical cores). */
  readonly threads?: number;
  /** Where the runtime writes the graph it made. */
  readonly optimizedModelFilePath?: string;
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
  /** The bare inference, inputs converted beforehand and outputs left alone: what a benchmark times. */
  bind(feeds: ReadonlyMap<string, Tensor>): () => Promise<void>;
  dispose(): Promise<void>;
}

/**
 * Opens a model on ONNX Runtime. Models over 2 GB and models with external data are given as a path.
 * @throws UserError when the provider is not there or the runtime refuses the model (with its reason).
 */
export async function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const ort = await loadRuntime();
  const provider = options.provider ?? 'cpu';
  const label = options.label ?? (typeof model === 'string' ? model : 'the model');
  requireProvider(ort, provider);
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
  return new NativeSession(ort, inner, provider, label, performance.now() - started);
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
    ...(options.optimizedModelFilePath !== undefined && { optimizedModelFilePath: options.optimizedModelFilePath }),
  };
}

function requireProvider(ort: typeof Ort, provider: string): void {
  const known = ort.listSupportedBackends();
  if (known.some((backend) => backend.name === provider)) return;
  const names = known.map((backend) => backend.name).join(', ');
  throw new UserError(
    'provider-unknown',
    `The ONNX Runtime on this machine has no provider "${provider}"; it has ${names}. "mlpack doctor" says what each one needs.`,
  );
}

class NativeSession implements Session {
  readonly provider: string;
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly createMs: number;
  readonly #ort: typeof Ort;
  readonly #inner: InferenceSession;
  readonly #label: string;
  #disposed = false;

  constructor(ort: typeof Ort, inner: InferenceSession, provider: string, label: string, createMs: number) {
    this.#ort = ort;
    this.#inner = inner;
    this.#label = label;
    this.provider = provider;
    this.createMs = createMs;
    this.inputs = inner.inputMetadata.map(ioInfo);
    this.outputs = inner.outputMetadata.map(ioInfo);
  }

  async run(feeds: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Map<string, Tensor>> {
    const wanted = this.#wanted(outputs);
    const results = await this.#call(this.#convert(feeds), wanted);
    const tensors = new Map<string, Tensor>();
    for (const name of wanted) {
      const value = results[name] ?? bug(`ONNX Runtime gave no output "${name}"`);
      tensors.set(name, fromOrtTensor(value));
    }
    return tensors;
  }

  bind(feeds: ReadonlyMap<string, Tensor>): () => Promise<void> {
    const converted = this.#convert(feeds);
    const wanted = this.#wanted();
    return async () => {
      await this.#call(converted, wanted);
    };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#inner.release();
  }

  async #call(
    feeds: Record<string, Ort.Tensor>,
    outputs: readonly string[],
  ): Promise<InferenceSession.OnnxValueMapType> {
    try {
      return await this.#inner.run(feeds, outputs);
    } catch (error) {
      throw new UserError('session-run', `Running ${this.#label} failed: ${runtimeSentence(error)}`, { cause: error });
    }
  }

  /** The outputs asked for; by default those that can be handed out (no sequences, maps or sub-byte types). */
  #wanted(outputs?: readonly string[]): readonly string[] {
    const names = outputs ?? this.outputs.filter((output) => canExchange(output.dtype)).map((output) => output.name);
    const checked = names.length > 0 ? names : this.outputs.map((output) => output.name);
    for (const name of checked) {
      const info = this.outputs.find((output) => output.name === name);
      if (!info) {
        const has = this.outputs.map((output) => `"${output.name}"`).join(', ');
        throw new UserError('output-unknown', `${this.#label} has no output "${name}"; it has ${has}.`);
      }
      // A sub-byte output makes the Node binding allocate without bound: never ask for one.
      if (!canExchange(info.dtype)) {
        throw new UserError(
          'dtype-not-exchangeable',
          `Output "${name}" of ${this.#label} is of type ${info.dtype}, which onnxruntime-node cannot hand out.`,
        );
      }
    }
    return checked;
  }

  #convert(feeds: ReadonlyMap<string, Tensor>): Record<string, Ort.Tensor> {
    const converted: Record<string, Ort.Tensor> = {};
    for (const input of this.inputs) {
      const tensor = feeds.get(input.name);
      if (!tensor) {
        throw new UserError(
          'input-missing',
          `${this.#label} needs an input "${input.name}" (${describe(input)}); none was given.`,
        );
      }
      if (input.dtype !== tensor.dtype || !fits(input.shape, tensor.shape)) {
        throw new UserError(
          'input-mismatch',
          `Input "${input.name}" of ${this.#label} is ${describe(input)}, but was given ${tensor.dtype}[${tensor.shape.join(', ')}].`,
        );
      }
      converted[input.name] = toOrtTensor(this.#ort, input.name, tensor);
    }
    for (const [name, tensor] of feeds) {
      // Initializers that callers may override are no inputs to the runtime, but can be fed.
      if (converted[name] === undefined) converted[name] = toOrtTensor(this.#ort, name, tensor);
    }
    return converted;
  }
}

function describe(info: IoInfo): string {
  return `${info.dtype}[${(info.shape ?? ['…']).map((dim) => dim ?? '?').join(', ')}]`;
}

/** An empty shape in the runtime's metadata means a scalar or an unknown rank: nothing to hold against it. */
function fits(expected: IoInfo['shape'], actual: readonly number[]): boolean {
  if (!expected || expected.length === 0) return true;
  if (expected.length !== actual.length) return false;
  return expected.every((dim, axis) => typeof dim !== 'number' || dim === actual[axis]);
}

function ioInfo(meta: InferenceSession.ValueMetadata): IoInfo {
  if (!meta.isTensor) return { name: meta.name, dtype: 'non-tensor', shape: null };
  // Nameless dimensions come as ''.
  return { name: meta.name, dtype: meta.type, shape: meta.shape.map((dim) => (dim === '' ? null : dim)) };
}
