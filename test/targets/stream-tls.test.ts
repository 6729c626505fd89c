/** The streaming worker through TLS, with a name and a password: Redis, NATS and MQTT. (The mock cluster that stands in for Kafka speaks neither TLS nor SASL.) */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import { stream } from '../../targets/stream/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { reachable } from './support/brokers.ts';
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

interface Secured {
  readonly scheme: 'rediss' | 'natss' | 'mqtts';
  readonly programs: readonly string[];
  start(port: number): ChildProcess;
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
      'tls-auth-clients no',
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
    const client = new Redis({ port, username: user, password, tls: { ca: readFileSync(cert) } });
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
    const tls = ['--tls', '--tlscert', cert, '--tlskey', key, '--user', user, '--pass', password];
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
    const connection = await connect({ servers: `localhost:${port}`, user, pass: password, tls: { caFile: cert } });
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

  describe.concurrent.each([redis, nats, mqtt])('over $scheme', ({ scheme, programs, start, client }) => {
    const missing = programs.filter((program) => !has(program));
    if (missing.length > 0) note(`no ${missing.join(', ')} on this machine: the worker is not tried over ${scheme}`);

    it.skipIf(missing.length > 0)(
      'answers, and goes nowhere without the certificate or with another password',
      async () => {
        const port = await freePort();
        const broker = start(port);
        await reachable(port);
        const mine = await client(port);
        const address = `${scheme}://localhost:${port}`;
        try {
          const worker = work(address, { NODE_EXTRA_CA_CERTS: cert });
          await until(() => worker.printed().includes('"ready"'), worker);
          await mine.send();
          await until(async () => (await mine.answer()) !== undefined, worker);
          expect(JSON.parse((await mine.answer()) ?? '')).toMatchObject({ y: 42 });
          worker.child.kill('SIGTERM');
          expect(await worker.exit, worker.printed()).toBe(0);
          const [stranger, liar] = [
            work(address, {}),
            work(address, { NODE_EXTRA_CA_CERTS: cert, STREAM_PASSWORD: 'another' }),
          ];
          expect(await Promise.all([stranger.exit, liar.exit]), stranger.printed() + liar.printed()).toEqual([1, 1]);
          expect(stranger.printed()).toMatch(/self-signed certificate|unable to verify/);
          expect(liar.printed()).toMatch(/WRONGPASS|authorization violation|not authorized/i);
          expect(liar.printed()).not.toContain('another');
        } finally {
          mine.close();
          broker.kill('SIGKILL');
        }
      },
      60_000,
    );
  });
});
