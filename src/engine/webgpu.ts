import { existsSync, readdirSync } from 'node:fs';
import { isSoftware } from './browser/host.ts';
import { probe } from './isolated.ts';
import { tinyModel } from './tiny-model.ts';

/** Where Chromium's packages put the software Vulkan driver (and the Vulkan loader) that WebGPU can run on. */
const swiftShaderFolders = [
  '/usr/lib/chromium',
  '/usr/lib/chromium-browser',
  '/opt/google/chrome',
  '/snap/chromium/current/usr/lib/chromium-browser',
];

/** The whole model must run on the provider itself: falling back to the CPU does not count. */
export async function tryProvider(
  id: string,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): ReturnType<typeof probe> {
  const { bytes, feeds } = tinyModel();
  const strict: Readonly<Record<string, string>> = /^cpu\b/.test(id) ? {} : { 'session.disable_cpu_ep_fallback': '1' };
  return await probe(bytes, feeds, { provider: id, extra: strict, env, timeoutMs: 60_000, ...(signal && { signal }) });
}

/** Environment in which the native `webgpu` runs on Chromium's software driver here; found out by trying. */
export async function softwareWebgpu(signal?: AbortSignal): Promise<Readonly<Record<string, string>> | undefined> {
  if (process.platform !== 'linux') return undefined;
  for (const dir of swiftShaderFolders) {
    const driver = `${dir}/vk_swiftshader_icd.json`;
    if (!existsSync(driver)) continue;
    const withDriver = { VK_ICD_FILENAMES: driver };
    // Without the system's libvulkan.so.1, Chromium's own copy serves.
    for (const env of [withDriver, { ...withDriver, LD_LIBRARY_PATH: dir }]) {
      if ((await tryProvider('webgpu', env, signal)).ok) return env;
    }
  }
  return undefined;
}

/** dlopen's flags: resolve late, and keep the library when Node finds that it is no addon. */
const lazyAndStaying = 0x1 | 0x1000;

/**
 * Makes this process and its children use the driver of `softwareWebgpu`. Must come before the first session on webgpu. A
 * library path says nothing to a process that runs already, so the Vulkan loader is loaded here; by its name it is then found.
 */
export function adoptSoftwareDriver(env: Readonly<Record<string, string>>): void {
  Object.assign(process.env, env);
  const dir = env.LD_LIBRARY_PATH;
  if (dir === undefined) return;
  try {
    process.dlopen({ exports: {} }, `${dir}/libvulkan.so.1`, lazyAndStaying);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('did not self-register')) throw error;
  }
}

/**
 * Whether the native `webgpu` can only be running on a software adapter: a software driver is named in the environment, or
 * the system (Linux) has no graphics card at all. The runtime itself does not tell.
 */
export function webgpuIsSoftware(): boolean {
  if (isSoftware(process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES)) return true;
  if (/lvp/.test(process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES ?? '')) return true;
  if (process.platform !== 'linux') return false;
  const cards = ['/dev/dri', '/dev'].flatMap((dir) => (existsSync(dir) ? readdirSync(dir) : []));
  return !cards.some((name) => /^(renderD\d+|nvidia\d+|dxg)$/.test(name));
}
