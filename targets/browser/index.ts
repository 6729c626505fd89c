import type { OptionValues } from '../../src/pass/options.ts';
import { opt } from '../../src/pass/options.ts';
import { literalPath } from '../../src/target/literal.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget, type Support } from '../../src/target/target.ts';
import { imageInput } from './image-input.ts';
import { type Assessment, assess } from './knowledge.ts';
import { readme } from './readme.ts';
import { type RuntimeId, runtimeEntry, runtimeFiles } from './runtime-files.ts';

/** Bundle path → literal file. */
const loader: Readonly<Record<string, string>> = {
  'mlpack-model/index.js': 'mlpack-model/index.js',
  'mlpack-model/index.d.ts': 'mlpack-model/index.d.ts',
  'mlpack-model/download.js': 'mlpack-model/download.js',
  'mlpack-model/errors.js': 'mlpack-model/errors.js',
  'mlpack-model/provider.js': 'mlpack-model/provider.js',
  'mlpack-model/sha256.js': 'mlpack-model/sha256.js',
  'mlpack-model/tensors.js': 'mlpack-model/tensors.js',
  'mlpack-model/runtime/LICENSE.txt': 'LICENSE-onnxruntime.txt',
};

const pages: Readonly<Record<string, string>> = {
  _headers: 'headers.txt',
  'serve.mjs': 'serve.mjs',
  'index.html': 'index.html',
  'selftest.html': 'selftest.html',
  'selftest.js': 'selftest.js',
  'golden.js': 'golden.js',
  'demo/dom.js': 'demo/dom.js',
  'demo/generic.js': 'demo/generic.js',
  'demo/image.js': 'demo/image.js',
  'demo/main.js': 'demo/main.js',
  'demo/results.js': 'demo/results.js',
  'demo/style.css': 'demo/style.css',
};

const options = {
  provider: opt.choice(
    ['auto', 'wasm', 'webgpu'],
    'auto',
    'what runs the model; auto decides by its operators and size',
  ),
  webgpuRuntime: opt.choice(
    ['jspi', 'asyncify', 'both'],
    'jspi',
    'WebAssembly build for WebGPU: jspi is 17 MB and needs promise integration, asyncify is 27 MB and runs everywhere WebGPU does',
  ),
};

type Options = OptionValues<typeof options>;

/** A WebAssembly module addresses 4 GB, and the model is in it beside its own copy in JavaScript. */
const maxModelBytes = 2_000_000_000;
const cloudflareLimit = 25 * 2 ** 20;
const githubLimit = 100 * 2 ** 20;

function runtimesOf({ providers }: Assessment, { webgpuRuntime }: Options): RuntimeId[] {
  if (!providers.includes('webgpu')) return ['wasm'];
  return webgpuRuntime === 'both' ? ['wasm', 'jspi', 'asyncify'] : ['wasm', webgpuRuntime];
}

function supports(artifact: Artifact, chosen: Options): Support {
  const objections = runtimeObjections(artifact);
  const bytes = artifact.files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > maxModelBytes) {
    objections.push(`The model has ${(bytes / 1e9).toFixed(1)} GB; in a browser about 2 GB can be loaded.`);
  }
  if (objections.length > 0) return { ok: false, because: objections };
  const assessment = assess(artifact, chosen.provider);
  return {
    ok: true,
    because: [...assessment.notes, ...hostNotes(artifact, runtimesOf(assessment, chosen))],
    providers: assessment.providers.map((provider) => `web-${provider}`),
    ...(assessment.foldWeights && { sessionConfig: { 'web-wasm': { 'session.disable_quant_qdq': '1' } } }),
  };
}

function hostNotes(artifact: Artifact, runtimes: readonly RuntimeId[]): string[] {
  const notes: string[] = [];
  for (const { name, bytes } of artifact.files) {
    if (bytes > githubLimit) notes.push(`${name} is over 100 MiB: GitHub Pages and Cloudflare Pages refuse it.`);
    else if (bytes > cloudflareLimit) notes.push(`${name} is over 25 MiB: Cloudflare Pages refuses it.`);
  }
  if (runtimes.includes('asyncify')) {
    notes.push('The asyncify runtime is over 25 MiB: Cloudflare Pages refuses it; webgpuRuntime jspi fits.');
  } else if (runtimes.includes('jspi')) {
    notes.push('Browsers without WebAssembly promise integration take WebAssembly instead of WebGPU.');
  }
  return notes;
}

/** model.json: what the loader needs to know, beside the loader. */
function modelJson(artifact: Artifact, assessment: Assessment, runtimes: readonly RuntimeId[]): string {
  const fold = { extra: { session: { disable_quant_qdq: '1' } } };
  return print({
    schema: 'mlpack.browser-model/1',
    name: artifact.name,
    variant: artifact.variant,
    files: artifact.files.map(({ name, bytes, sha256 }) => ({ name, url: name, bytes, sha256 })),
    inputs: artifact.inputs,
    outputs: artifact.outputs,
    labels: artifact.labels ?? null,
    providers: assessment.providers,
    webgpuFeatures: assessment.webgpuFeatures,
    sessionOptions: assessment.foldWeights ? { wasm: fold } : {},
    runtimes: Object.fromEntries(runtimes.map((id) => [id, runtimeEntry(id)])),
  });
}

function demoJson(artifact: Artifact): string {
  return print({
    name: artifact.name,
    license: artifact.license ?? null,
    files: artifact.files.map(({ name, bytes }) => ({ name, bytes })),
    image: imageInput(artifact) ?? null,
  });
}

function print(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function* emit(artifact: Artifact, chosen: Options): Iterable<BundleFile> {
  const assessment = assess(artifact, chosen.provider);
  const runtimes = runtimesOf(assessment, chosen);
  for (const [path, name] of Object.entries({ ...loader, ...pages }))
    yield { path, from: literalPath('browser', name) };
  for (const id of runtimes) yield* runtimeFiles(id);
  yield { path: 'mlpack-model/model.json', bytes: modelJson(artifact, assessment, runtimes) };
  for (const { name, source } of artifact.files) yield { path: `mlpack-model/${name}`, from: source };
  yield { path: 'demo/demo.json', bytes: demoJson(artifact) };
  yield { path: 'README.md', bytes: readme(artifact, assessment, runtimes) };
}

/** A static folder: loader, runtime, model and a demo page, to be dropped on any web host. */
export const browser = defineTarget({
  id: 'browser',
  summary: 'static folder: loader, ONNX Runtime Web, model and demo page',
  options,
  providers: ['web-wasm', 'web-webgpu'],
  runtime: { package: 'onnxruntime-web', version: ortVersion },
  supports,
  emit,
  commands: () => ({ start: 'node serve.mjs', kind: 'browser' }),
});
