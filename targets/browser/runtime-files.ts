import { dependencyBytes, dependencyFile } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { BundleFile } from '../../src/target/target.ts';
import { type FileEntry, place, placeBytes } from './model-files.ts';

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
  /** The code that the model was not seen to need: loaded when it does, else after the first prediction. */
  readonly rest?: FileEntry;
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

/** The WebAssembly runtime in two parts, with its glue made to know of that. */
export function splitRuntimeOf({ first, rest, loader }: SplitForm): { entry: RuntimeEntry; files: BundleFile[] } {
  const [script, mjs, wasm] = files.wasm;
  const stem = wasm.replace(/\.wasm$/, '');
  const placed = placeBytes(`${stem}.first.wasm`, first, `runtime/${stem}.first.wasm`);
  const later = placeBytes(`${stem}.rest.wasm`, rest, `runtime/${stem}.rest.wasm`);
  const { bytes, sha256, pieces } = later.entry;
  const part = { url: `${pieces[0]?.url}?v=${sha256.slice(0, 12)}`, bytes, sha256, loader };
  const source = new TextDecoder().decode(dependencyBytes('onnxruntime-web', ortVersion, `dist/${mjs}`));
  // Names of the module's own stand before the global ones, also in the threads, which load this file again.
  const glue = `import { deferring } from '../deferred.js';\nconst { WebAssembly, Worker } = deferring(${JSON.stringify(part)});\n${source}`;
  return {
    entry: { script: `runtime/${script}`, mjs: `runtime/${mjs}`, wasm: placed.entry, rest: later.entry },
    files: [
      {
        path: `mlpack-model/runtime/${script}`,
        from: dependencyFile('onnxruntime-web', ortVersion, `dist/${script}`).place,
      },
      { path: `mlpack-model/runtime/${mjs}`, bytes: glue },
      ...placed.files,
      ...later.files,
    ],
  };
}

/** See split-runtime.ts. */
interface SplitForm {
  readonly first: Uint8Array;
  readonly rest: Uint8Array;
  readonly loader: number;
}

interface Source {
  readonly name: string;
  readonly place: string;
  readonly bytes: number;
}
