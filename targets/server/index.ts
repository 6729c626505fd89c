import { opt } from '../../src/pass/options.ts';
import { literalPath, literalText } from '../../src/target/literal.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { readme } from './readme.ts';

/** Bundle path → literal file. Dot files carry another name here because npm leaves them out of packages. */
const literals: Readonly<Record<string, string>> = {
  'server.mjs': 'server.mjs',
  'lib/app.mjs': 'lib/app.mjs',
  'lib/bundle.mjs': 'lib/bundle.mjs',
  'lib/config.mjs': 'lib/config.mjs',
  'lib/datatypes.mjs': 'lib/datatypes.mjs',
  'lib/errors.mjs': 'lib/errors.mjs',
  'lib/half.mjs': 'lib/half.mjs',
  'lib/model.mjs': 'lib/model.mjs',
  'lib/request.mjs': 'lib/request.mjs',
  'lib/response.mjs': 'lib/response.mjs',
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  '.dockerignore': 'dot-dockerignore',
};

/** The image copies the golden cases, which the server warms up with; a bundle without any has no such folder. */
function dockerfile(artifact: Artifact): string {
  const text = literalText('server', 'Dockerfile');
  return artifact.golden.length > 0 ? text : text.replace(/^COPY golden .*\n/m, '');
}

function* emit(artifact: Artifact): Iterable<BundleFile> {
  for (const [path, name] of Object.entries(literals)) yield { path, from: literalPath('server', name) };
  yield { path: 'Dockerfile', bytes: dockerfile(artifact) };
  yield { path: 'README.md', bytes: readme(artifact) };
  for (const { name, source } of artifact.files) yield { path: `model/${name}`, from: source };
}

/** A Node.js server that speaks the Open Inference Protocol v2, with container files. */
export const server = defineTarget({
  id: 'server',
  summary: 'Node.js HTTP server: Open Inference Protocol v2, health checks, Dockerfile',
  options: {
    batchHint: opt.boolean(true, 'mention in the notes when the model has no variable batch dimension'),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  supports(artifact, options) {
    const objections = runtimeObjections(artifact);
    if (objections.length > 0) return { ok: false, because: objections };
    return { ok: true, because: options.batchHint ? batchNotes(artifact) : [] };
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

export default server;
