import type { IoInfo } from '../../src/report/report.ts';
import { protocolDatatypes as datatypes } from '../../src/target/datatypes.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';

function row({ name, dtype, shape }: IoInfo): string {
  const dims = shape === null ? 'any' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
  return `| \`${name}\` | ${datatypes[dtype] ?? dtype} | ${dims} |`;
}

function table(values: readonly IoInfo[]): string {
  return ['| name | datatype | shape |', '|---|---|---|', ...values.map(row)].join('\n');
}

/** A request that has the right form: every variable dimension 1, every element 0 (where that fits on a line). */
function exampleRequest(inputs: readonly IoInfo[]): string | undefined {
  const rows = inputs.map(({ name, dtype, shape }) => {
    const dims = (shape ?? [1]).map((dim) => (typeof dim === 'number' ? dim : 1));
    const count = dims.reduce((product, dim) => product * dim, 1);
    const zero = dtype === 'bool' ? false : dtype === 'string' ? '' : 0;
    return {
      count,
      row: { name, datatype: datatypes[dtype], shape: dims, data: Array(Math.min(count, 64)).fill(zero) },
    };
  });
  if (rows.some(({ count }) => count > 64)) return undefined;
  return JSON.stringify({ inputs: rows.map((one) => one.row) });
}

function tryIt(artifact: Artifact): string {
  const url = `http://127.0.0.1:8080/v2/models/${artifact.name}`;
  const example = exampleRequest(artifact.inputs);
  const lines = [`curl ${url}`];
  if (example !== undefined) lines.push(`curl -H 'content-type: application/json' ${url}/infer -d '${example}'`);
  const [input] = artifact.inputs;
  if (artifact.golden.length > 0 && artifact.inputs.length === 1 && input && canSendRaw(input)) {
    lines.push(
      '# one recorded input as raw bytes; the answer is JSON followed by raw bytes',
      `curl -H 'inference-header-content-length: 0' --data-binary @golden/0/input-0.bin ${url}/infer --output answer.bin`,
    );
  }
  return lines.join('\n');
}

function canSendRaw({ dtype, shape }: IoInfo): boolean {
  return dtype !== 'string' && shape !== null && shape.filter((dim) => typeof dim !== 'number').length <= 1;
}

/** README.md of the bundle. */
export function readme(artifact: Artifact): string {
  return `# ${artifact.name}: model server

The \`${artifact.variant}\` variant of \`${artifact.name}\`, served over HTTP with the
[Open Inference Protocol v2](https://github.com/kserve/open-inference-protocol) and its binary tensor extension.

## Run it

Node.js 20 or newer on x64 or arm64 (Linux with glibc, macOS on arm64, Windows):

\`\`\`sh
npm ci --omit=dev
node server.mjs
\`\`\`

\`\`\`sh
${tryIt(artifact)}
\`\`\`

In a container:

\`\`\`sh
docker build -t ${artifact.name.toLowerCase()}-server .
docker run --rm -p 8080:8080 --read-only ${artifact.name.toLowerCase()}-server
\`\`\`

Check that the bundle is whole and still answers as it did when it was made: \`npx mlpack check .\`

## The model

Inputs

${table(artifact.inputs)}

Outputs

${table(artifact.outputs)}

A dimension with a name varies from request to request; the same name means the same number everywhere.

## Routes

| | path | |
|---|---|---|
| GET | \`/v2/health/live\` | 200 while the process runs |
| GET | \`/v2/health/ready\` | 200 when the model is loaded and warm, else 503 |
| GET | \`/v2\` | server metadata |
| GET | \`/v2/models/${artifact.name}\` | model metadata |
| GET | \`/v2/models/${artifact.name}/ready\` | 200 or 503 |
| POST | \`/v2/models/${artifact.name}/infer\` | inference |

The model routes also exist with \`/versions/1\`. Errors are \`{"error": "…"}\` with a 4xx or 5xx status. FP16 values in JSON are
numbers, rounded to the nearest half. Whole numbers beyond 2^53, NaN and infinities have no exact form in JSON: send and ask for
them as binary data.

## Settings

| variable | default | |
|---|---|---|
| \`HOST\` | 127.0.0.1 (container: 0.0.0.0) | address to listen on |
| \`PORT\`, else \`AIP_HTTP_PORT\` | 8080 | port |
| \`BODY_LIMIT_BYTES\` | 67108864 | largest request body |
| \`REQUEST_TIMEOUT_MS\` | 30000 | longest time a request may take to arrive |
| \`DRAIN_MS\` | 25000 | after SIGTERM, longest wait for requests that are running |
| \`INTRA_OP_THREADS\` | 0 | threads of one inference; 0 lets ONNX Runtime decide. Set it to the CPU limit of a container |
| \`LOG_LEVEL\` | info | fatal, error, warn, info, debug, trace, silent |

Logs are JSON lines on stdout with a request id (\`x-request-id\` is taken over and returned); tensors are never logged. The server has
no authentication: put it behind something that has.

## Files

\`mlpack.json\` lists every file with its SHA-256, the signature and the golden cases. The model is verified against it at start.
Runs on onnxruntime-node ${ortVersion}, CPU provider. \`.npmrc\` and \`allowScripts\` keep its install script from downloading CUDA
libraries.
`;
}
