import { opt } from '../../src/pass/options.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { curlSoon } from '../server/curl.ts';
import { kubernetesName } from '../server/deploy.ts';
import { server } from '../server/index.ts';
import { serverParts } from '../server/parts.ts';
import { deployScript, requests } from './requests.ts';

interface Options {
  readonly image: string;
  readonly baseImage: string;
  readonly bucket: string;
  readonly role: string;
  readonly instance: string;
}

/** SageMaker runs containers as root, and its own files belong to root. */
const asServer = ({ image, baseImage }: Options) => ({
  image,
  baseImage,
  user: '0:0',
  modelVersion: 1,
  weights: 'inside' as const,
});

/** The server's image without the model, which SageMaker unpacks beside it. */
function dockerfile(text: string): string {
  return text
    .replace(/^# The model last:.*\n/m, '')
    .replace(/^COPY model .*\n/m, '')
    .replace(/^ENV NODE_ENV=production/m, 'ENV NODE_ENV=production MODEL_DIR=/opt/ml/model');
}

async function* emit(artifact: Artifact, options: Options): AsyncIterable<BundleFile> {
  for await (const file of serverParts(server.emit(artifact, asServer(options)))) {
    yield file.path === 'Dockerfile' && 'bytes' in file ? { ...file, bytes: dockerfile(String(file.bytes)) } : file;
  }
  const entries = artifact.files.map(({ name, source, bytes }) => ({ path: name, from: source, size: bytes }));
  yield { path: 'model.tar.gz', archive: entries, gzip: true };
  for (const [name, value] of Object.entries(requests(artifact, options)))
    yield { path: `deploy/${name}.json`, bytes: `${JSON.stringify(value, undefined, 2)}\n` };
  yield { path: 'deploy/deploy.sh', bytes: deployScript(kubernetesName(artifact.name), options) };
  yield { path: 'README.md', bytes: readme(artifact, options) };
}

/** A real-time endpoint of Amazon SageMaker: model.tar.gz, the image that serves it, requests for its API. */
export const sagemaker = defineTarget({
  id: 'sagemaker',
  summary: 'Amazon SageMaker endpoint: model.tar.gz, the container that serves it, API requests and deploy script',
  options: {
    image: opt.string('', 'name of the container image in ECR, without tag (default: <model>-server)'),
    baseImage: opt.string('node:22-bookworm-slim', 'base image of the Dockerfile, with glibc; name@sha256:… pins it'),
    bucket: opt.string('BUCKET', 'S3 bucket that model.tar.gz goes to'),
    role: opt.string('arn:aws:iam::ACCOUNT:role/ROLE', 'execution role'),
    instance: opt.string('ml.c6i.large', 'instance type of the endpoint'),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  supports(artifact, options) {
    const support = server.supports(artifact, asServer(options));
    const because = support.ok ? [] : [...support.because];
    for (const name of ['bucket', 'role', 'instance'] as const) {
      if (!/^[A-Za-z0-9][\w.:/+=,@-]*$/.test(options[name]))
        because.push(`${name} is "${options[name]}", which is no name of AWS.`);
    }
    return because.length > 0 ? { ok: false, because } : support;
  },
  emit,
  commands: (artifact, options) => server.commands(artifact, asServer(options)),
});

function readme({ name }: Artifact, { bucket }: Options): string {
  return `# ${name}: Amazon SageMaker

\`model.tar.gz\` holds the model, which SageMaker unpacks to \`/opt/ml/model\`; the image holds the server (\`/ping\`, \`/invocations\`, \`/execution-parameters\`) and what it must
find there, by digest: with another model it does not start.

\`\`\`sh
export ACCOUNT=… REGION=… ROLE=arn:aws:iam::…:role/…     # yours; the bucket by --option bucket=…
sh deploy/deploy.sh                                       # image to ECR, model.tar.gz to s3://${bucket}, model, endpoint configuration, endpoint
aws sagemaker wait endpoint-in-service --region "$REGION" --endpoint-name ${kubernetesName(name)}
aws sagemaker-runtime invoke-endpoint --region "$REGION" --endpoint-name ${kubernetesName(name)} --content-type application/json --body fileb://request.json /dev/stdout
\`\`\`

A request is that of the Open Inference Protocol v2, or \`{"instances": […]}\`; \`application/octet-stream\` is the raw bytes of the one input, \`application/x-npy\` an array as numpy saves it (NumpySerializer). New version: the same script; the endpoint is updated
without being down, and the configuration before stays to go back to (\`aws sagemaker update-endpoint\`).

On this machine, as SageMaker starts it:

\`\`\`sh
npm ci --omit=dev && mkdir -p ../unpacked && tar -xzf model.tar.gz -C ../unpacked
MODEL_DIR=../unpacked node server.mjs serve &
${curlSoon} localhost:8080/ping
curl -H 'content-type: application/json' --data @request.json localhost:8080/invocations
\`\`\`

\`npx mlpack check .\` starts the server and replays the recorded cases over HTTP.
`;
}
