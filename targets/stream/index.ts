import { opt } from '../../src/pass/options.ts';
import { literalPath } from '../../src/target/literal.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { sharedParts } from '../batch/index.ts';
import { dockerfileOf } from '../server/dockerfile.ts';
import { exampleRow } from '../server/example.ts';
import { mixingNotes } from '../server/mixing.ts';
import { deployFiles } from './deploy.ts';
import { brokers, type Login, logins, placeObjections, placeOf } from './place.ts';
import { readme } from './readme.ts';

/** Bundle path → literal file of this target. */
const own: Readonly<Record<string, string>> = {
  'run-stream.mjs': 'run-stream.mjs',
  'stream/broker.mjs': 'stream/broker.mjs',
  'stream/brokers/compression.mjs': 'stream/brokers/compression.mjs',
  'stream/brokers/kafka.mjs': 'stream/brokers/kafka.mjs',
  'stream/brokers/mqtt.mjs': 'stream/brokers/mqtt.mjs',
  'stream/brokers/nats.mjs': 'stream/brokers/nats.mjs',
  'stream/brokers/redis.mjs': 'stream/brokers/redis.mjs',
  'stream/inbox.mjs': 'stream/inbox.mjs',
  'stream/keep.mjs': 'stream/keep.mjs',
  'stream/monitor.mjs': 'stream/monitor.mjs',
  'stream/secrets.mjs': 'stream/secrets.mjs',
  'stream/settings.mjs': 'stream/settings.mjs',
  'stream/work.mjs': 'stream/work.mjs',
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  '.dockerignore': 'dot-dockerignore',
};

/** Parts of the batch target: rows to tensors and back. */
const rows = ['lines', 'mapping', 'open', 'predict', 'problem', 'utf8'];

function* emit(artifact: Artifact, options: Options): Iterable<BundleFile> {
  const place = placeOf(artifact.name, options);
  for (const [path, name] of Object.entries(own)) yield { path, from: literalPath('stream', name) };
  yield { path: 'Dockerfile', bytes: dockerfileOf('stream') };
  for (const name of rows) yield { path: `batch/${name}.mjs`, from: literalPath('batch', `batch/${name}.mjs`) };
  for (const name of sharedParts) yield { path: `lib/${name}.mjs`, from: literalPath('server', `lib/${name}.mjs`) };
  const { broker, in: from, out, dead, group, login } = place;
  const sasl = place.kind === 'kafka' && login !== 'none' ? { login } : {};
  const settings = { broker, in: from, out, dead, group, ...sasl };
  yield { path: 'stream.json', bytes: `${JSON.stringify(settings, undefined, 2)}\n` };
  yield* deployFiles(artifact, place);
  for (const { name, source } of artifact.files) yield { path: `model/${name}`, from: source };
  const example = exampleRow(artifact);
  if (example !== undefined) yield { path: 'row.jsonl', bytes: example };
  yield { path: 'README.md', bytes: readme(artifact, place) };
}

interface Options {
  readonly broker: string;
  readonly in: string;
  readonly out: string;
  readonly dead: string;
  readonly group: string;
  readonly image: string;
  readonly login: Login;
}

/** Predictions for what comes in over a message broker. */
export const stream = defineTarget({
  id: 'stream',
  summary: 'worker for Kafka, NATS, MQTT or Redis Streams: commit after produce, dead letters, lag metric, KEDA',
  options: {
    broker: opt.string('kafka://kafka:9092', `where the broker is: ${Object.keys(brokers).join('://…, ')}://…`),
    login: opt.choice(
      logins,
      'none',
      'whether the broker asks for a name and a password, Kafka by which SASL mechanism; both come from the environment',
    ),
    in: opt.string('', 'topic, subject or stream of the rows (default: <model>-in)'),
    out: opt.string('', 'where predictions go (default: <model>-out)'),
    dead: opt.string('', 'where records go that cannot be used (default: <model>-dead)'),
    group: opt.string('', 'consumer group (default: <model>)'),
    image: opt.string('', 'name of the container image in the deploy files, without tag (default: <model>-stream)'),
  },
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  supports(artifact, options) {
    const because = [...runtimeObjections(artifact), ...placeObjections(placeOf(artifact.name, options))];
    return because.length > 0 ? { ok: false, because } : { ok: true, because: mixingNotes(artifact) };
  },
  emit,
  commands: () => ({ install: 'npm ci --omit=dev', start: 'node run-stream.mjs -', kind: 'lines' }),
});
