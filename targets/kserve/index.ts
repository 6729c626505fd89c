import { stringify } from 'yaml';
import { opt } from '../../src/pass/options.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, defineTarget } from '../../src/target/target.ts';
import { kubernetesName } from '../server/deploy.ts';
import { tritonOptions } from '../triton/options.ts';
import { repositoryFiles, tritonNotes, tritonObjections } from '../triton/repository.ts';

const storageUri = /^(gs|s3|https?|hdfs|pvc|oci|oci\+native|oci\+fetch|hf):\/\/\S+$/;

/** An InferenceService with the storage that KServe's Triton runtime serves. */
export const kserve = defineTarget({
  id: 'kserve',
  summary: 'KServe InferenceService with a Triton repository as its storage, also as an image for oci://',
  options: {
    ...tritonOptions,
    storageUri: opt.string(
      'pvc://models/repository',
      'where the folder models/ will be: s3://…, gs://…, pvc://…, oci://…',
    ),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime', version: ortVersion },
  loadedBy: ({ ort }) => ort,
  supports(artifact, options) {
    const because = [...runtimeObjections(artifact, options.ort), ...tritonObjections(artifact, options)];
    if (!storageUri.test(options.storageUri))
      because.push(`"${options.storageUri}" is not an address that KServe's storage initializer takes.`);
    return because.length > 0 ? { ok: false, because } : { ok: true, because: tritonNotes(artifact) };
  },
  async *emit(artifact, options) {
    yield* repositoryFiles(artifact, options, 'models');
    yield {
      path: 'inferenceservice.yaml',
      bytes: stringify(inferenceService(artifact, options.storageUri), { lineWidth: 0, aliasDuplicateObjects: false }),
    };
    yield { path: 'Dockerfile', bytes: dockerfile };
    yield { path: 'README.md', bytes: readme(artifact.name, options.storageUri) };
  },
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});

function inferenceService({ name, files }: Artifact, uri: string): object {
  const megabytes = files.reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20;
  const resources = { cpu: '2', memory: `${Math.ceil((1024 + 4 * megabytes) / 256) * 256}Mi` };
  return {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name: kubernetesName(name) },
    spec: {
      predictor: {
        minReplicas: 1,
        maxReplicas: 10,
        scaleMetric: 'cpu',
        scaleTarget: 70,
        model: {
          modelFormat: { name: 'onnx', version: '1' },
          runtime: 'kserve-tritonserver',
          protocolVersion: 'v2',
          storageUri: uri,
          resources: { requests: resources, limits: resources },
        },
      },
    },
  };
}

/** KServe takes models out of images from the folder /models, whatever mode mounts them; for oci:// it runs `sh`, `ln` and `sleep` of the image itself. */
const dockerfile = `# An image with the model repository, and the shell that KServe links it with: docker build -t registry/models/name:1 . && docker push …
# then storageUri: oci://registry/models/name:1 (oci+native:// where the cluster mounts image volumes)
ARG BASE_IMAGE=busybox:stable
FROM \${BASE_IMAGE}
COPY models /models
`;

function readme(name: string, uri: string): string {
  return `# ${name}: KServe

\`models/\` is a Triton model repository: KServe's runtime \`kserve-tritonserver\` serves it as it is. Bring it to \`${uri}\`:

\`\`\`sh
aws s3 sync models s3://bucket/path            # storageUri: s3://bucket/path
docker build -t registry/models/name:1 . && docker push registry/models/name:1   # storageUri: oci://registry/models/name:1
kubectl apply -f inferenceservice.yaml
\`\`\`

Canary: bring the new version to another place, change \`storageUri\`, add \`canaryTrafficPercent: 10\` under \`predictor\` and apply; remove the line to
promote it, set it to 0 to go back.

\`npx mlpack check .\` verifies every file and replays the recorded cases through the model on ONNX Runtime. It starts no cluster.
`;
}
