/** Real message brokers on loopback, each for one test file, and clients to talk to them that are not the worker's own code. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect as dial } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../../src/target/process.ts';

const run = promisify(execFile);

export interface Message {
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Broker {
  readonly address: string;
  /** Puts rows where the worker reads, in order. */
  send(topic: string, values: readonly string[]): Promise<void>;
  /** All that has come to a topic so far. */
  read(topic: string): Promise<Message[]>;
  stop(): Promise<void>;
}

export interface BrokerKind {
  readonly scheme: 'kafka' | 'redis' | 'nats' | 'mqtt';
  /** Programs it needs and the Debian packages that have them. */
  readonly programs: Readonly<Record<string, string>>;
  /** Bytes of a record that it takes at most; undefined where that cannot be reached here (of Kafka's the mock cluster knows nothing). */
  readonly largest?: number;
  start(dir: string, modules: string, topics: readonly string[]): Promise<Broker>;
}

function stopper(child: ChildProcess): () => Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await ended;
  };
}

export async function reachable(port: number): Promise<void> {
  for (let tried = 0; tried < 200; tried++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = dial(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    await sleep(25);
  }
  throw new Error(`nobody listens on ${port}`);
}

/** librdkafka's mock cluster lives in the process of a producer that waits for its stdin. */
export async function startKafka(): Promise<Broker> {
  const child = spawn('kcat', ['-P', '-b', 'mock', '-t', 'none', '-X', 'test.mock.num.brokers=1', '-d', 'mock']);
  const brokers = await new Promise<string>((resolve, reject) => {
    let text = '';
    const look = (chunk: Buffer): void => {
      text += chunk.toString();
      const [, found] = text.match(/bootstrap\.servers=(\S+)/) ?? [];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => reject(new Error(`kcat ended: ${text}`)));
  });
  const kcat = async (args: string[], input = ''): Promise<string> => {
    const running = run('kcat', ['-q', '-b', brokers, ...args], { maxBuffer: 1 << 26 });
    running.child.stdin?.end(input);
    return (await running).stdout;
  };
  return {
    address: `kafka://${brokers}`,
    send: async (topic, values) => void (await kcat(['-P', '-t', topic], values.map((value) => `${value}\n`).join(''))),
    async read(topic) {
      const text = await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-J', '-u']);
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const { payload, headers = [] } = JSON.parse(line) as { payload: string; headers?: string[] };
          const pairs = Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i], headers[2 * i + 1]]);
          return { value: payload, headers: Object.fromEntries(pairs) as Record<string, string> };
        });
    },
    stop: stopper(child),
  };
}

async function startRedis(dir: string, modules: string): Promise<Broker> {
  const port = await freePort();
  const child = spawn('redis-server', ['--port', String(port), '--save', '', '--dir', dir], { stdio: 'ignore' });
  await reachable(port);
  const Redis = createRequire(join(modules, 'x'))('ioredis') as new (
    port: number,
  ) => {
    xadd(...args: string[]): Promise<unknown>;
    xrange(stream: string, from: string, to: string): Promise<[string, string[]][]>;
    disconnect(): void;
  };
  const client = new Redis(port);
  const stop = stopper(child);
  return {
    address: `redis://127.0.0.1:${port}`,
    async send(topic, values) {
      for (const value of values) await client.xadd(topic, '*', 'value', value, 'trace', 'a');
    },
    async read(topic) {
      return (await client.xrange(topic, '-', '+')).map(([, fields]) => {
        const pairs = Array.from({ length: fields.length / 2 }, (_, i) => [
          fields[2 * i] ?? '',
          fields[2 * i + 1] ?? '',
        ]);
        const { value = '', ...headers } = Object.fromEntries(pairs) as Record<string, string>;
        return { value, headers };
      });
    },
    async stop() {
      client.disconnect();
      await stop();
    },
  };
}

interface NatsMessage {
  readonly headers?: { keys(): string[]; get(name: string): string };
  string(): string;
}
interface JetStream {
  publish(subject: string, value: string): Promise<unknown>;
  consumers: {
    get(
      stream: string,
      options: { filter_subjects: string },
    ): Promise<{
      info(): Promise<{ num_pending: number }>;
      fetch(options: object): Promise<AsyncIterable<NatsMessage>>;
    }>;
  };
}

