import type { InferenceSession } from 'onnxruntime-node';
import { bug, UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { IoInfo } from '../report/report.ts';
import { runtimeSentence } from './failure.ts';
import { canExchange, fromOrtTensor, toOrtTensor } from './ort-tensor.ts';
import type { Ort, OrtApi } from './runtime.ts';
import type { Session, Timer } from './session.ts';

/** A session of ONNX Runtime's JavaScript API, which onnxruntime-node and onnxruntime-web share. */
export class OrtSession implements Session {
  readonly provider: string;
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly createMs: number;
  readonly #ort: OrtApi;
  readonly #inner: InferenceSession;
  readonly #label: string;
  #disposed = false;

  constructor(ort: OrtApi, inner: InferenceSession, provider: string, label: string, createMs: number) {
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

  timer(feeds: ReadonlyMap<string, Tensor>): Timer {
    const converted = this.#convert(feeds);
    const wanted = this.#wanted();
    const inner = this.#inner;
    // Nothing of ours stands between the clock and the runtime: one more async function costs 2 % of an inference of 18 µs.
    return async ({ count, settleMs }) => {
      const times = Array.from({ length: count }, () => 0);
      try {
        for (const until = performance.now() + settleMs; performance.now() < until; )
          await inner.run(converted, wanted);
        for (let at = 0; at < count; at++) {
          const start = performance.now();
          await inner.run(converted, wanted);
          times[at] = performance.now() - start;
        }
      } catch (error) {
        throw this.#failed(error);
      }
      return times;
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
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): UserError {
    return new UserError('session-run', `Running ${this.#label} failed: ${runtimeSentence(error)}`, { cause: error });
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
          `Output "${name}" of ${this.#label} is of type ${info.dtype}, which ONNX Runtime cannot hand out.`,
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
  return { name: meta.name, dtype: meta.type, shape: meta.shape.map((dim) => (isOpen(dim) ? null : dim)) };
}

/** Nameless dimensions come as '' from the native runtime, as −1 taken for unsigned from the one for the web. */
function isOpen(dim: number | string): boolean {
  return dim === '' || dim === -1 || dim === 0xffffffff;
}
