import type * as Ort from 'onnxruntime-node';

export type { Ort };

/** What onnxruntime-node and onnxruntime-web have in common. */
export type OrtApi = Pick<typeof Ort, 'InferenceSession' | 'Tensor'>;

/**
 * ONNX Runtime, loaded on first use: nothing may pay for its 45 MB native library before a session is needed.
 * The module cache makes later calls free. Its own log is silenced: what matters comes back as errors.
 *
 * Version 1.30 of the runtime reports usage to Microsoft on Linux and macOS too, keeps a device id and leaves log files in
 * the temporary folder. A tool that promises to fetch and send nothing switches that off, unless the user's own
 * environment says otherwise. It has to be said before the library is loaded, and child processes inherit it.
 */
export async function loadRuntime(): Promise<typeof Ort> {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const ort = await import('onnxruntime-node');
  ort.env.logLevel = 'fatal';
  return ort;
}

export interface Backend {
  /** Provider name: cpu, webgpu, cuda, tensorrt, coreml, dml. */
  readonly name: string;
  /** False when the package does not contain the provider's library. */
  readonly bundled: boolean;
}

/** The providers this build of the runtime knows on this platform. */
export async function listBackends(): Promise<readonly Backend[]> {
  return (await loadRuntime()).listSupportedBackends();
}

/** Version of the native runtime: `1.30.0`. */
export async function runtimeVersion(): Promise<string> {
  const ort = await loadRuntime();
  return ort.env.versions.node ?? ort.env.versions.common;
}
