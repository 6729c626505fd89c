import { literalText } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { workersAdvice } from '../functions/cloudflare.ts';
import { functionFiles, functionSupport, megabytesOf } from '../functions/parts.ts';
import { kubernetesName } from '../server/deploy.ts';

/** What Lambda unpacks at most, and what onnxruntime-node takes of it for one platform (1.30.0, measured: 46 MB). */
const unzippedLimit = 262_144_000;
const runtimeBytes = 46_000_000;

const own: Readonly<Record<string, string>> = {
  'index.mjs': 'index.mjs',
  'bootstrap.mjs': 'bootstrap.mjs',
  'pack.mjs': 'pack.mjs',
  'lib/crc32.mjs': 'lib/crc32.mjs',
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  '.dockerignore': 'dot-dockerignore',
  Dockerfile: 'Dockerfile',
};

function modelBytes({ files }: Artifact): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** One CPU at least (1769 MB), and room for the weights twice, the runtime and the requests. */
function memoryOf(artifact: Artifact): number {
  return Math.min(10_240, Math.max(1769, Math.ceil(megabytesOf(artifact) / 64) * 64));
}

function* emit(artifact: Artifact): Iterable<BundleFile> {
  yield* functionFiles(artifact, 'lambda', own, { readme: readme(artifact) });
  const template = literalText('lambda', 'template.yaml')
    .replace('__NAME__', kubernetesName(artifact.name))
    .replace('__MEMORY__', String(memoryOf(artifact)));
  yield { path: 'template.yaml', bytes: template };
}

/** A function for AWS Lambda: as a zip, or as a container image where that is too large. */
export const lambda = defineTarget({
  id: 'lambda',
  summary: 'AWS Lambda function: zip with a size check, container image, function URL, SAM template',
  options: {},
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  weightsApart: () => true,
  supports: (artifact) => functionSupport(artifact, sizeNotes(artifact)),
  emit,
  commands: () => ({ install: 'npm ci --omit=dev', start: 'node bootstrap.mjs', kind: 'lambda' }),
});

function sizeNotes(artifact: Artifact): string[] {
  const total = modelBytes(artifact) + runtimeBytes;
  if (total <= unzippedLimit) return [];
  const megabytes = Math.round(total / 1e6);
  return [
    `Model and runtime have ${megabytes} MB, and a zip for Lambda may unpack to 262 MB: use the container image.`,
  ];
}

function readme(artifact: Artifact): string {
  const { name } = artifact;
  return `# ${name}: AWS Lambda function

\`\`\`sh
npm ci --omit=dev
node pack.mjs x64                                   # function.zip, with its size against Lambda's limits
node cold-start.mjs                                 # from process start to ready, on this machine
sam deploy --guided                                 # template.yaml: ${memoryOf(artifact)} MB, function URL
aws lambda invoke --function-name ${kubernetesName(name)} --cli-binary-format raw-in-base64-out --payload file://request.json answer.json
\`\`\`

As a container image (models beyond 250 MB, up to 10 GB):

\`\`\`sh
export ACCOUNT=… REGION=… ROLE=arn:aws:iam::…:role/…     # yours
image="$ACCOUNT.dkr.ecr.$REGION.amazonaws.com/${kubernetesName(name)}-lambda:1"
aws ecr create-repository --region "$REGION" --repository-name ${kubernetesName(name)}-lambda     # once
aws ecr get-login-password --region "$REGION" | docker login --username AWS --password-stdin "$ACCOUNT.dkr.ecr.$REGION.amazonaws.com"
docker build --platform linux/amd64 --provenance=false -t "$image" . && docker push "$image"
aws lambda create-function --region "$REGION" --function-name ${kubernetesName(name)} --package-type Image --code ImageUri="$image" --role "$ROLE" --memory-size ${memoryOf(artifact)} --timeout 60
\`\`\`

arm64 costs less: \`node pack.mjs arm64\` and \`Architectures: [arm64]\` in template.yaml; as an image \`--platform linux/arm64\` and \`--architectures arm64\`.

The event is a request of the Open Inference Protocol v2 (\`{"inputs": [{"name": …, "datatype": …, "shape": …, "data": …}]}\`), as it is by \`aws lambda invoke\`, or
as the body of a call to the function URL or an API Gateway, where binary tensors go too. A call may have 6 MB.

The session is opened while the container starts, in which phase Lambda gives all of its CPU. For fewer cold starts: smaller weights (int8), arm64,
provisioned concurrency. \`node bootstrap.mjs\` speaks Lambda's Runtime API for images that bring their own runtime.

**Elsewhere.** Google Cloud Run functions and Azure Functions: \`--target functions\`. Google Cloud Run and Azure Container Apps run the bundle of \`--target server\` as it is (they set \`PORT\`).
Cloudflare: ${workersAdvice(artifact)}

\`npx mlpack check .\` starts the function under a Runtime API of its own and replays the recorded cases.
`;
}
