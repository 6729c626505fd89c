import { existsSync } from 'node:fs';
import type { BrowserLike } from './browser/browser-like.ts';
import type { Diagnosis } from './diagnosis.ts';
import { listBackends, runtimeVersion } from './runtime.ts';
import { tryInBrowser } from './try-browser.ts';
import { softwareWebgpu, tryProvider, webgpuIsSoftware } from './webgpu.ts';

export interface DoctorOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (id: string) => void;
  /** Starts the browser for the web providers; without it they are not tried. */
  readonly launchBrowser?: () => Promise<BrowserLike>;
}

export const nativeProviders = ['cpu', 'webgpu', 'cuda', 'tensorrt', 'coreml', 'dml'] as const;
export type NativeProvider = (typeof nativeProviders)[number];

/** Tries every provider, each in a child process or in the browser, so that none can take this process down. */
export async function diagnose(options: DoctorOptions = {}): Promise<Diagnosis[]> {
  const diagnoses: Diagnosis[] = [];
  for (const provider of nativeProviders) {
    options.onProgress?.(provider);
    diagnoses.push(await diagnoseNative(provider, options.signal));
  }
  options.onProgress?.('web-wasm, web-webgpu');
  return [...diagnoses, ...(await tryInBrowser(options.launchBrowser))];
}

/** Whether one of the providers of onnxruntime-node works here, and what would help. */
export async function diagnoseNative(id: NativeProvider, signal: AbortSignal | undefined): Promise<Diagnosis> {
  const backend = (await listBackends()).find((candidate) => candidate.name === id);
  const version = await runtimeVersion();
  if (!backend)
    return {
      id,
      works: false,
      detail: `not part of ONNX Runtime for ${process.platform}-${process.arch}; ${whereItIs[id]}`,
    };
  const result = await tryProvider(id, {}, signal);
  if (result.ok)
    return {
      id,
      works: true,
      detail: `ONNX Runtime ${version}, session in ${result.sessionMs.toFixed(0)} ms${softwareNote(id)}`,
    };
  const library = backend.bundled ? result.why : 'the library it needs is not part of the npm package';
  const hardware = id === 'cuda' || id === 'tensorrt' ? missingForCuda() : undefined;
  const detail = result.crashed ? result.why : hardware === undefined ? library : `${hardware}; ${library}`;
  const enable =
    hardware === undefined ? await enabling(id, signal) : { enable: onceThereIsAGpu(await enabling(id, signal)) };
  return { id, works: false, detail, ...enable };
}

const whereItIs: Readonly<Record<NativeProvider, string>> = {
  cpu: 'onnxruntime-node has no build for this system',
  webgpu: 'onnxruntime-node has it for Linux x64, Windows and macOS',
  cuda: 'onnxruntime-node has it for Linux x64 and Windows x64 with an NVIDIA GPU',
  tensorrt: 'onnxruntime-node has it for Linux x64 with an NVIDIA GPU',
  coreml: 'it exists on macOS only',
  dml: 'it exists on Windows only',
};

async function enabling(id: NativeProvider, signal: AbortSignal | undefined): Promise<{ enable?: string }> {
  switch (id) {
    case 'cpu':
      return { enable: 'node node_modules/onnxruntime-node/script/install.js' };
    case 'cuda':
      return {
        enable:
          'ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js   (needs an NVIDIA GPU with its driver, CUDA 12 and cuDNN 9)',
      };
    case 'tensorrt':
      return {
        enable:
          'ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js   (needs TensorRT 10 beside CUDA 12)',
      };
    case 'webgpu':
      return { enable: await enableWebgpu(signal) };
    default:
      return {};
  }
}

/** A command that cannot help yet says what has to come first. */
const onceThereIsAGpu = ({ enable = '' }: { enable?: string }): string =>
  `with an NVIDIA GPU and its driver: ${enable}`;

/** On Linux: a graphics driver with Vulkan, or Chromium's software driver. What is recommended has been tried. */
async function enableWebgpu(signal: AbortSignal | undefined): Promise<string> {
  if (process.platform !== 'linux') return 'WebGPU needs a GPU with a current driver';
  const env = await softwareWebgpu(signal);
  if (!env)
    return 'install a Vulkan driver for the GPU (Debian: apt-get install mesa-vulkan-drivers), or Chromium for its software driver (apt-get install chromium)';
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return `${set.join(' ')} mlpack …   (software adapter: correctness only, its times mean nothing; bench and optimize take it by themselves)`;
}

function softwareNote(id: NativeProvider): string {
  return id === 'webgpu' && webgpuIsSoftware() ? '; software adapter: correctness only, its times mean nothing' : '';
}

/** What cuda and tensorrt lack, in the order in which it has to be mended. Linux tells; elsewhere the runtime's own words serve. */
function missingForCuda(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  if (!existsSync('/proc/driver/nvidia/version') && !existsSync('/dev/nvidia0') && !existsSync('/dev/dxg'))
    return 'this machine has no NVIDIA driver (/proc/driver/nvidia is not there)';
  return undefined;
}
