import { existsSync } from 'node:fs';
import { probe } from './isolated.ts';
import { listBackends, runtimeVersion } from './runtime.ts';
import { tinyModel } from './tiny-model.ts';
import { type BrowserLike, tryInBrowser } from './try-browser.ts';

/** Whether a provider works here, found out by running a small model on it. */
export interface Diagnosis {
  readonly id: string;
  readonly works: boolean;
  /** A sentence: what it runs on, or why it does not run. */
  readonly detail: string;
  /** The command that would enable it, or a sentence where it takes more than one. */
  readonly enable?: string;
}

export interface DoctorOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (id: string) => void;
  /** Starts the browser for the web providers; without it they are not tried. */
  readonly launchBrowser?: () => Promise<BrowserLike>;
}

/** Where Chromium's packages put the software Vulkan driver (and the Vulkan loader) that WebGPU can run on. */
const swiftShaderFolders = [
  '/usr/lib/chromium',
  '/usr/lib/chromium-browser',
  '/opt/google/chrome',
  '/snap/chromium/current/usr/lib/chromium-browser',
];

const nativeProviders = ['cpu', 'webgpu', 'cuda', 'tensorrt', 'coreml', 'dml'] as const;
type NativeProvider = (typeof nativeProviders)[number];

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

async function diagnoseNative(id: NativeProvider, signal: AbortSignal | undefined): Promise<Diagnosis> {
  const backend = (await listBackends()).find((candidate) => candidate.name === id);
  const version = await runtimeVersion();
  if (!backend)
    return {
      id,
      works: false,
      detail: `not part of ONNX Runtime for ${process.platform}-${process.arch}; ${whereItIs[id]}`,
    };
  const result = await attempt(id, {}, signal);
  if (result.ok)
    return {
      id,
      works: true,
      detail: `ONNX Runtime ${version}, session in ${result.sessionMs.toFixed(0)} ms${softwareNote(id)}`,
    };
  const detail = backend.bundled || result.crashed ? result.why : 'the library it needs is not part of the npm package';
  return { id, works: false, detail, ...(await enabling(id, signal)) };
}

const whereItIs: Readonly<Record<NativeProvider, string>> = {
  cpu: 'onnxruntime-node has no build for this system',
  webgpu: 'onnxruntime-node has it for Linux x64, Windows and macOS',
  cuda: 'onnxruntime-node has it for Linux x64 and Windows x64 with an NVIDIA GPU',
  tensorrt: 'onnxruntime-node has it for Linux x64 with an NVIDIA GPU',
  coreml: 'it exists on macOS only',
  dml: 'it exists on Windows only',
};

/** The whole model must run on the provider itself: falling back to the CPU does not count. */
async function attempt(id: NativeProvider, env: Readonly<Record<string, string>>, signal: AbortSignal | undefined) {
  const { bytes, feeds } = tinyModel();
  const strict: Readonly<Record<string, string>> = id === 'cpu' ? {} : { 'session.disable_cpu_ep_fallback': '1' };
  return await probe(bytes, feeds, { provider: id, extra: strict, env, timeoutMs: 60_000, ...(signal && { signal }) });
}

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

/** On Linux: a graphics driver with Vulkan, or Chromium's software driver. What is recommended has been tried. */
async function enableWebgpu(signal: AbortSignal | undefined): Promise<string> {
  if (process.platform !== 'linux') return 'WebGPU needs a GPU with a current driver';
  for (const dir of swiftShaderFolders) {
    const driver = `${dir}/vk_swiftshader_icd.json`;
    if (!existsSync(driver)) continue;
    const withDriver = { VK_ICD_FILENAMES: driver };
    // Without the system's libvulkan.so.1, Chromium's own copy serves.
    for (const env of [withDriver, { ...withDriver, LD_LIBRARY_PATH: dir }]) {
      const result = await attempt('webgpu', env, signal);
      const set = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      if (result.ok) return `${set.join(' ')} mlpack …   (software adapter: right results, meaningless times)`;
    }
  }
  return 'install a Vulkan driver for the GPU (Debian: apt-get install mesa-vulkan-drivers), or Chromium for its software driver (apt-get install chromium)';
}

function softwareNote(id: NativeProvider): string {
  const software = id === 'webgpu' && /swiftshader|lvp|lavapipe/i.test(process.env.VK_ICD_FILENAMES ?? '');
  return software ? '; software adapter: right results, meaningless times' : '';
}