async function startNats(dir: string, modules: string, topics: readonly string[]): Promise<Broker> {
  const port = await freePort();
  const args = ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', join(dir, 'nats')];
  const child = spawn('nats-server', args, { stdio: 'ignore' });
  await reachable(port);
  const own = createRequire(join(modules, 'x'));
  const { connect } = own('@nats-io/transport-node') as { connect(o: object): Promise<{ close(): Promise<void> }> };
  const { jetstream, jetstreamManager } = own('@nats-io/jetstream') as {
    jetstream(connection: object): JetStream;
    jetstreamManager(connection: object): Promise<{ streams: { add(config: object): Promise<unknown> } }>;
  };
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  await (await jetstreamManager(connection)).streams.add({ name: 'all', subjects: [...topics] });
  const js = jetstream(connection);
  const stop = stopper(child);
  return {
    address: `nats://127.0.0.1:${port}`,
    async send(topic, values) {
      for (const value of values) await js.publish(topic, value);
    },
    async read(topic) {
      const consumer = await js.consumers.get('all', { filter_subjects: topic });
      const { num_pending: count } = await consumer.info();
      if (count === 0) return [];
      const found: Message[] = [];
      for await (const message of await consumer.fetch({ max_messages: count, expires: 3000 })) {
        const names = message.headers?.keys() ?? [];
        const headers = Object.fromEntries(names.map((name) => [name, message.headers?.get(name) ?? '']));
        found.push({ value: message.string(), headers });
      }
      return found;
    },
    async stop() {
      await connection.close();
      await stop();
    },
  };
}

async function startMqtt(dir: string, _modules: string, topics: readonly string[]): Promise<Broker> {
  const port = await freePort();
  await mkdir(dir, { recursive: true });
  const config = join(dir, 'mosquitto.conf');
  await writeFile(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_packet_size 200000\n`,
  );
  const child = spawn('mosquitto', ['-c', config], { stdio: 'ignore' });
  await reachable(port);
  const at = ['-h', '127.0.0.1', '-p', String(port), '-V', '5', '-q', '1'];
  const got = new Map<string, Message[]>(topics.map((topic) => [topic, []]));
  const listening = topics.flatMap((topic) => ['-t', topic]);
  const reader = spawn('mosquitto_sub', [...at, '-i', 'reader', ...listening, '-F', '%j', '-v']);
  let rest = '';
  reader.stdout.on('data', (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString('utf8')}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const { topic, payload, properties } = JSON.parse(line) as {
        topic: string;
        payload: string | null;
        properties?: { 'user-properties'?: Record<string, string> };
      };
      got.get(topic)?.push({ value: payload ?? '', headers: { ...properties?.['user-properties'] } });
    }
  });
  const [stop, stopReader] = [stopper(child), stopper(reader)];
  return {
    address: `mqtt://127.0.0.1:${port}`,
    async send(topic, values) {
      const running = run('mosquitto_pub', [...at, '-t', topic, '-l']);
      running.child.stdin?.end(values.map((value) => `${value}\n`).join(''));
      await running;
    },
    read: async (topic) => [...(got.get(topic) ?? [])],
    async stop() {
      await stopReader();
      await stop();
    },
  };
}

export const brokerKinds: readonly BrokerKind[] = [
  { scheme: 'kafka', programs: { kcat: 'kcat' }, start: startKafka },
  { scheme: 'redis', programs: { 'redis-server': 'redis-server' }, start: startRedis },
  { scheme: 'nats', programs: { 'nats-server': 'nats-server' }, largest: 1 << 20, start: startNats },
  {
    scheme: 'mqtt',
    programs: { mosquitto: 'mosquitto', mosquitto_sub: 'mosquitto-clients' },
    // A packet, whose head and topic come to a few bytes more than this leaves.
    largest: 200_000 - 20,
    start: startMqtt,
  },
];
