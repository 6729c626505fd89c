/** The streaming worker with real brokers: Kafka is librdkafka's mock cluster, which kcat hosts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import { stream } from '../../targets/stream/index.ts';
import type { Login } from '../../targets/stream/place.ts';
import { makeArtifact } from './support/artifact.ts';
import { type Broker, brokerKinds, type Message } from './support/brokers.ts';
import { validateManifests } from './support/manifests.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('stream') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');
/** The same bundle with a broker whose worker is killed when it is about to commit for the third time. */
const mortal = join(dir, 'mortal');

/** Three numbers in, their sum and twice their sum out. */
const sums = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,3] x) => (float[n,2] y)
<float[3,2] w = {1, 2, 1, 2, 1, 2}>
{
  y = MatMul (x, w)
}`;

const row = (i: number): string => JSON.stringify({ id: i, x: [i, i + 1, i + 2] });
const answerOf = (i: number): object => ({ id: i, y: [3 * i + 3, 6 * i + 6] });
const idOf = ({ value }: Message): number => (JSON.parse(value) as { id: number }).id;

interface Worker {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  printed(): string;
}

function start(place: string, address: string, names: string, more: readonly string[] = []): Worker {
  const flags = ['--broker', address, '--in', `${names}-in`, '--out', `${names}-out`, '--dead', `${names}-dead`];
  const args = [
    'run-stream.mjs',
    ...flags,
    '--group',
    `${names}-group`,
    '--name',
    'one',
    '--keep',
    'id',
    '--port',
    '0',
  ];
  const child = spawn(process.execPath, [...args, ...more], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
  let printed = '';
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')));
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, exit, printed: () => printed };
}

async function until(what: string, holds: () => Promise<boolean> | boolean, worker?: Worker): Promise<void> {
  for (let tried = 0; tried < 600; tried++) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error(`${what} did not happen: ${worker?.printed() ?? ''}`);
}

async function drained(worker: Worker): Promise<void> {
  worker.child.kill('SIGTERM');
  expect(await worker.exit, worker.printed()).toBe(0);
  expect(worker.printed()).toContain('"stopped"');
}

describe.skipIf(modules === '')('stream', () => {
  beforeAll(async () => {
    const feeds = [{ x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) }];
    await buildBundle(stream, { ...(await makeArtifact(dir, sums, feeds)), name: 'sums' }, {}, bundle);
    await cp(bundle, mortal, { recursive: true });
    for (const place of [bundle, mortal]) await symlink(modules, join(place, 'node_modules'));
    await rename(join(mortal, 'stream/broker.mjs'), join(mortal, 'stream/immortal.mjs'));
    await writeFile(
      join(mortal, 'stream/broker.mjs'),
      `import { openBroker as open } from './immortal.mjs';
