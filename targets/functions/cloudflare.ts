import type { Artifact } from '../../src/target/target.ts';

/** onnxruntime-web 1.30.0, ort-wasm-simd-threaded.wasm: as it is, and by gzip -9, which is what counts for a Worker. */
const wasm = { bytes: 14239897, zipped: 3659955 };
/** Workers Paid: script after compression, and memory of an isolate (developers.cloudflare.com/workers/platform/limits). */
const limits = { zipped: 10_000_000, memory: 128_000_000 };

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** Whether a Worker could hold the model, by size alone, and what to do instead. Weights hardly compress, so they count in full. */
export function workersAdvice({ files }: Artifact): string {
  const model = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const zipped = model + wasm.zipped;
  // The weights as loaded and as packed, and the instance.
  const memory = 2 * model + 2 * wasm.bytes;
  const sizes = `A Worker may have 10 MB after compression and 128 MB of memory. The model has ${megabytes(model)} MB and ONNX Runtime's WebAssembly ${megabytes(wasm.zipped)} MB compressed`;
  const instead =
    'Use Cloudflare Containers with the image of `--target server`, or `--target browser` on Pages, which runs the model with the visitor.';
  if (zipped > limits.zipped) return `${sizes}, together too much. ${instead}`;
  if (memory > limits.memory)
    return `${sizes}, which fits, but would take about ${megabytes(memory)} MB of memory. ${instead}`;
  return `${sizes}, which fits; but a Worker has no native modules, and onnxruntime-web compiles its WebAssembly at run time, which Workers do not allow. ${instead}`;
}
