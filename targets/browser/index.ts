import { dependencyFile, literalPath } from '../../src/target/literal.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget, type Support } from '../../src/target/target.ts';
import { hostFiles, hosts } from './hosting.ts';
import { print } from './json.ts';
import { isSmall } from './knowledge.ts';
import { modelJson } from './model-json.ts';
import { type Options, options } from './options.ts';
import { readme } from './readme.ts';
import { serviceWorker } from './service-worker.ts';
import { splitRuntime } from './split-runtime.ts';
import { taskOf } from './task.ts';
import { tokenizerFiles } from './task-sequence.ts';
import { indexTypes } from './types.ts';
import { bytesOf, largestOf, planWays, timeOf, type WayPlan } from './ways.ts';

/** Literal files of the loader, and of the pages around it. */
const loader = [
  ...[
    'index.js',
    'worker.js',
    'engine.js',
    'deferred.js',
    'provider.js',
    'download.js',
    'store.js',
    'session.js',
    'tensors.js',
  ],
  ...[
    'errors.js',
    'sha256.js',
    'media.js',
    'prepare.js',
    'answer.js',
    'offline.js',
    'react.js',
    'react.d.ts',
    'element.js',
  ],
  ...['element.d.ts', 'offline.d.ts', 'prepare/image.js', 'prepare/resample.js', 'prepare/text.js', 'prepare/audio.js'],
  'prepare/log-mel.js',
];
const pages = [
  ...['serve.mjs', 'index.html', 'selftest.html', 'selftest.js', 'golden.js', 'demo/dom.js', 'demo/generic.js'],
  ...['demo/image.js', 'demo/draw.js', 'demo/text.js', 'demo/audio.js', 'demo/main.js', 'demo/results.js'],
  'demo/style.css',
];

/** Version of @huggingface/tokenizers that bundles of text models carry. */
const tokenizersVersion = '0.2.0';

/** A WebAssembly module addresses 4 GB, and the model is in it beside its own copy in JavaScript. */
const maxModelBytes = 2_000_000_000;

function supports(artifact: Artifact, chosen: Options): Support {
  const objections = runtimeObjections(artifact);
  const bytes = bytesOf(artifact);
  if (bytes > maxModelBytes) {
    objections.push(`The model has ${(bytes / 1e9).toFixed(1)} GB; in a browser about 2 GB can be loaded.`);
  }
  if (objections.length > 0) return { ok: false, because: objections };
  const plan = planWays(artifact, chosen);
  const { ways, assessments } = plan;
  const alone = (artifact.others ?? []).length === 0;
  const folds = [...assessments.values()].some(({ foldWeights }) => foldWeights);
  const providersOf = (variant: string): string[] =>
    ways.filter((way) => way.variant === variant).map(({ provider }) => `web-${provider}`);
  return {
    ok: true,
    because: [...(alone ? (assessments.get(artifact.variant)?.notes ?? []) : []), ...hostNotes(artifact, plan, chosen)],
    providers: [...new Set(ways.map(({ provider }) => `web-${provider}`))],
    byVariant: Object.fromEntries([...assessments.keys()].map((variant) => [variant, providersOf(variant)])),
    ...(folds && { sessionConfig: { 'web-wasm': { 'session.disable_quant_qdq': '1' } } }),
  };
}

function hostNotes(artifact: Artifact, { runtimes }: WayPlan, { host }: Options): string[] {
  const notes: string[] = [];
  const { limit, headers } = hosts[host];
  const large = [artifact, ...(artifact.others ?? [])].flatMap(({ files }) =>
    files.filter(({ bytes }) => bytes > limit),
  );
  for (const { name } of large) {
    notes.push(`${name} is over ${limit / 2 ** 20} MiB and is cut into pieces, since hosts refuse files of its size.`);
  }
  if (!headers) notes.push('GitHub Pages sets no headers: the service worker isolates the page, after one reload.');
  if (runtimes.includes('jspi') && !runtimes.includes('asyncify')) {
    notes.push('Browsers without WebAssembly promise integration take WebAssembly instead of WebGPU.');
  }
  return notes;
}

/**
 * Beside what is recommended: for WebGPU the smallest candidate that asks for shader-f16 and the smallest that does not, where the
 * model is large enough that a GPU pays or was measured to be faster; for WebAssembly the smallest that runs well there.
 */
