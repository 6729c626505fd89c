import type { IoInfo } from '../../src/report/report.ts';
import { protocolDatatypes as datatypes } from '../../src/target/datatypes.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';
import { type DeployOptions, imageOf } from './deploy.ts';
import { deploySteps } from './deploy-steps.ts';

function row({ name, dtype, shape }: IoInfo): string {
  const dims = shape === null ? 'any' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
  return `| \`${name}\` | ${datatypes[dtype] ?? dtype} | ${dims} |`;
}

function table(values: readonly IoInfo[]): string {
  return ['| name | datatype | shape |', '|---|---|---|', ...values.map(row)].join('\n');
}

function tryIt(artifact: Artifact, example: boolean): string {
  const url = `http://127.0.0.1:8080/v2/models/${artifact.name}`;
  const lines = [`curl ${url}`];
  if (example) lines.push(`curl -H 'content-type: application/json' --data @request.json ${url}/infer`);
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
export function readme(artifact: Artifact, deploy: DeployOptions, example: boolean): string {
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
${tryIt(artifact, example)}
\`\`\`

In a container:

\`\`\`sh
docker build -t ${imageOf(artifact, deploy)} .
docker run --rm -p 8080:8080 --read-only ${imageOf(artifact, deploy)}
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
| GET | \`/v2/health/ready\` | 200 when the model is loaded, has answered its golden cases and is warm, else 503 |
| GET | \`/v2\` | server metadata |
| GET | \`/v2/models/${artifact.name}\` | model metadata |
| GET | \`/v2/models/${artifact.name}/ready\` | 200 or 503 |
| POST | \`/v2/models/${artifact.name}/infer\` | inference |
| POST | \`/v2/repository/index\` | models and versions, with the reason where one could not be loaded |
| POST | \`/v2/repository/models/${artifact.name}/load\`, \`…/rollback\` | look for new versions now; go back to the version before. Only with \`ADMIN_KEYS\` |
| POST | \`/v2/feedback\` | labels that come back: \`{"id": "…", "labels": [3]}\`, one for each row of the request with that id |
| GET | \`/metrics\` | Prometheus, under Triton's names (\`nv_inference_…\`) and as histograms (\`mlpack_…\`) |
| GET, POST | \`/ping\`, \`/invocations\`, \`/execution-parameters\` | Amazon SageMaker |
| GET, POST | \`AIP_HEALTH_ROUTE\`, \`AIP_PREDICT_ROUTE\` | Vertex AI, where it sets them: \`{"instances": […]}\` gives \`{"predictions": […]}\` |

The model routes also exist with \`/versions/<n>\`. Errors are \`{"error": "…"}\` with a 4xx or 5xx status. FP16 values in JSON are
numbers, rounded to the nearest half. Whole numbers beyond 2^53, NaN and infinities have no exact form in JSON: send and ask for
them as binary data.

## Settings

| variable | default | |
|---|---|---|
| \`HOST\` | 127.0.0.1 (container: 0.0.0.0) | address to listen on |
| \`PORT\`, else \`AIP_HTTP_PORT\` | 8080 | port |
| \`GRPC_PORT\` | 0 | port of the gRPC service, see below; 0: none |
| \`TLS_CERT_FILE\`, \`TLS_KEY_FILE\` | none | PEM files; with them the ports speak TLS. Renewed ones are taken every \`RELOAD_SECONDS\` and on SIGHUP, for connections that come then |
| \`BODY_LIMIT_BYTES\` | 67108864 | largest request body |
| \`INFLIGHT_BYTES\` | an eighth of the memory | request bodies on their way at once, in all; beyond it 503 |
| \`COMPRESS_MIN_BYTES\` | 2048 | JSON answers from this size on are compressed (br, gzip, deflate; zstd where Node has it) for clients that send \`Accept-Encoding\`; 0: never |
| \`REQUEST_TIMEOUT_MS\` | 30000 | longest time a request may take to arrive, and its client may take nothing of the answer |
| \`DRAIN_MS\` | 25000 | after SIGTERM, longest wait for requests that are running |
| \`WORKERS\` | 0 | sessions; 0: one for each CPU of the container's quota, fewer where the model is large |
| \`INTRA_OP_THREADS\` | 0 | threads of one session; 0: the CPUs divided by the sessions. \`WORKERS=1\` answers a single request fastest, the default answers most requests |
| \`INLINE\` | auto | \`on\`: the session runs in the thread that speaks HTTP, \`off\`: in a thread of its own. \`auto\`: in the former where there is one CPU, inputs have one size, and the largest batch takes 20 ms at most |
| \`MODEL_TIMEOUT_MS\` | 30000 | longest run; a session that takes longer is replaced, and its thread ends with its run (not with \`INLINE\`, where a run cannot be called off) |
| \`BATCH_MAX\` | 0 | rows in one run; 0: found out by timing at start, 1: no batches |
| \`BATCH_DELAY_MS\` | 2 | how long a free session waits for more rows, where the last runs show that more are coming |
| \`BATCH_TUNE_MS\` | 100 | time for that timing at start |
| \`QUEUE_LIMIT\` | 0 | requests on their way; beyond it 503 with Retry-After. 0: as many as the model answers in a second, by timing at start (16 to 4096) |
| \`QUEUE_BYTES\` | an eighth of the memory | inputs that wait |
| \`QUEUE_TIMEOUT_MS\` | 10000 | longest wait in the queue, then 503 |
| \`CACHE_BYTES\` | 0 | answers kept in memory, least recently used first out; 0: none |
| \`REDIS_URL\` | none | answers kept in Redis instead, for all servers; one that is away is a miss |
| \`CACHE_TTL_SECONDS\` | 300 | how long answers are kept |
| \`API_KEYS\`, \`API_KEYS_FILE\` | none | keys that may ask, each \`key\` or \`name:key\`, of 16 characters or more, one a line (variable: separated by commas); sent as \`Authorization: Bearer\` or \`X-API-Key\`. Health and metrics stay open |
| \`ADMIN_KEYS\`, \`ADMIN_KEYS_FILE\` | none | keys of operators, of 16 characters or more: for \`load\` and \`rollback\` and nothing else |
| \`RATE_LIMIT\`, \`RATE_BURST\` | 0 | requests a second for each key (address, where there are no keys); beyond it 429 with Retry-After |
| \`MODELS_DIR\` | none | folder of further models and versions, see below |
| \`RELOAD_SECONDS\` | 10 | how often that folder and the certificate are looked at; 0: on SIGHUP only |
| \`KEEP_VERSIONS\` | 2 | versions of a model side by side |
| \`BREAKER_FAILURES\`, \`BREAKER_RESET_MS\` | 5, 10000 | failures of the model in a row after which it is given a pause |
| \`FALLBACK_VERSION\` | previous | the version that answers meanwhile: \`previous\`, a number, or \`none\` |
| \`FEEDBACK_REQUESTS\` | 10000 | requests whose predictions are remembered until their labels come, 0.3 kB each |
| \`DRIFT_ROWS\` | 1000 | rows in a window that is compared with the evaluation data; 0: not watched |
| \`SHADOW_VERSION\`, \`SHADOW_PERCENT\` | none, 100 | a version that gets a copy of that share of the requests; only compared, never answered with |
| \`OTEL_EXPORTER_OTLP_ENDPOINT\`, \`OTEL_SERVICE_NAME\` | none | traces by OTLP over HTTP |
| \`LOG_LEVEL\` | info | fatal, error, warn, info, debug, trace, silent |
| \`LOG_REQUESTS\` | on | one line for each request; \`off\`: none |

Logs are JSON lines on stdout with a request id (\`x-request-id\` is taken over and returned); tensors are never logged. The process ends with 0 when it is told
to (SIGTERM, SIGINT), by that signal or with 1 where requests were still running after \`DRAIN_MS\`, with 2 where a setting or the bundle cannot be used, else with 1; the line of level 60 says why.

Requests may be compressed too (\`Content-Encoding\`); what comes out counts against \`BODY_LIMIT_BYTES\`. \`openapi.json\` describes these routes for this model, for
client generators and gateways.

## gRPC

With \`GRPC_PORT=9000\` the server also speaks \`inference.GRPCInferenceService\` of the same protocol (\`lib/grpc/open_inference.proto\`): health, metadata and
\`ModelInfer\`, with lists or \`raw_input_contents\`, through the same queue, batches, keys (metadata \`authorization\` or \`x-api-key\`) and limits. Clients made
for Triton or KServe work as they are. FP16 goes as raw bytes; 64-bit numbers are exact. In Kubernetes the port wants its place in the Deployment, the Service and the NetworkPolicy.

## New versions, and back

\`\`\`sh
npx mlpack bundle better.onnx --name ${artifact.name} --target server --out models/${artifact.name}/2
MODELS_DIR=models node server.mjs
\`\`\`

\`MODELS_DIR/<model>/<version>/\` are bundles, or links to them. A new one is hashed, loaded, has to answer its golden cases as it did when it was packed, and
takes over while the server serves; where it does not, requests stay with the version before, and the log and
\`mlpack_model_load_failures_total\` say so. Copy it under a name that begins with a dot, then rename it. To go back:
\`echo 1 > models/${artifact.name}/default-version\` (remove the file to go forward again; a number that is not served is in the log), or \`POST …/rollback\`.

## Watching

Where the bundle was made with data, \`reference.json\` holds what inputs and predictions looked like there. Every \`DRIFT_ROWS\` rows the server compares:
\`mlpack_drift_psi\` (population stability index), \`mlpack_drift_p_value\` (Kolmogorov-Smirnov for numbers, chi-squared for classes) and
\`mlpack_prediction_shift\`. \`deploy/monitoring/\` has alert rules and a Grafana dashboard for these names.

${deploySteps(artifact, deploy)}
## Files

\`mlpack.json\` lists every file with its SHA-256, the signature and the golden cases. The model is verified against it at start.
Runs on onnxruntime-node ${ortVersion}, CPU provider. \`.npmrc\` and \`allowScripts\` keep its install script from downloading CUDA
libraries.
`;
}
