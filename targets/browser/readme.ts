import type { IoInfo } from '../../src/report/report.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';
import type { RuntimeId } from './runtime-files.ts';
import type { RuntimeForm } from './split-runtime.ts';
import { taskOf } from './task.ts';
import type { WayPlan } from './ways.ts';

function row({ name, dtype, shape }: IoInfo): string {
  const dims = shape === null ? 'any' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
  return `| \`${name}\` | ${dtype} | ${dims} |`;
}

function table(values: readonly IoInfo[]): string {
  return ['| name | type | shape |', '|---|---|---|', ...values.map(row)].join('\n');
}

const predictions = {
  image: 'const { answer, ms } = await model.predict(file); // a picture: File, Blob, <img>, <canvas>, ImageData',
  text: "const { answer, ms } = await model.predict('…'); // a text",
  audio: 'const { answer, ms } = await model.predict(file); // a sound: File, Blob, AudioBuffer, Float32Array',
};

function exampleCall(artifact: Artifact): string {
  const { inputs, outputs } = artifact;
  const feeds = inputs.map(({ name, shape }) => {
    const dims = (shape ?? [1]).map((dim) => (typeof dim === 'number' ? dim : 1));
    return `${JSON.stringify(name)}: { data, dims: [${dims.join(', ')}] }`;
  });
  const first = JSON.stringify(outputs[0]?.name ?? '');
  const task = taskOf(artifact);
  const numbers = `const outputs = await model.run({ ${feeds.join(', ')} });\nconsole.log(outputs[${first}].data);`;
  return task ? `${predictions[task.kind]}\n// or with numbers:\n${numbers}` : numbers;
}

const runtimeRows: Readonly<Record<RuntimeId, string>> = {
  wasm: '| `ort-wasm-simd-threaded` | 14 MB, about 2.7 MB with brotli | WebAssembly, everywhere |',
  jspi: '| `…jspi` | 17 MB, about 3.1 MB with brotli | WebGPU, where the browser has WebAssembly promise integration |',
  asyncify: '| `…asyncify` | 27 MB, about 4.7 MB with brotli | WebGPU in any browser that has it |',
};

/** How the WebAssembly build lies here. */
function formNote(form: RuntimeForm | undefined): string {
  if (!form) return '';
  if ('why' in form) return `\nThe WebAssembly build is in one part: ${form.why}.\n`;
  const megabytes = (part: Uint8Array): string => (part.length / 1e6).toFixed(1);
  return `
The WebAssembly build is in two parts. \`….first.wasm\` (${megabytes(form.first)} MB) has the functions that this model was seen to run, and is all that the first prediction
waits for. \`….rest.wasm\` (${megabytes(form.rest)} MB) has the others: it is loaded when nothing else is to do, or at once when one of its functions is called (another
shape, an error), with the same results. \`--option splitRuntime=false\` packs it in one.
`;
}

function variantRows(artifact: Artifact): string {
  const rows = [artifact, ...(artifact.others ?? [])].map(({ variant, files, evidence }) => {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const latency = (evidence?.latency ?? []).map(
      ({ provider, p50Ms, ratioToBase }) =>
        `${provider} ${p50Ms.toFixed(1)} ms (×${ratioToBase.toFixed(2)} of the original)`,
    );
    const metric = evidence?.accuracy;
    const told = metric
      ? [`${metric.metric} ${metric.value?.toFixed(4) ?? '–'} (original ${metric.base?.toFixed(4) ?? '–'})`]
      : [];
    return `| \`${variant}\` | ${(bytes / 1e6).toFixed(2)} MB | ${[...latency, ...told].join('; ') || 'not measured'} |`;
  });
  return ['| variant | size | measured when packed |', '|---|---|---|', ...rows].join('\n');
}

/** README.md of the bundle. */
export function readme(artifact: Artifact, { ways, runtimes }: WayPlan, form: RuntimeForm | undefined): string {
  const order = ways
    .map(({ variant, provider, features }) => {
      const asks = features.length > 0 ? ` (needs ${features.join(', ')})` : '';
      return `\`${variant}\` on ${provider === 'wasm' ? 'WebAssembly' : 'WebGPU'}${asks}`;
    })
    .join(', then ');
  return `# ${artifact.name} in the browser

\`${artifact.name}\` as a static folder: drop it on any web host. Nothing is sent anywhere; the model runs on the visitor's device.

## Look at it

\`\`\`sh
node serve.mjs
\`\`\`

Then open the address it prints. \`selftest.html\` replays the recorded inputs in your browser; \`npx mlpack check .\` does so in
headless Chromium and verifies every file.

## Use it in a page

Only the folder \`mlpack-model\` is needed. It is plain ES modules; no bundler is required.

\`\`\`js
import { load } from './mlpack-model/index.js';

const model = await load({ onProgress: ({ phase, loaded, total }) => console.log(phase, loaded, total) });
${exampleCall(artifact)}
await model.dispose();
\`\`\`

\`load\` takes \`base\` (where the folder is served), \`provider\` (\`auto\`, \`wasm\`, \`webgpu\`), \`variant\`, \`threads\`, \`cache\`,
\`worker\`, \`onProgress\` and an \`AbortSignal\` as \`signal\`. Errors are \`ModelError\` with a \`code\`: \`network\`, \`integrity\`,
\`provider\`, \`runtime\`, \`input\`, \`cancelled\`, \`disposed\`, \`place\`. Model and runtime are verified by their SHA-256 before use,
kept for the next visit, and fetched on where a download broke off. Everything heavy happens in a worker.

With a bundler (Vite, webpack, Next, esbuild): put the folder where it is served as it is (\`public/mlpack-model\`), install it for its
code and types (\`npm install ./public/mlpack-model\`), and say where it is: \`load({ base: '/mlpack-model/' })\`. \`…/react\` has the hook
\`useModel\`, \`…/element\` the web component \`<mlpack-model>\`.

Offline, and threads where the host sets no headers: put \`sw.js\` at the root and call \`install()\` of \`…/offline\` before \`load\`, and
\`keep(model)\` after it, as \`demo/main.js\` does.

## The model

Inputs

${table(artifact.inputs)}

Outputs

${table(artifact.outputs)}

${variantRows(artifact)}

Order of choice: ${order}. \`model.variant\` and \`model.provider\` say what runs, \`model.reasons\` why others were passed over.

## The runtime

ONNX Runtime Web ${ortVersion}. A visitor downloads one of these:

| build | size | for |
|---|---|---|
${runtimes.map((id) => runtimeRows[id]).join('\n')}
${formNote(form)}
## Hosting

WebAssembly threads need a cross-origin isolated page. The headers for it are here in the forms of the common hosts: \`_headers\` (Netlify,
Cloudflare Pages), \`vercel.json\`, \`nginx.conf\`. Where a host sets none (GitHub Pages), the service worker \`sw.js\` isolates the page by
one reload. Without either the model runs on one thread. Serve over https: WebGPU, storage and service workers exist only there (and on
localhost). Hosts that compress \`.wasm\` with brotli send least; from those that compress nothing, the loader fetches \`*.gzip\` instead.
`;
}