function beside(recommended: Artifact, candidates: readonly Artifact[], chosen: Options): readonly Artifact[] {
  const others = candidates.filter((one) => one.variant !== recommended.variant && supports(one, chosen).ok);
  const { ways, assessments } = planWays({ ...recommended, others }, chosen);
  const named = (variant: string): Artifact[] => [recommended, ...others].filter((one) => one.variant === variant);
  const onGpu = ways.filter(({ provider }) => provider === 'webgpu').flatMap(({ variant }) => named(variant));
  const pays = onGpu.some((one) => {
    const [gpu, wasm] = [timeOf(one, 'webgpu'), timeOf(one, 'wasm')];
    return gpu !== undefined && wasm !== undefined && gpu < wasm;
  });
  const large = !isSmall(largestOf([recommended, ...others]), chosen);
  const halves = (one: Artifact): boolean => (assessments.get(one.variant)?.webgpuFeatures ?? []).length > 0;
  const gpu = large || pays ? [onGpu.find(halves), onGpu.find((one) => !halves(one))] : [];
  const wasm = ways.find(({ provider }) => provider === 'wasm');
  const taken = new Set([...gpu, ...named(wasm?.variant ?? '')]);
  return others.filter((one) => taken.has(one));
}

/** The tokenizer and its code, where people give the model a text. */
function tokenizer(artifact: Artifact): BundleFile[] {
  if (taskOf(artifact)?.kind !== 'text') return [];
  const code = dependencyFile('@huggingface/tokenizers', tokenizersVersion, 'dist/tokenizers.min.mjs');
  const own = (artifact.companions ?? []).filter(({ name }) => tokenizerFiles.includes(name));
  return [
    { path: 'mlpack-model/tokenizer/tokenizers.min.mjs', from: code.place },
    { path: 'mlpack-model/tokenizer/LICENSE.txt', from: literalPath('browser', 'LICENSE-tokenizers.txt') },
    ...own.map(({ name, source }) => ({ path: `mlpack-model/tokenizer/${name}`, from: source })),
  ];
}

async function* emit(artifact: Artifact, chosen: Options): AsyncIterable<BundleFile> {
  const plan = planWays(artifact, chosen);
  const limit = hosts[chosen.host].limit;
  const form = chosen.splitRuntime ? await splitRuntime(artifact, plan) : undefined;
  const model = modelJson(artifact, plan, limit, form);
  const small: BundleFile[] = [
    ...loader.map((name) => ({ path: `mlpack-model/${name}`, from: literalPath('browser', `mlpack-model/${name}`) })),
    ...pages.map((name) => ({ path: name, from: literalPath('browser', name) })),
    { path: 'mlpack-model/index.d.ts', bytes: indexTypes(artifact) },
    { path: 'mlpack-model/package.json', bytes: packageJson(artifact) },
    { path: 'mlpack-model/runtime/LICENSE.txt', from: literalPath('browser', 'LICENSE-onnxruntime.txt') },
    { path: 'mlpack-model/model.json', bytes: model.text },
    ...tokenizer(artifact),
  ];
  yield* small;
  yield* model.files;
  yield { path: 'sw.js', bytes: serviceWorker(small) };
  yield* hostFiles();
  yield { path: 'README.md', bytes: readme(artifact, plan, form) };
}

/** Lets bundlers and type checkers take the folder as a package. */
function packageJson({ name }: Artifact): string {
  return print({
    name: `mlpack-model-${name.toLowerCase()}`,
    version: '0.0.0',
    private: true,
    type: 'module',
    sideEffects: ['./element.js'],
    exports: {
      '.': { types: './index.d.ts', default: './index.js' },
      './react': { types: './react.d.ts', default: './react.js' },
      './element': { types: './element.d.ts', default: './element.js' },
      './offline': { types: './offline.d.ts', default: './offline.js' },
      './*': './*',
    },
  });
}

/** A static folder: loader, runtime, model and a demo page, to be dropped on any web host. */
export const browser = defineTarget({
  id: 'browser',
  summary: 'static folder: loader, ONNX Runtime Web, model and demo page',
  options,
  providers: ['web-wasm', 'web-webgpu'],
  runtime: { package: 'onnxruntime-web', version: ortVersion },
  supports,
  beside,
  emit,
  commands: () => ({ start: 'node serve.mjs', kind: 'browser' }),
});
