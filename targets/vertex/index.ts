import { opt } from '../../src/pass/options.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { curlSoon } from '../server/curl.ts';
import { kubernetesName } from '../server/deploy.ts';
import { modelDigest } from '../server/digest.ts';
import { exampleInstances } from '../server/example.ts';
import { server } from '../server/index.ts';
import { serverParts } from '../server/parts.ts';

interface Options {
  readonly image: string;
  readonly baseImage: string;
  readonly machine: string;
}

const asServer = ({ image, baseImage }: Options) => ({
  image,
  baseImage,
  user: '65532:65532',
  modelVersion: 1,
  weights: 'inside' as const,
});

/** `REGION-docker.pkg.dev/PROJECT/models/<model>:<digest>`, filled in by deploy.sh. */
function imageOf(artifact: Artifact, { image }: Options): string {
  return `${image || `REGION-docker.pkg.dev/PROJECT/models/${kubernetesName(artifact.name)}`}:${modelDigest(artifact).slice(0, 8)}`;
}

/** The body of `projects.locations.models.upload`. */
function uploadRequest(artifact: Artifact, options: Options): object {
  return {
    model: {
      displayName: kubernetesName(artifact.name),
      description: `${artifact.name}, variant ${artifact.variant}`,
      containerSpec: {
        imageUri: imageOf(artifact, options),
        ports: [{ containerPort: 8080 }],
        healthRoute: '/v2/health/ready',
        predictRoute: '/predict',
      },
      labels: { tool: 'mlpack', digest: modelDigest(artifact).slice(0, 16) },
    },
  };
}

/** The body of `projects.locations.endpoints.deployModel`; MODEL is what the upload has answered. */
function deployRequest(artifact: Artifact, { machine }: Options): object {
  return {
    deployedModel: {
      model: 'MODEL',
      displayName: kubernetesName(artifact.name),
      dedicatedResources: {
        machineSpec: { machineType: machine },
        minReplicaCount: 1,
        maxReplicaCount: 4,
        autoscalingMetricSpecs: [
          { metricName: 'aiplatform.googleapis.com/prediction/online/cpu/utilization', target: 70 },
        ],
      },
    },
    trafficSplit: { '0': 100 },
  };
}

async function* emit(artifact: Artifact, options: Options): AsyncIterable<BundleFile> {
  for await (const file of serverParts(server.emit(artifact, asServer(options)))) {
    if (file.path !== 'request.json') yield file;
  }
  const example = exampleInstances(artifact);
  if (example !== undefined) yield { path: 'request.json', bytes: example };
  for (const [name, value] of [
    ['upload', uploadRequest(artifact, options)],
    ['deploy-model', deployRequest(artifact, options)],
  ] as const)
    yield { path: `deploy/${name}.json`, bytes: `${JSON.stringify(value, undefined, 2)}\n` };
  yield { path: 'deploy/deploy.sh', bytes: script(artifact, options) };
  yield { path: 'README.md', bytes: readme(artifact) };
}

function script(artifact: Artifact, options: Options): string {
  const name = kubernetesName(artifact.name);
  return `#!/bin/sh
# PROJECT and REGION are yours. Needs docker and gcloud. deploy/*.json are the same as bodies of the REST API.
set -eu
cd "$(dirname "$0")/.."
image="$(echo "${imageOf(artifact, options)}" | sed "s/^REGION/\${REGION:?set REGION}/; s/PROJECT/\${PROJECT:?set PROJECT}/")"
gcloud auth configure-docker "$REGION-docker.pkg.dev" --quiet
docker build --platform linux/amd64 -t "$image" .
docker push "$image"
gcloud ai models upload --project="$PROJECT" --region="$REGION" --display-name="${name}" --container-image-uri="$image" \\
  --container-ports=8080 --container-health-route=/v2/health/ready --container-predict-route=/predict
model="$(gcloud ai models list --project="$PROJECT" --region="$REGION" --filter=displayName="${name}" --sort-by=~createTime --limit=1 --format='value(name)')"
endpoint="$(gcloud ai endpoints list --project="$PROJECT" --region="$REGION" --filter=displayName="${name}" --limit=1 --format='value(name)')"
if [ -z "$endpoint" ]; then
  gcloud ai endpoints create --project="$PROJECT" --region="$REGION" --display-name="${name}"
  endpoint="$(gcloud ai endpoints list --project="$PROJECT" --region="$REGION" --filter=displayName="${name}" --limit=1 --format='value(name)')"
fi
gcloud ai endpoints deploy-model "$endpoint" --project="$PROJECT" --region="$REGION" --model="$model" --display-name="${name}" \\
  --machine-type=${options.machine} --min-replica-count=1 --max-replica-count=4 --traffic-split=0=100
`;
}

/** An endpoint of Vertex AI with the server as its container. */
export const vertex = defineTarget({
  id: 'vertex',
  summary: 'Vertex AI endpoint: the container with the model, upload and deploy requests and script',
  options: {
    image: opt.string(
      '',
      'container image in Artifact Registry, without tag (default: REGION-docker.pkg.dev/PROJECT/models/<model>)',
    ),
    baseImage: opt.string('node:22-bookworm-slim', 'base image of the Dockerfile, with glibc; name@sha256:… pins it'),
    machine: opt.string('n2-standard-2', 'machine type of the endpoint'),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  supports(artifact, options) {
    const support = server.supports(artifact, asServer(options));
    const wrong = /^[a-z][a-z0-9-]*$/.test(options.machine)
      ? []
      : [`machine is "${options.machine}", which is no machine type.`];
    return wrong.length > 0 ? { ok: false, because: [...(support.ok ? [] : support.because), ...wrong] } : support;
  },
  emit,
  commands: (artifact, options) => server.commands(artifact, asServer(options)),
});

function readme({ name }: Artifact): string {
  return `# ${name}: Vertex AI

The image holds the server and the model. Vertex AI tells it its port and routes (\`AIP_HTTP_PORT\`, \`AIP_HEALTH_ROUTE\`, \`AIP_PREDICT_ROUTE\`).

\`\`\`sh
export PROJECT=… REGION=…                        # yours
gcloud artifacts repositories create models --repository-format=docker --project="$PROJECT" --location="$REGION"      # once
sh deploy/deploy.sh                              # image to Artifact Registry, model, endpoint, deployment
ENDPOINT="$(gcloud ai endpoints list --project="$PROJECT" --region="$REGION" --filter=displayName=${kubernetesName(name)} --limit=1 --format='value(name)')"
gcloud ai endpoints predict "$ENDPOINT" --region="$REGION" --json-request=request.json      # {"instances": […]}; up to 1.5 MB on a shared endpoint
\`\`\`

An instance is a list for a model of one input, or an object by the names of the inputs; the answer is \`{"predictions": […]}\`. \`deploy/upload.json\` and \`deploy/deploy-model.json\` are the same for the REST API. New version: the same
script; give the old one its traffic back with \`gcloud ai endpoints update "$ENDPOINT" --traffic-split=…\`.

On this machine, as Vertex AI starts it:

\`\`\`sh
npm ci --omit=dev
AIP_HTTP_PORT=8080 AIP_HEALTH_ROUTE=/v2/health/ready AIP_PREDICT_ROUTE=/predict node server.mjs &
${curlSoon} localhost:8080/v2/health/ready
curl -H 'content-type: application/json' --data @request.json localhost:8080/predict
\`\`\`

\`npx mlpack check .\` starts the server and replays the recorded cases over HTTP.
`;
}
