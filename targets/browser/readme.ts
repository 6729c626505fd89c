import type { IoInfo } from '../../src/report/report.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';
import type { Assessment } from './knowledge.ts';
import type { RuntimeId } from './runtime-files.ts';

function row({ name, dtype, shape }: IoInfo): string {
  const dims = shape === null ? 'any' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
  return `| \`${name}\` | ${dtype} | ${dims} |`;
}

function table(values: readonly IoInfo[]): string {
  return ['| name | type | shape |', '|---|---|---|', ...values.map(row)].join('\n');
}

function exampleCall({ inputs, outputs }: Artifact): string {
  const feeds = inputs.map(({ name, shape }) => {
    const dims = (shape ?? [1]).map((dim) => (typeof dim === 'number' ? dim : 1));
    return `${JSON.stringify(name)}: { data, dims: [${dims.join(', ')}] }`;
  });
  const first = JSON.stringify(outputs[0]?.name ?? '');
  return `const outputs = await model.run({ ${feeds.join(', ')} });\nconsole.log(outputs[${first}].data);`;
}

const runtimeRows: Readonly<Record<RuntimeId, string>> = {
  wasm: '| `ort-wasm-simd-threaded` | 14 MB, about 2.7 MB with brotli | WebAssembly, everywhere |',
  jspi: '| `…jspi` | 17 MB, about 3.1 MB with brotli | WebGPU, where the browser has WebAssembly promise integration |',
  asyncify: '| `…asyncify` | 27 MB, about 4.7 MB with brotli | WebGPU in any browser that has it |',
};

/** README.md of the bundle. */
export function readme(artifact: Artifact, assessment: Assessment, runtimes: readonly RuntimeId[]): string {
  const order = assessment.providers
    .map((provider) => (provider === 'wasm' ? 'WebAssembly' : 'WebGPU'))
    .join(', then ');
  return `# ${artifact.name} in the browser

The \`${artifact.variant}\` variant of \`${artifact.name}\` as a static folder: drop it on any web host. Nothing is sent anywhere; the model runs
on the visitor's device.

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

\`load\` takes \`provider\` (\`auto\`, \`wasm\`, \`webgpu\`), \`threads\`, \`onProgress\` and an \`AbortSignal\` as \`signal\`. Errors are
\`ModelError\` with a \`code\`: \`network\`, \`integrity\`, \`provider\`, \`runtime\`, \`input\`, \`cancelled\`, \`disposed\`. The model's SHA-256
is verified before it is used.

## The model

Inputs

${table(artifact.inputs)}

Outputs

${table(artifact.outputs)}

Order of providers: ${order}. \`model.provider\` says which one runs, \`model.reasons\` why others were passed over.

## The runtime

ONNX Runtime Web ${ortVersion}. A visitor downloads one of these:

| build | size | for |
|---|---|---|
${runtimes.map((id) => runtimeRows[id]).join('\n')}

## Hosting

WebAssembly threads need a cross-origin isolated page. \`_headers\` carries the headers in the form that Netlify and Cloudflare Pages
read; for other hosts copy the two \`Cross-Origin-…-Policy\` lines into their configuration. Without them the model runs on one
thread. Serve over https: WebGPU exists only there (and on localhost). Let the host compress \`.wasm\`, \`.mjs\` and \`.js\`.
`;
}
