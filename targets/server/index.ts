import { opt } from '../../src/pass/options.ts';
import { literalPath } from '../../src/target/literal.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { type DeployOptions, deployFiles } from './deploy.ts';
import { dockerfileOf } from './dockerfile.ts';
import { exampleRequest } from './example.ts';
import { loopNotes, mixingNotes } from './mixing.ts';
import { openApi } from './openapi.ts';
import { readme } from './readme.ts';

/** Bundle path → literal file. Dot files carry another name here because npm leaves them out of packages. */
const literals: Readonly<Record<string, string>> = {
  'server.mjs': 'server.mjs',
  'lib/admission.mjs': 'lib/admission.mjs',
  'lib/answers.mjs': 'lib/answers.mjs',
  'lib/app.mjs': 'lib/app.mjs',
  'lib/arrivals.mjs': 'lib/arrivals.mjs',
  'lib/auth.mjs': 'lib/auth.mjs',
  'lib/batcher.mjs': 'lib/batcher.mjs',
  'lib/body.mjs': 'lib/body.mjs',
  'lib/breaker.mjs': 'lib/breaker.mjs',
  'lib/buffers.mjs': 'lib/buffers.mjs',
  'lib/bundle.mjs': 'lib/bundle.mjs',
  'lib/cache.mjs': 'lib/cache.mjs',
  'lib/certificate.mjs': 'lib/certificate.mjs',
  'lib/config.mjs': 'lib/config.mjs',
  'lib/cpu.mjs': 'lib/cpu.mjs',
  'lib/datatypes.mjs': 'lib/datatypes.mjs',
  'lib/direct.mjs': 'lib/direct.mjs',
  'lib/drift.mjs': 'lib/drift.mjs',
  'lib/encoding.mjs': 'lib/encoding.mjs',
  'lib/errors.mjs': 'lib/errors.mjs',
  'lib/exchange.mjs': 'lib/exchange.mjs',
  'lib/front.mjs': 'lib/front.mjs',
  'lib/grpc/messages.mjs': 'lib/grpc/messages.mjs',
  'lib/grpc/open_inference.proto': 'lib/grpc/open_inference.proto',
  'lib/grpc/service.mjs': 'lib/grpc/service.mjs',
  'lib/half-closed.mjs': 'lib/half-closed.mjs',
  'lib/half.mjs': 'lib/half.mjs',
  'lib/head.mjs': 'lib/head.mjs',
  'lib/inference.mjs': 'lib/inference.mjs',
  'lib/instances.mjs': 'lib/instances.mjs',
  'lib/listening.mjs': 'lib/listening.mjs',
  'lib/manifest.mjs': 'lib/manifest.mjs',
  'lib/metrics.mjs': 'lib/metrics.mjs',
  'lib/model.mjs': 'lib/model.mjs',
  'lib/models.mjs': 'lib/models.mjs',
  'lib/monitor.mjs': 'lib/monitor.mjs',
  'lib/npy.mjs': 'lib/npy.mjs',
  'lib/opening.mjs': 'lib/opening.mjs',
  'lib/parted.mjs': 'lib/parted.mjs',
  'lib/place.mjs': 'lib/place.mjs',
  'lib/placing.mjs': 'lib/placing.mjs',
  'lib/pool.mjs': 'lib/pool.mjs',
  'lib/remembered.mjs': 'lib/remembered.mjs',
  'lib/request.mjs': 'lib/request.mjs',
  'lib/response.mjs': 'lib/response.mjs',
  'lib/routes/feedback.mjs': 'lib/routes/feedback.mjs',
  'lib/routes/inference.mjs': 'lib/routes/inference.mjs',
  'lib/routes/operation.mjs': 'lib/routes/operation.mjs',
  'lib/routes/platform.mjs': 'lib/routes/platform.mjs',
  'lib/rows.mjs': 'lib/rows.mjs',
  'lib/served.mjs': 'lib/served.mjs',
  'lib/session.mjs': 'lib/session.mjs',
  'lib/slabs.mjs': 'lib/slabs.mjs',
  'lib/tally.mjs': 'lib/tally.mjs',
  'lib/tracing.mjs': 'lib/tracing.mjs',
  'lib/unasked.mjs': 'lib/unasked.mjs',
  'lib/untaken.mjs': 'lib/untaken.mjs',
  'lib/warm-up.mjs': 'lib/warm-up.mjs',
  'lib/worker.mjs': 'lib/worker.mjs',
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  '.dockerignore': 'dot-dockerignore',
};

