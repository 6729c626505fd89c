import { dependencyFile } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { BundleFile } from '../../src/target/target.ts';
import { type FileEntry, place } from './model-files.ts';

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
  readonly wasm: FileEntry;
}

/** A runtime's entry in model.json and its files. */
export function runtimeOf(id: RuntimeId, limit: number): { entry: RuntimeEntry; files: BundleFile[] } {
  const [script, mjs, wasm] = files[id].map((name) => ({
    name,
    ...dependencyFile('onnxruntime-web', ortVersion, `dist/${name}`),
  })) as [Source, Source, Source];
  const placed = place(
    { name: wasm.name, source: wasm.place, bytes: wasm.bytes, sha256: '' },
    `runtime/${wasm.name}`,
    limit,
  );
  return {
    entry: { script: `runtime/${script.name}`, mjs: `runtime/${mjs.name}`, wasm: placed.entry },
    files: [
      { path: `mlpack-model/runtime/${script.name}`, from: script.place },
      { path: `mlpack-model/runtime/${mjs.name}`, from: mjs.place },
      ...placed.files,
    ],
  };
}

interface Source {
  readonly name: string;
  readonly place: string;
  readonly bytes: number;
}
