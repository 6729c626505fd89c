import { opt } from '../../src/pass/options.ts';
import { literalPath, literalText } from '../../src/target/literal.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { accelerators } from './accelerators.ts';
import { cBundle, cObjections } from './c.ts';
import { modelFolder, ortPackage } from './ort-package.ts';
import { readme } from './readme.ts';

/** Bundle path → literal file of this target. */
const own: Readonly<Record<string, string>> = {
  'run.mjs': 'run.mjs',
  'prune.mjs': 'prune.mjs',
  'lib/files.mjs': 'lib/files.mjs',
  'lib/open.mjs': 'lib/open.mjs',
  'lib/selftest.mjs': 'lib/selftest.mjs',
  'lib/serve.mjs': 'lib/serve.mjs',
  'lib/unit.mjs': 'lib/unit.mjs',
  'lib/values.mjs': 'lib/values.mjs',
  'lib/watch.mjs': 'lib/watch.mjs',
  '.npmrc': 'dot-npmrc',
};

/** The agent that keeps a device up to date; it lives outside of the versions that it replaces. */
const agent = [
  'agent',
  'boot',
  'download',
  'durable',
  'health',
  'init',
  'judge',
  'lock',
  'refused',
  'slots',
  'state',
  'supervise',
  'trust',
  'tuf',
  'unit',
  'update',
  'versions',
];

/** Parts of the server that read a bundle and speak the protocol here too. */
const shared = ['bundle', 'datatypes', 'errors', 'half', 'manifest', 'model', 'request', 'response'];

/** Smallest programs in other languages, told where the model lies. */
const runners = ['python/run.py', 'cpp/main.cpp', 'cpp/CMakeLists.txt'];

interface Options {
  readonly lang: string;
  readonly tuf: boolean;
}

function* emit(artifact: Artifact, { lang, tuf }: Options): Iterable<BundleFile> {
  if (lang === 'c') yield* cBundle(artifact);
  else yield* nodeBundle(artifact, tuf);
}

function* nodeBundle(artifact: Artifact, tuf: boolean): Iterable<BundleFile> {
  for (const name of ['package.json', 'package-lock.json'])
    yield { path: name, from: literalPath('edge', tuf ? `tuf/${name}` : name) };

  for (const [path, name] of Object.entries(own)) yield { path, from: literalPath('edge', name) };
  for (const name of agent) yield { path: `agent/${name}.mjs`, from: literalPath('edge', `agent/${name}.mjs`) };
  for (const name of shared) yield { path: `lib/${name}.mjs`, from: literalPath('server', `lib/${name}.mjs`) };
  const model = `${modelFolder(artifact)}/model.onnx`;
  for (const name of runners)
    yield { path: `runners/${name}`, bytes: literalText('edge', `runners/${name}`).replaceAll('__MODEL__', model) };
  yield* ortPackage(artifact);
  yield { path: 'ACCELERATORS.md', bytes: accelerators(artifact) };
  yield { path: 'README.md', bytes: readme(artifact) };
}

/** A program for small machines: ONNX Runtime for one platform, a runner, a systemd unit. */
export const edge = defineTarget({
  id: 'edge',
  summary: 'edge device: pruned Node.js runner with systemd unit, ORT model package, Python and C++ runners',
  options: {
    lang: opt.choice(['node', 'c'], 'node', 'node: a program with updates; c: a library with the model linked in'),
    tuf: opt.boolean(false, 'bring tuf-js, for devices that follow a TUF repository'),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  runtimeOf: ({ lang }) => ({ package: lang === 'c' ? 'onnxruntime' : 'onnxruntime-node', version: ortVersion }),
  supports(artifact, { lang }) {
    const because = [...runtimeObjections(artifact), ...(lang === 'c' ? cObjections(artifact) : [])];
    return { ok: because.length === 0, because };
  },
  emit,
  commands: (_, { lang }) =>
    lang === 'c'
      ? { start: programsCommand, kind: 'programs' }
      : { install: 'npm ci --omit=dev', start: 'node run.mjs predict -', kind: 'lines' },
});
