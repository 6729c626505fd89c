import { messageOf } from './errors.js';

/** A module with one SIMD instruction: what every build of the runtime needs. */
const simdModule = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
);

/** What the device offers, asked once: { wasm?: why not, gpu?: { adapter, … }, gpuWhy?, memoryGb? }. */
export async function probeDevice() {
  const memoryGb = navigator.deviceMemory;
  if (typeof WebAssembly !== 'object') return { memoryGb, wasmWhy: 'this browser has no WebAssembly' };
  const wasmWhy = WebAssembly.validate(simdModule) ? undefined : 'this browser lacks the SIMD instructions of WebAssembly';
  return { memoryGb, wasmWhy, ...(await probeGpu()) };
}

async function probeGpu() {
  if (!navigator.gpu) return { gpuWhy: 'this browser has no WebGPU' };
  try {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return { gpuWhy: 'WebGPU finds no graphics adapter' };
    const { vendor = '', architecture = '', description = '' } = adapter.info ?? {};
    const name = [vendor, architecture, description].filter(Boolean).join(' ') || 'unknown adapter';
    const software = adapter.info?.isFallbackAdapter === true || adapter.isFallbackAdapter === true || /swiftshader|llvmpipe/i.test(name);
    return { gpu: { features: adapter.features, limits: adapter.limits, name, software } };
  } catch (error) {
    return { gpuWhy: `WebGPU gives no adapter: ${messageOf(error)}` };
  }
}

/** Threads that WebAssembly can use: more than one only on a cross-origin isolated page. */
export function threadCount(wanted) {
  if (!globalThis.crossOriginIsolated) return 1;
  return wanted ?? Math.min(4, Math.max(1, Math.ceil((navigator.hardwareConcurrency || 1) / 2)));
}

function runtimeFor({ runtimes }, provider) {
  if (provider === 'wasm') return { id: 'wasm', runtime: runtimes.wasm };
  if (runtimes.jspi && 'Suspending' in WebAssembly) return { id: 'jspi', runtime: runtimes.jspi };
  return runtimes.asyncify && { id: 'asyncify', runtime: runtimes.asyncify };
}

/** Bytes for each byte of a model: as it arrives, in the WebAssembly memory, and as the runtime lays weights out anew. */
const memoryFactor = 3;

/** What stands against a way on this device, in words; undefined where nothing does. */
function objection(way, description, device, asked) {
  const { bytes } = description.variants.find(({ name }) => name === way.variant);
  if (device.wasmWhy) return device.wasmWhy;
  if (device.memoryGb !== undefined && bytes * memoryFactor > device.memoryGb * 2 ** 30)
    return `${(bytes / 1e6).toFixed(0)} MB need about ${((bytes * memoryFactor) / 1e9).toFixed(1)} GB of memory, and the device has ${device.memoryGb} GB`;
  if (way.provider === 'wasm') return undefined;
  if (!device.gpu) return device.gpuWhy;
  const { gpu } = device;
  // A GPU made of software computes rightly, and slower than WebAssembly does.
  if (gpu.software && !asked) return `the graphics adapter (${gpu.name}) is made of software`;
  for (const feature of way.features) if (!gpu.features.has(feature)) return `the graphics adapter lacks ${feature}`;
  const most = Math.min(gpu.limits?.maxStorageBufferBindingSize ?? Infinity, gpu.limits?.maxBufferSize ?? Infinity);
  if (way.bufferBytes > most) return `the graphics adapter takes buffers of ${most} bytes, and a weight has ${way.bufferBytes}`;
  if (!runtimeFor(description, 'webgpu'))
    return 'this browser lacks WebAssembly promise integration (JSPI), which the WebGPU runtime here needs';
  return undefined;
}

/**
 * The ways to run the model here, best first, each { variant, provider, runtime, runtimeId, adapter? }, and sentences on those that
 * fell out.
 * @param wanted { provider: `auto`, `wasm` or `webgpu`; variant: a name or undefined }
 */
export function candidates(description, device, { provider, variant }) {
  const found = [];
  const reasons = [];
  const asked = provider === 'webgpu';
  /** What stands against which variants. */
  const against = new Map();
  const ways = description.ways.filter(
    (way) => (provider === 'auto' || way.provider === provider) && (variant === undefined || way.variant === variant),
  );
  if (ways.length === 0) {
    const what = [variant, provider === 'auto' ? undefined : provider].filter(Boolean).join(' on ');
    reasons.push(`${what}: not part of this bundle.`);
  }
  for (const way of ways) {
    const why = objection(way, description, device, asked);
    if (why !== undefined) {
      const key = `${way.provider}: ${why}`;
      against.set(key, [...(against.get(key) ?? []), way.variant]);
    } else {
      const { id, runtime } = runtimeFor(description, way.provider);
      found.push({ ...way, runtime, runtimeId: id, adapter: way.provider === 'webgpu' ? device.gpu.name : undefined });
    }
  }
  for (const [why, variants] of against) reasons.push(`${variants.join(', ')} on ${why}.`);
  return { found, reasons };
}