/** `registry:port/path/name:tag@digest`, without what could break out of its line. */
const imageReference = /^[a-z0-9][\w./:@-]*$/i;

/** The image copies the golden cases, which the server warms up with; a bundle without any has no such folder. */
function dockerfile(artifact: Artifact, { baseImage, user }: Options, watches: boolean): string {
  const text = dockerfileOf('server')
    .replace(/^ARG BASE_IMAGE=.*$/m, `ARG BASE_IMAGE=${baseImage}`)
    .replace(/^USER .*$/m, `USER ${user}`)
    .replace(/^COPY mlpack\.json /m, watches ? 'COPY mlpack.json reference.json ' : 'COPY mlpack.json ');
  return artifact.golden.length > 0 ? text : text.replace(/^COPY golden .*\n/m, '');
}

interface Options extends DeployOptions {
  readonly baseImage: string;
  readonly weights: string;
  readonly user: string;
}

async function* emit(artifact: Artifact, options: Options): AsyncIterable<BundleFile> {
  const reference = await artifact.workshop?.reference?.();
  if (reference) yield { path: 'reference.json', bytes: `${JSON.stringify(reference)}\n` };
  yield* deployFiles(artifact, options);
  for (const [path, name] of Object.entries(literals)) yield { path, from: literalPath('server', name) };
  yield { path: 'Dockerfile', bytes: dockerfile(artifact, options, reference !== undefined) };
  const example = exampleRequest(artifact);
  if (example !== undefined) yield { path: 'request.json', bytes: example };
  yield { path: 'README.md', bytes: readme(artifact, options, example !== undefined) };
  yield { path: 'openapi.json', bytes: `${JSON.stringify(openApi(artifact), null, 2)}\n` };
  for (const { name, source } of artifact.files) yield { path: `model/${name}`, from: source };
}

/** A Node.js server that speaks the Open Inference Protocol v2, with container files. */
export const server = defineTarget({
  id: 'server',
  summary: 'Node.js HTTP server: Open Inference Protocol v2, health checks, Dockerfile',
  options: {
    modelVersion: opt.int(1, 'version that the model is served as', { min: 1, max: 1_000_000_000 }),
    image: opt.string('', 'name of the container image in the deploy files, without tag (default: <model>-server)'),
    user: opt.string('65532:65532', 'user and group of the container; SageMaker wants 0:0'),
    weights: opt.choice(
      ['inside', 'apart'],
      'inside',
      'apart: large weights in a file that the runtime maps, so that it starts sooner; for images and folders that nobody writes to',
    ),
    baseImage: opt.string('node:22-bookworm-slim', 'base image of the Dockerfile, with glibc; name@sha256:… pins it'),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  weightsApart: ({ weights }) => weights === 'apart',
  supports(artifact, { baseImage, image, user }) {
    const objections = runtimeObjections(artifact);
    if (!imageReference.test(baseImage)) objections.push(`"${baseImage}" is not the name of a container image.`);
    if (image !== '' && !imageReference.test(image))
      objections.push(`"${image}" is not the name of a container image.`);
    if (!/^\d+(:\d+)?$/.test(user))
      objections.push(`"${user}" is not a user and group by number, such as 65532:65532.`);
    return objections.length > 0
      ? { ok: false, because: objections }
      : { ok: true, because: [...batchNotes(artifact), ...mixingNotes(artifact), ...loopNotes(artifact)] };
  },
  emit,
  commands: () => ({ install: 'npm ci --omit=dev', start: 'node server.mjs', kind: 'http-v2' }),
});

function batchNotes(artifact: Artifact): string[] {
  const fixed = artifact.inputs.filter(({ shape }) => typeof shape?.[0] === 'number');
  if (fixed.length === 0) return [];
  const names = fixed.map(({ name }) => `"${name}"`).join(', ');
  return [`The first dimension of ${names} is fixed, so one request carries exactly that many samples.`];
}