export async function openBroker(...given) {
  const broker = await open(...given);
  let commits = 0;
  return { ...broker, commit: (records) => (++commits === 3 ? process.kill(process.pid, 'SIGKILL') : broker.commit(records)) };
}\n`,
    );
  });

  // Most of the time is waiting for brokers: side by side.
  describe.concurrent.each(brokerKinds)('over $scheme', ({ scheme, programs, largest, start: startBroker }) => {
    const missing = Object.entries(programs).filter(([program]) => !has(program));
    if (missing.length > 0) {
      note(
        `no ${missing.map(([program]) => program).join(', ')} on this machine (Debian: ${missing.map(([, name]) => name).join(', ')}): the worker is not tried over ${scheme}`,
      );
    }
    let broker: Broker;
    const topics = ['a', 'b', 'c'].flatMap((names) => ['in', 'out', 'dead'].map((one) => `${names}-${one}`));

    beforeAll(async () => {
      if (missing.length > 0) return;
      await mkdir(join(dir, scheme));
      broker = await startBroker(join(dir, scheme), modules, topics);
    });
    afterAll(() => broker?.stop());

    it.skipIf(missing.length > 0)(
      'answers every record, puts aside what it cannot use, and ends when told',
      async () => {
        const count = 500;
        const values = Array.from({ length: count }, (_, i) => (i % 100 === 50 ? `{"id":${i},"x":[1]}` : row(i)));
        values.splice(10, 0, 'not json');
        // Kafka's topics come to be with the first record, the subscriptions of MQTT with the worker.
        if (scheme !== 'mqtt') await broker.send('a-in', values);
        const port = await freePort();
        const worker = start(bundle, broker.address, 'a', ['--port', String(port)]);
        await until('ready', () => worker.printed().includes('"ready"'), worker);
        if (scheme === 'mqtt') await broker.send('a-in', values);
        await until('all answers', async () => (await broker.read('a-out')).length >= count - 5, worker);
        await until('dead letters', async () => (await broker.read('a-dead')).length >= 6, worker);
        const answers = await broker.read('a-out');
        const expected = Array.from({ length: count }, (_, i) => i).filter((i) => i % 100 !== 50);
        expect(answers.map(idOf).sort((a, b) => a - b)).toEqual(expected);
        for (const answer of answers) expect(JSON.parse(answer.value)).toEqual(answerOf(idOf(answer)));
        expect(new Set(answers.map(({ headers }) => headers['mlpack-source'])).size).toBe(expected.length);
        expect(answers[0]?.headers['mlpack-model']).toMatch(/^sums@sha256:[0-9a-f]{64}$/);
        if (scheme === 'redis') expect(answers[0]?.headers.trace).toBe('a');
        const dead = await broker.read('a-dead');
        expect(dead.map(({ value }) => value).sort()).toEqual(
          values.filter((value) => !value.includes(',') || value.endsWith('[1]}')).sort(),
        );
        expect(new Set(dead.map(({ headers }) => headers['mlpack-error']))).toEqual(
          new Set(['the line is not JSON', 'column "x" has 1 elements, and the input "x" takes [3]']),
        );
        const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
        expect(metrics).toContain(`mlpack_stream_records_total{outcome="answered"} ${count - 5}`);
        expect(metrics).toContain('mlpack_stream_records_total{outcome="dead"} 6');
        if (scheme !== 'mqtt') expect(metrics).toMatch(/^mlpack_stream_lag 0$/m);
        expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200);
        await drained(worker);
      },
      60_000,
    );

    it.skipIf(missing.length > 0)(
      'loses nothing when it is killed between produce and commit',
      async () => {
        const count = 200;
        const values = Array.from({ length: count }, (_, i) => row(i));
        const small = ['--batch', '4', '--ack-ms', '3000'];
        if (scheme !== 'mqtt') await broker.send('b-in', values);
        const first = start(mortal, broker.address, 'b', small);
        if (scheme === 'mqtt') {
          await until('ready', () => first.printed().includes('"ready"'), first);
          await broker.send('b-in', values);
        }
        await first.exit;
        expect(first.child.signalCode, first.printed()).toBe('SIGKILL');
        const second = start(bundle, broker.address, 'b', small);
        const ids = async (): Promise<number[]> => (await broker.read('b-out')).map(idOf);
        await until('all answers', async () => new Set(await ids()).size === count, second);
        // What had been produced and not committed comes again: at least once. JetStream drops it by its id.
        if (scheme !== 'nats') await until('the batch a second time', async () => (await ids()).length > count, second);
        else expect(await ids()).toHaveLength(count);
        expect(await broker.read('b-dead')).toEqual([]);
        await drained(second);
      },
      90_000,
    );

    it.skipIf(missing.length > 0 || largest === undefined)(
      'puts aside a record whose answer is larger than the broker takes, and goes on',
      async () => {
        // As long as may be; the sums have more digits than the numbers.
        const x = '"x":[0.1,0.1,0.1]';
        const long = `{${x},"id":"${'a'.repeat((largest ?? 0) - x.length - 10)}"}`;
        const shorter = `{${x},"id":"${'b'.repeat((largest ?? 0) - x.length - 10 - 600)}"}`;
        const values = [row(1), long, row(2), shorter, row(3)];
        if (scheme !== 'mqtt') await broker.send('c-in', values);
        const worker = start(bundle, broker.address, 'c');
        await until('ready', () => worker.printed().includes('"ready"'), worker);
        if (scheme === 'mqtt') await broker.send('c-in', values);
        await until('three answers', async () => (await broker.read('c-out')).length >= 3, worker);
        await until('a dead letter', async () => (await broker.read('c-dead')).length > 0, worker);
        await drained(worker);
        const ids = (await broker.read('c-out')).map(({ value }) =>
          String((JSON.parse(value) as { id: unknown }).id).slice(0, 3),
        );
        const dead = await broker.read('c-dead');
        expect([ids, dead.map(({ value, headers }) => [value.length, headers['mlpack-error']])]).toEqual([
          ['1', '2', 'bbb', '3'],
          [
            [
              0,
              expect.stringMatching(
                /^the broker does not take the answer of \d+ bytes: .*the record of \d+ bytes is left out/,
              ),
            ],
          ],
        ]);
        expect(worker.printed()).not.toContain('cannot produce');
      },
      60_000,
    );
  });

  it('takes bytes that are no text for no record', async () => {
    const load = (name: string): Promise<unknown> => import(pathToFileURL(join(bundle, `stream/${name}.mjs`)).href);
    const { Inbox } = (await load('inbox')) as {
      Inbox: new (limit: number) => { push(r: object): void; stop(): void };
    };
    const { work } = (await load('work')) as { work(parts: object): Promise<void> };
    const inbox = new Inbox(8);
    const value = Buffer.from('{"x":[1,2,3],"id":"caf\xe9"}', 'latin1');
    inbox.push({ key: null, value, headers: {}, id: 'in/0/7' });
    const produced: [string, { value: Buffer; headers: object }[]][] = [];
    const broker = {
      produce: async (place: string, records: { value: Buffer; headers: object }[]) => {
        produced.push([place, records]);
        return [];
      },
      commit: async () => inbox.stop(),
    };
    const quiet = { warn: () => {}, error: () => {} };
    const model = { batch: 1, pool: { size: 1, idle: 1 }, info: { inputs: [], outputs: [] } };
    const settings = { waitMs: 1, tries: 1, columns: {}, keep: [] };
    await work({ model, inbox, broker, settings, metrics: { done: () => {} }, log: quiet });
    expect(produced.map(([place]) => place)).toEqual(['dead']);
    expect(produced[0]?.[1]).toMatchObject([
      { value, headers: { 'mlpack-source': 'in/0/7', 'mlpack-error': 'the record is not UTF-8' } },
    ]);
  });

  it('sends to Kafka in parts what is too large at once, in order, and says what is so alone', async () => {
    const { sendInParts } = (await import(pathToFileURL(join(bundle, 'stream/brokers/kafka.mjs')).href)) as {
      sendInParts(
        send: (messages: { value: Buffer }[]) => Promise<void>,
        records: { value: Buffer }[],
      ): Promise<{ record: object; why: string }[]>;
    };
    const own = createRequire(join(modules, 'x'));
    const { createErrorFromCode } = own('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): Error };
    const taken: number[] = [];
    const send = async (messages: { value: Buffer }[]): Promise<void> => {
      // MESSAGE_TOO_LARGE as kafkajs has it.
      if (messages.reduce((sum, { value }) => sum + value.length, 0) > 100) throw createErrorFromCode(10);
      taken.push(...messages.map(({ value }) => value.length));
    };
    const sizes = [40, 41, 42, 101, 43, 44, 102, 45];
    const records = sizes.map((size) => ({ value: Buffer.alloc(size), place: size }));
    const refused = await sendInParts(send, records);
    expect(taken).toEqual([40, 41, 42, 43, 44, 45]);
    expect(refused.map(({ record }) => record)).toEqual([records[3], records[6]]);
    expect(refused[0]?.why).toContain('larger than the max message size');
    const gone = new Error('gone');
    await expect(sendInParts(() => Promise.reject(gone), records)).rejects.toBe(gone);
  });

  it.skipIf(!has('redis-server'))('counts outages of Redis in a row, not over the life of the worker', async () => {
    const load = (path: string): Promise<unknown> => import(pathToFileURL(join(bundle, `stream/${path}.mjs`)).href);
    const { Inbox } = (await load('inbox')) as {
      Inbox: new (limit: number) => { take(most: number, ms: number): Promise<{ id: string }[]>; stop(): void };
    };
    const { openRedis } = (await load('brokers/redis')) as {
      openRedis(
        settings: object,
        inbox: object,
        log: object,
      ): Promise<{ start(): Promise<void>; close(): Promise<void> }>;
    };
    await mkdir(join(dir, 'outages'));
    const broker = await brokerKinds[1]?.start(join(dir, 'outages'), modules, []);
    if (broker === undefined) throw new Error('no Redis');
    const Redis = createRequire(join(modules, 'x'))('ioredis') as new (
      address: string,
    ) => {
      xgroup(...args: string[]): Promise<unknown>;
      disconnect(): void;
    };
    const client = new Redis(broker.address);
    const inbox = new Inbox(8);
    let errors = 0;
    const names = { in: 'rows', out: 'answers', dead: 'dead', group: 'group', name: 'one', from: 'latest' };
    const settings = { ...names, hosts: [broker.address.replace('redis://', '')], ackMs: 45_000, tries: 2 };
    const worker = await openRedis(settings, inbox, { error: () => errors++ });
    await worker.start();
    for (let outage = 1; outage <= 3; outage++) {
      await client.xgroup('DESTROY', 'rows', 'group');
      await until('an error', () => errors === outage);
      await client.xgroup('CREATE', 'rows', 'group', '$');
      await broker.send('rows', [row(outage)]);
      expect(await inbox.take(1, 0)).toHaveLength(1);
    }
    inbox.stop();
    await worker.close();
    client.disconnect();
    await broker.stop();
  });

  it('refuses settings with one sentence', async () => {
    const cases: [string[], string][] = [
      [['--broker', 'amqp://x'], '--broker is one of kafka://…, '],
      [['--broker', 'kafka://u:p@h'], 'STREAM_PASSWORD'],
      [['--batch', 'many'], '--batch is a whole number'],
      [['--in', 'a', '--out', 'a'], 'must be three different ones'],
      [['--from', 'here'], '--from is earliest or latest'],
      [['--nonsense'], "Unknown option '--nonsense'"],
      [['file.csv'], '"file.csv" is no flag'],
    ];
    await Promise.all(
      cases.map(async ([args, message]) => {
        const child = spawn(process.execPath, ['run-stream.mjs', ...args], { cwd: bundle });
        let text = '';
        child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
        expect(await new Promise((resolve) => child.once('close', resolve)), text).toBe(2);
        expect(text).toContain(message);
        expect(text.trim().split('\n')).toHaveLength(1);
      }),
    );
  });
});

describe('deploy files of the stream bundle', () => {
  it.each([
    ['kafka://a:9092,b:9092', { type: 'kafka', metadata: { bootstrapServers: 'a:9092,b:9092', topic: 'rows' } }],
    ['redis://cache', { type: 'redis-streams', metadata: { address: 'cache:6379', stream: 'rows' } }],
    ['nats://n:4222', { type: 'nats-jetstream', metadata: { natsServerMonitoringEndpoint: 'n:8222', stream: 'rows' } }],
    ['mqtts://m', { type: 'cpu' }],
  ])('for %s are what Kubernetes, KEDA and the Prometheus operator take', async (broker, trigger) => {
    const artifact = await makeArtifact(await tempDir(), sums, [
      { x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) },
    ]);
    const out = join(await tempDir(), 'bundle');
    await buildBundle(stream, { ...artifact, name: 'Su_ms' }, { broker, in: 'rows' }, out);
    const text = (name: string): Promise<string> => readFile(join(out, 'deploy/kubernetes', name), 'utf8');
    const scaled = await text('scaledobject.yaml');
    expect(await validateManifests(scaled)).toEqual(['keda.sh/v1alpha1/ScaledObject']);
    expect(parse(scaled)).toMatchObject({ spec: { scaleTargetRef: { name: 'su-ms-stream' }, triggers: [trigger] } });
    expect(await validateManifests(await text('podmonitor.yaml'))).toEqual(['monitoring.coreos.com/v1/PodMonitor']);
    expect(await validateManifests(await text('serviceaccount.yaml'))).toEqual(['v1/ServiceAccount']);
    const deployment = await text('deployment.yaml');
    expect(deployment).not.toMatch(/__[A-Z]+__/);
    expect(deployment).toContain(`value: "${broker}"`);
    expect(await readFile(join(out, 'README.md'), 'utf8')).toContain('At least once');
  });

  it('come with commands for the port that the broker has', async () => {
    const artifact = await makeArtifact(await tempDir(), sums, [
      { x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) },
    ]);
    const commands = async (broker: string): Promise<string[]> => {
      const out = join(await tempDir(), 'bundle');
      await buildBundle(stream, artifact, { broker, in: 'rows' }, out);
      return (await readFile(join(out, 'README.md'), 'utf8')).match(/^mosquitto_\w+ .*(?= -q 1)/gm) ?? [];
    };
    expect(await commands('mqtt://m:1884')).toEqual(['mosquitto_sub -h m -p 1884', 'mosquitto_pub -h m -p 1884']);
    expect(await commands('mqtt://m')).toEqual(['mosquitto_sub -h m', 'mosquitto_pub -h m']);
  });

  it.each([
    [
      'kafkas://a',
      'scram-sha-512',
      { tls: 'enable', sasl: 'scram_sha512' },
      ['username', 'password', 'ca', 'cert', 'key'],
    ],
    ['rediss://r', 'password', { enableTLS: 'true' }, ['username', 'password', 'ca', 'cert', 'key']],
    ['kafka://a', 'plain', { sasl: 'plaintext' }, ['username', 'password']],
  ])('let KEDA ask %s too, as %s', async (broker, login, metadata, keys) => {
    const artifact = await makeArtifact(await tempDir(), sums, [
      { x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) },
    ]);
    const out = join(await tempDir(), 'bundle');
    await buildBundle(stream, { ...artifact, name: 'm' }, { broker, login: login as Login }, out);
    const text = await readFile(join(out, 'deploy/kubernetes/scaledobject.yaml'), 'utf8');
    expect(await validateManifests(text)).toEqual([
      'keda.sh/v1alpha1/ScaledObject',
      'keda.sh/v1alpha1/TriggerAuthentication',
    ]);
    const [scaled, who] = parseAllDocuments(text).map((document) => document.toJS() as object);
    expect(scaled).toMatchObject({ spec: { triggers: [{ metadata, authenticationRef: { name: 'm-stream' } }] } });
    const secretTargetRef = keys.map((key) => ({ parameter: key, name: 'm-stream', key }));
    expect(who).toEqual(expect.objectContaining({ metadata: { name: 'm-stream' }, spec: { secretTargetRef } }));
    const deployment = await readFile(join(out, 'deploy/kubernetes/deployment.yaml'), 'utf8');
    // The worker reads the same keys of the same secret.
    for (const key of keys) expect(deployment).toContain(`name: m-stream\n                  key: ${key}\n`);
    expect(JSON.parse(await readFile(join(out, 'stream.json'), 'utf8')).login).toBe(
      login === 'password' ? undefined : login,
    );
  });

  it('are refused for what is no broker, and for names that would break out of their line', () => {
    const options = { broker: 'kafka://k', login: 'none', in: '', out: '', dead: '', group: '', image: '' } as const;
    const artifact = { name: 'm', files: [], inputs: [], outputs: [], opsets: {}, irVersion: 8, ops: {} };
    const because = (change: object): string =>
      stream.supports(artifact as never, { ...options, ...change }).because.join();
    expect(because({})).toBe('');
    expect(because({ broker: 'http://x' })).toContain('"http://x" is not the address of a broker');
    expect(because({ in: 'a"\nb' })).toContain('letters, digits');
    expect(because({ out: 'm-in' })).toContain('three different ones');
    expect(because({ login: 'password' })).toContain('Kafka asks by SASL');
    expect(because({ broker: 'rediss://r', login: 'plain' })).toContain("one of Kafka's");
    expect(because({ broker: 'rediss://r', login: 'password' })).toBe('');
  });
});
