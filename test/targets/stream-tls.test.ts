/** The streaming worker through TLS, with a name, a password and a certificate of its own: Kafka (the mock cluster behind support/kafka-gate.ts), Redis, NATS and MQTT. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import { stream } from '../../targets/stream/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { reachable, startKafka } from './support/brokers.ts';
import { openGate } from './support/kafka-gate.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('stream') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');
const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
const [user, password] = ['worker', 'a-secret-of-tests'];
const own = createRequire(join(modules, 'x'));

/** Twice a number. */
const twice = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,1] x) => (float[n,1] y)
<float[1,1] w = {2}>
{
  y = MatMul (x, w)
}`;
const row = '{"x":[21]}';

/** A client that trusts the certificate: sends the row, and gives what came out (undefined: nothing yet). */
interface Client {
  send(): Promise<void>;
  answer(): Promise<string | undefined>;
  close(): void;
}

interface Running {
  kill(signal: 'SIGKILL'): unknown;
}

interface Secured {
  readonly scheme: 'kafkas' | 'rediss' | 'natss' | 'mqtts';
  /** Kafka's; the others know one way. */
  readonly mechanism?: string;
  readonly programs: readonly string[];
  start(port: number): Running | Promise<Running>;
  client(port: number): Promise<Client>;
}

const redis: Secured = {
  scheme: 'rediss',
  programs: ['redis-server'],
  start(port) {
    const lines = [
      'port 0',
      `tls-port ${port}`,
      `tls-cert-file ${cert}`,
      `tls-key-file ${key}`,
      `tls-ca-cert-file ${cert}`,
    ];
    const config = [
      ...lines,
      'tls-auth-clients yes',
      'save ""',
      'user default off',
      `user ${user} on >${password} ~* &* +@all`,
    ];
    writeFileSync(join(dir, 'redis.conf'), `${config.join('\n')}\n`);
    return spawn('redis-server', [join(dir, 'redis.conf')], { cwd: dir, stdio: 'ignore' });
  },
  async client(port) {
    const Redis = own('ioredis') as new (
      options: object,
    ) => {
      xadd(...args: string[]): Promise<unknown>;
      xrange(stream: string, from: string, to: string): Promise<[string, string[]][]>;
      disconnect(): void;
    };
    const client = new Redis({
      port,
      username: user,
      password,
      tls: { ca: readFileSync(cert), cert: readFileSync(cert), key: readFileSync(key) },
    });
    return {
      send: async () => void (await client.xadd('in', '*', 'value', row)),
      answer: async () => (await client.xrange('out', '-', '+'))[0]?.[1][1],
      close: () => client.disconnect(),
    };
  },
};

const nats: Secured = {
  scheme: 'natss',
  programs: ['nats-server'],
  start(port) {
    const tls = [
      '--tlsverify',
      '--tlscacert',
      cert,
      '--tlscert',
      cert,
      '--tlskey',
      key,
      '--user',
      user,
      '--pass',
      password,
    ];
    return spawn('nats-server', ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', join(dir, 'nats'), ...tls], {
      stdio: 'ignore',
    });
  },
  async client(port) {
    const { connect } = own('@nats-io/transport-node') as { connect(o: object): Promise<{ close(): Promise<void> }> };
    const { jetstream, jetstreamManager } = own('@nats-io/jetstream') as {
      jetstream(connection: object): { publish(subject: string, value: string): Promise<unknown> };
      jetstreamManager(connection: object): Promise<{
        streams: {
          add(config: object): Promise<unknown>;
          getMessage(name: string, query: object): Promise<{ string(): string } | null>;
        };
      }>;
    };
    const connection = await connect({
      servers: `localhost:${port}`,
      user,
      pass: password,
      tls: { caFile: cert, certFile: cert, keyFile: key },
    });
    const { streams } = await jetstreamManager(connection);
    await streams.add({ name: 'all', subjects: ['in', 'out', 'dead'] });
    return {
      send: async () => void (await jetstream(connection).publish('in', row)),
      answer: async () => (await streams.getMessage('all', { last_by_subj: 'out' }).catch(() => undefined))?.string(),
      close: () => void connection.close(),
    };
  },
};

const mqtt: Secured = {
  scheme: 'mqtts',
  programs: ['mosquitto', 'mosquitto_passwd', 'mosquitto_sub'],
  start(port) {
    execFileSync('mosquitto_passwd', ['-b', '-c', join(dir, 'passwords'), user, password], { stdio: 'ignore' });
    // Started by root it would become another user, who may not read the key.
    const lines = [
      `user ${process.getuid?.() === 0 ? 'root' : 'mosquitto'}`,
      `listener ${port} 127.0.0.1`,
      `certfile ${cert}`,
      `keyfile ${key}`,
      `cafile ${cert}`,
      'require_certificate true',
    ];
    writeFileSync(
      join(dir, 'mosquitto.conf'),
      `${[...lines, 'allow_anonymous false', `password_file ${join(dir, 'passwords')}`].join('\n')}\n`,
    );
    return spawn('mosquitto', ['-c', join(dir, 'mosquitto.conf')], { stdio: 'ignore' });
  },
  async client(port) {
    const at = [
      '-h',
      'localhost',
      '-p',
      String(port),
      '--cafile',
      cert,
      '--cert',
      cert,
      '--key',
      key,
      '-u',
      user,
      '-P',
      password,
      '-V',
      '5',
      '-q',
      '1',
    ];
    const reader = spawn('mosquitto_sub', [...at, '-t', 'out'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    reader.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    return {
      send: async () => void execFileSync('mosquitto_pub', [...at, '-t', 'in', '-m', row]),
      answer: async () => text.split('\n')[0] || undefined,
      close: () => void reader.kill(),
    };
  },
};

/** kcat is librdkafka: that it gets through the gate shows that the gate is as Kafka is. */
function kafka(mechanism: string): Secured {
  return {
    scheme: 'kafkas',
    mechanism,
    programs: ['kcat'],
    async start(port) {
      const broker = await startKafka();
      const [pem, secret] = [readFileSync(cert, 'utf8'), readFileSync(key, 'utf8')];
      const brokerPort = Number(broker.address.split(':').at(-1));
      const gate = await openGate(port, brokerPort, { cert: pem, key: secret, clientCa: pem, user, password });
      return {
        kill() {
          gate.close();
          return broker.stop();
        },
      };
    },
    async client(port) {
      const settings = {
        ...{
          'security.protocol': 'SASL_SSL',
          'sasl.mechanism': mechanism === 'oauthbearer' ? 'PLAIN' : mechanism.toUpperCase(),
        },
        ...{ 'sasl.username': user, 'sasl.password': password },
        ...{ 'ssl.ca.location': cert, 'ssl.certificate.location': cert, 'ssl.key.location': key },
      };
      const pairs = Object.entries(settings).flatMap(([name, value]) => ['-X', `${name}=${value}`]);
      const kcat = async (args: string[], input = ''): Promise<string> => {
        const running = promisify(execFile)('kcat', ['-q', '-b', `localhost:${port}`, ...pairs, ...args]);
        running.child.stdin?.end(input);
        return (await running).stdout;
      };
      return {
        send: async () => void (await kcat(['-P', '-t', 'in'], `${row}\n`)),
        answer: async () => (await kcat(['-C', '-t', 'out', '-o', 'beginning', '-e'])).split('\n')[0] || undefined,
        close: () => undefined,
      };
    },
  };
}

interface Worker {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  printed(): string;
}

function work(address: string, env: Readonly<Record<string, string>>): Worker {
  const flags = [
    '--broker',
    address,
    '--in',
    'in',
    '--out',
    'out',
    '--dead',
    'dead',
    '--group',
    'g',
    '--port',
    '0',
    '--tries',
    '1',
  ];
  const child = spawn(process.execPath, ['run-stream.mjs', ...flags], {
    cwd: bundle,
    env: { ...process.env, STREAM_USERNAME: user, STREAM_PASSWORD: password, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let printed = '';
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')));
  return { child, exit: new Promise((resolve) => child.once('exit', resolve)), printed: () => printed };
}

async function until(holds: () => Promise<boolean> | boolean, { printed }: Worker): Promise<void> {
  for (let tried = 0; tried < 400; tried++) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error(`it did not come about: ${printed()}`);
}

describe.skipIf(modules === '' || !has('openssl'))('stream', () => {
  beforeAll(async () => {
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-keyout', key, '-out', cert];
    execFileSync('openssl', [...made, ...subject], { stdio: 'ignore' });
    const feeds = [{ x: new ort.Tensor('float32', Float32Array.of(1), [1, 1]) }];
    await buildBundle(stream, { ...(await makeArtifact(dir, twice, feeds)), name: 'twice' }, {}, bundle);
    await symlink(modules, join(bundle, 'node_modules'));
    await mkdir(join(dir, 'nats'));
  });

  const ways = [
    kafka('plain'),
    kafka('scram-sha-256'),
    kafka('scram-sha-512'),
    kafka('oauthbearer'),
    redis,
    nats,
    mqtt,
  ];
  describe.concurrent.each(ways)('over $scheme $mechanism', ({ scheme, mechanism, programs, start, client }) => {
    const missing = programs.filter((program) => !has(program));
    if (missing.length > 0) note(`no ${missing.join(', ')} on this machine: the worker is not tried over ${scheme}`);

    it.skipIf(missing.length > 0)(
      'answers, and goes nowhere without the certificate or with another password',
      async () => {
        const port = await freePort();
        const broker = await start(port);
        await reachable(port);
        const mine = await client(port);
        const address = `${scheme}://localhost:${port}`;
        try {
          const known = {
            ...{ STREAM_CA_FILE: cert, STREAM_CERT_FILE: cert, STREAM_KEY_FILE: key },
            ...(mechanism !== undefined && { STREAM_SASL_MECHANISM: mechanism }),
            ...(mechanism === 'oauthbearer' && { STREAM_TOKEN_FILE: join(dir, 'token') }),
          };
          writeFileSync(join(dir, 'token'), `token-of-${user}\n`);
          writeFileSync(join(dir, 'token-of-another'), 'token-of-another');
          const worker = work(address, known);
          await until(() => worker.printed().includes('"ready"'), worker);
          await mine.send();
          await until(async () => (await mine.answer()) !== undefined, worker);
          expect(JSON.parse((await mine.answer()) ?? '')).toMatchObject({ y: 42 });
          worker.child.kill('SIGTERM');
          expect(await worker.exit, worker.printed()).toBe(0);
          const liar = work(address, {
            ...known,
            ...{ STREAM_CA_FILE: '', NODE_EXTRA_CA_CERTS: cert, STREAM_PASSWORD: 'another' },
            ...(mechanism === 'oauthbearer' && { STREAM_TOKEN_FILE: join(dir, 'token-of-another') }),
          });
          // kafkajs tries six times, and the certificate does not hang on the mechanism: once is enough.
          const asked = mechanism === undefined || mechanism === 'plain';
          const stranger = asked ? work(address, { ...known, STREAM_CA_FILE: '' }) : undefined;
          expect(await liar.exit, liar.printed()).toBe(1);
          if (stranger !== undefined) {
            expect(await stranger.exit, stranger.printed()).toBe(1);
            expect(stranger.printed()).toMatch(/self-signed certificate|unable to verify/);
          }
          expect(liar.printed()).toMatch(/WRONGPASS|authorization violation|not authorized|authentication failed/i);
          expect(liar.printed().replaceAll('token-of-another"', '')).not.toContain('another');
        } finally {
          mine.close();
          broker.kill('SIGKILL');
        }
      },
      60_000,
    );
  });

  it('refuses what cannot be right before it opens the model', async () => {
    const cases: [Record<string, string>, string, string][] = [
      [{ STREAM_CA_FILE: cert }, 'kafka://localhost:1', 'the address of the broker is without TLS'],
      [{ STREAM_CA_FILE: join(dir, 'none') }, 'kafkas://localhost:1', 'cannot be read (ENOENT)'],
      [{ STREAM_CA_FILE: key }, 'kafkas://localhost:1', 'STREAM_CA holds no certificate'],
      [{ STREAM_CERT_FILE: cert }, 'kafkas://localhost:1', 'STREAM_CERT and STREAM_KEY belong together'],
      [{ STREAM_CERT_FILE: cert, STREAM_KEY_FILE: cert }, 'natss://localhost:1', 'no certificate and its key'],
      [{ STREAM_SASL_MECHANISM: 'gssapi' }, 'kafka://localhost:1', 'one of plain, scram-sha-256, scram-sha-512'],
      [{ STREAM_SASL_MECHANISM: 'oauthbearer' }, 'kafka://localhost:1', 'needs STREAM_TOKEN_FILE'],
      [{ STREAM_PASSWORD: '' }, 'kafka://localhost:1', 'STREAM_USERNAME and STREAM_PASSWORD belong together'],
    ];
    for (const [env, address, message] of cases) {
      const worker = work(address, env);
      expect(await worker.exit, worker.printed()).toBe(2);
      expect(worker.printed()).toContain(message);
      expect(worker.printed().trim().split('\n')).toHaveLength(1);
    }
  });
});
