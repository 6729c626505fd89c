import { dependencyFile } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { BundleFile } from '../../src/target/target.ts';

/** The builds of onnxruntime-web that a bundle can carry. */
export type RuntimeId = 'wasm' | 'jspi' | 'asyncify';

/** Entry script, its glue and the WebAssembly module: the external form, which fetches only what is listed here. */
const files: Readonly<Record<RuntimeId, readonly [script: string, mjs: string, wasm: string]>> = {
  wasm: ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
  jspi: ['ort.jspi.min.mjs', 'ort-wasm-simd-threaded.jspi.mjs', 'ort-wasm-simd-threaded.jspi.wasm'],
  asyncify: ['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'],
};

/** A runtime as model.json names it; URLs relative to `mlpack-model/`. */
export interface RuntimeEntry {
  readonly script: string;
  readonly mjs: string;
  readonly wasm: string;
  /** Of all three, before compression. */
  readonly bytes: number;
}

function source(name: string): { place: string; bytes: number } {
  return dependencyFile('onnxruntime-web', ortVersion, `dist/${name}`);
}

export function runtimeEntry(id: RuntimeId): RuntimeEntry {
  const [script, mjs, wasm] = files[id];
  const bytes = files[id].reduce((sum, name) => sum + source(name).bytes, 0);
  return { script: `runtime/${script}`, mjs: `runtime/${mjs}`, wasm: `runtime/${wasm}`, bytes };
}

export function runtimeFiles(id: RuntimeId): BundleFile[] {
  return files[id].map((name) => ({ path: `mlpack-model/runtime/${name}`, from: source(name).place }));
}
