import { stringify } from 'yaml';
import { literalText } from '../../src/target/literal.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import { kubernetesName } from '../server/deploy.ts';
import type { Login, Place } from './place.ts';

const templates = ['deployment.yaml', 'kustomization.yaml', 'podmonitor.yaml', 'serviceaccount.yaml'];

/** As the server's pod (targets/server/deploy.ts): the process, and each of two sessions with the weights about twice. */
function memoryOf({ files }: Artifact): number {
  const megabytes = files.reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20;
  return Math.ceil((384 + 4 * megabytes) / 64) * 64;
}

/** What KEDA scales by. MQTT tells nobody how much waits, so there it is the CPU. */
function trigger({ kind, hosts, tls, login, in: from, group }: Place): object {
  switch (kind) {
    case 'kafka':
      return {
        type: 'kafka',
        metadata: {
          // More workers than partitions would idle; KEDA does not start them (allowIdleConsumers: false).
          ...{ bootstrapServers: hosts, consumerGroup: group, topic: from, lagThreshold: '1000' },
          ...(tls && { tls: 'enable' }),
          ...(login !== 'none' && { sasl: kedaSasl[login] }),
        },
      };
    case 'redis':
      return {
        type: 'redis-streams',
        metadata: {
          ...{ address: firstHost(hosts, 6379), stream: from, consumerGroup: group, lagCount: '1000' },
          ...(tls && { enableTLS: 'true' }),
        },
      };
    case 'nats':
      return {
        type: 'nats-jetstream',
        metadata: {
          // The monitoring port (nats-server -m 8222), where KEDA asks.
          natsServerMonitoringEndpoint: `${firstHost(hosts, 4222).replace(/:\d+$/, '')}:8222`,
          account: '$G',
          // KEDA wants the stream's name, as in the README; the worker finds it by its subject.
          stream: from.replaceAll('.', '-'),
          consumer: group,
          lagThreshold: '1000',
        },
      };
    default:
      return { type: 'cpu', metricType: 'Utilization', metadata: { value: '70' } };
  }
}

/** The mechanisms in KEDA's words. */
const kedaSasl: Readonly<Record<Login, string>> = {
  none: 'none',
  password: 'none',
  plain: 'plaintext',
  'scram-sha-256': 'scram_sha256',
  'scram-sha-512': 'scram_sha512',
};

/** What KEDA needs to ask these brokers; the others it asks by HTTP, or not at all. A key that the secret lacks is an empty text to KEDA, which uses none. */
function authentication(name: string, { kind, tls, login }: Place): object | undefined {
  const keys = [...(login === 'none' ? [] : ['username', 'password']), ...(tls ? ['ca', 'cert', 'key'] : [])];
  if ((kind !== 'kafka' && kind !== 'redis') || keys.length === 0) return undefined;
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'TriggerAuthentication',
    metadata: { name },
    spec: { secretTargetRef: keys.map((key) => ({ parameter: key, name, key })) },
  };
}

function firstHost(hosts: string, port: number): string {
  const [host = ''] = hosts.split(',');
  return /:\d+$/.test(host) ? host : `${host}:${port}`;
}

function scaledObject(name: string, place: Place, authenticated: boolean): object {
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: { name },
    spec: {
      scaleTargetRef: { name },
      // A CPU trigger cannot start the first pod.
      minReplicaCount: place.kind === 'mqtt' ? 1 : 0,
      maxReplicaCount: 10,
      cooldownPeriod: 300,
      triggers: [{ ...trigger(place), ...(authenticated && { authenticationRef: { name } }) }],
    },
  };
}

/** `deploy/kubernetes/…`: the worker, its scaling by lag, its metrics. */
export function* deployFiles(artifact: Artifact, place: Place): Iterable<BundleFile> {
  const name = kubernetesName(artifact.name);
  const values: Readonly<Record<string, string>> = {
    NAME: name,
    IMAGE: place.image,
    BROKER: place.broker,
    IN: place.in,
    OUT: place.out,
    DEAD: place.dead,
    GROUP: place.group,
    MEMORY: String(memoryOf(artifact)),
  };
  for (const file of templates) {
    const text = literalText('stream', `deploy/kubernetes/${file}`);
    const bytes = text.replace(/__([A-Z]+)__/g, (whole, key: string) => values[key] ?? whole);
    yield { path: `deploy/kubernetes/${file}`, bytes };
  }
  const who = authentication(`${name}-stream`, place);
  const scaling = [scaledObject(`${name}-stream`, place, who !== undefined), ...(who === undefined ? [] : [who])];
  yield {
    path: 'deploy/kubernetes/scaledobject.yaml',
    bytes: scaling.map((document) => stringify(document, { lineWidth: 0 })).join('---\n'),
  };
}
