import { ortVersion } from '../../src/target/runtime.ts';
import { type Artifact, defineTarget } from '../../src/target/target.ts';
import { curlSoon } from '../server/curl.ts';
import { kubernetesName } from '../server/deploy.ts';
import { workersAdvice } from './cloudflare.ts';
import { functionFiles, functionSupport, megabytesOf } from './parts.ts';

/** Bundle path → literal file of this target. */
const own: Readonly<Record<string, string>> = {
  'index.mjs': 'index.mjs',
  'google.mjs': 'google.mjs',
  'azure.mjs': 'azure.mjs',
  'local.mjs': 'local.mjs',
  'host.json': 'host.json',
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  '.gcloudignore': 'dot-gcloudignore',
  '.funcignore': 'dot-funcignore',
};

/** The smallest instance of a list that holds the model; the largest where none does. */
function instanceOf(artifact: Artifact, sizes: readonly number[]): number {
  const needed = megabytesOf(artifact);
  return sizes.find((size) => size >= needed) ?? sizes.at(-1) ?? needed;
}

const googleSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768];
/** The least that Cloud Run takes beside so many mebibytes (cloud.google.com/run/docs/configuring/memory-limits). */
function googleCpus(megabytes: number): number {
  if (megabytes <= 4096) return 1;
  return megabytes <= 8192 ? 2 : megabytes <= 16_384 ? 4 : 8;
}
/** Of the plan Flex Consumption. */
const azureSizes = [512, 2048, 4096];

/** One HTTP function for Google Cloud Run functions and Azure Functions. */
export const functions = defineTarget({
  id: 'functions',
  summary: 'HTTP function for Google Cloud Run functions and Azure Functions (model 4), with advice for Cloudflare',
  options: {},
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  weightsApart: () => true,
  supports: (artifact) => functionSupport(artifact, sizeNotes(artifact)),
  emit: (artifact) => functionFiles(artifact, 'functions', own, { more: ['cpu'], readme: readme(artifact) }),
  commands: () => ({ install: 'npm ci --omit=dev', start: 'node local.mjs', kind: 'http-v2' }),
});

function sizeNotes(artifact: Artifact): string[] {
  const needed = Math.round(megabytesOf(artifact));
  const largest = azureSizes.at(-1) ?? 0;
  return needed <= largest
    ? []
    : [
        `The model wants ${needed} MB, and Azure's Flex Consumption has ${largest}: take a Premium plan, or the server bundle.`,
      ];
}

function readme(artifact: Artifact): string {
  const name = kubernetesName(artifact.name);
  const google = instanceOf(artifact, googleSizes);
  return `# ${artifact.name}: Google and Azure function

One HTTP function, \`model\`, that speaks the Open Inference Protocol v2: \`POST /v2/models/${artifact.name}/infer\` (JSON or binary tensors), \`GET /v2/models/${artifact.name}\`,
\`GET /v2/health/ready\`. A POST to any other path is an inference, too.

\`\`\`sh
npm ci --omit=dev
node local.mjs &                                                # Google's own framework, on :8080
${curlSoon} localhost:8080/v2/models/${artifact.name}
curl -H 'content-type: application/json' --data @request.json localhost:8080/v2/models/${artifact.name}/infer
node cold-start.mjs                                             # from process start to ready, on this machine
\`\`\`

**Google Cloud Run functions** (requests of up to 32 MB):

\`\`\`sh
gcloud functions deploy ${name} --gen2 --region="$REGION" --runtime=nodejs22 --source=. --entry-point=model \\
  --trigger-http --no-allow-unauthenticated --memory=${google}Mi --cpu=${googleCpus(google)} --concurrency=1
curl -H "Authorization: bearer $(gcloud auth print-identity-token)" "$(gcloud functions describe ${name} --gen2 --region="$REGION" --format='value(url)')/v2/health/ready"
\`\`\`

\`--concurrency=1\`: a run of the model occupies its instance, so a second request is better off on another. \`--min-instances=1\` keeps one warm.

**Azure Functions** (Node.js model 4, plan Flex Consumption):

\`\`\`sh
az functionapp create --name ${name} --resource-group "$GROUP" --storage-account "$STORAGE" --flexconsumption-location "$REGION" \\
  --runtime node --runtime-version 22 --instance-memory ${instanceOf(artifact, azureSizes)}
func azure functionapp publish ${name} --build remote
curl -H "x-functions-key: $KEY" https://${name}.azurewebsites.net/v2/health/ready
\`\`\`

The model is opened while the instance starts. For fewer cold starts: smaller weights (int8), a warm instance (\`--min-instances\`, always ready instances).

**Cloudflare.** ${workersAdvice(artifact)}

\`npx mlpack check .\` starts the function in Google's framework and replays the recorded cases over HTTP.
`;
}
