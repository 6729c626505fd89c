import { messageOf } from './errors.js';

/** What stands in the way of WebGPU here, or which of the shipped runtimes serves it. */
async function probeWebgpu(description) {
  if (!navigator.gpu) return { why: 'this browser has no WebGPU' };
  let adapter;
  try {
    adapter = await navigator.gpu.requestAdapter();
  } catch (error) {
    return { why: `WebGPU gives no adapter: ${messageOf(error)}` };
  }
  if (!adapter) return { why: 'WebGPU finds no graphics adapter' };
  for (const feature of description.webgpuFeatures) {
    if (!adapter.features.has(feature)) return { why: `the graphics adapter lacks ${feature}` };
  }
  const { jspi, asyncify } = description.runtimes;
  if (jspi && 'Suspending' in WebAssembly) return { runtime: jspi, adapter: adapterName(adapter) };
  if (asyncify) return { runtime: asyncify, adapter: adapterName(adapter) };
  return { why: 'this browser lacks WebAssembly promise integration (JSPI), which the WebGPU runtime here needs' };
}

function adapterName(adapter) {
  const { vendor = '', architecture = '', description = '' } = adapter.info ?? {};
  return [vendor, architecture, description].filter(Boolean).join(' ') || 'unknown adapter';
}

/** Threads that WebAssembly can use: more than one only on a cross-origin isolated page. */
export function threadCount(wanted) {
  if (!globalThis.crossOriginIsolated) return 1;
  return wanted ?? Math.min(4, Math.max(1, Math.ceil((navigator.hardwareConcurrency || 1) / 2)));
}

/**
 * The ways to run the model here, best first, each { provider, runtime, adapter? }, and sentences on those that fell out.
 * @param wanted `auto`, `webgpu` or `wasm`
 */
export async function candidates(description, wanted) {
  const order = wanted === 'auto' ? description.providers : [wanted];
  const found = [];
  const reasons = [];
  for (const provider of order) {
    if (provider === 'wasm') found.push({ provider, runtime: description.runtimes.wasm });
    else if (!description.providers.includes(provider)) reasons.push(`${provider}: not part of this bundle.`);
    else {
      const { why, ...way } = await probeWebgpu(description);
      if (why === undefined) found.push({ provider, ...way });
      else reasons.push(`${provider}: ${why}.`);
    }
  }
  return { found, reasons };
}
