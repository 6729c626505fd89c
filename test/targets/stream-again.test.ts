/** Records that the broker gives out again while a worker has them: each is answered once. */

import { symlinkSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { stream } from '../../targets/stream/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { type Broker, brokerKinds } from './support/brokers.ts';
import { installedModules } from './support/modules.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('stream') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');

interface Record {
  readonly id: string;
  readonly value: Buffer;
  readonly partition: number;
  readonly offset: bigint;
}
interface InboxLike {
  readonly held: Record[];
  readonly length: number;
  take(most: number, waitMs: number): Promise<Record[]>;
  done(): void;
  stop(): void;
  push(record: object): void;
}
interface BrokerLike {
  start(): Promise<void>;
  commit(records: Record[]): Promise<void>;
  lag(): Promise<number | undefined>;
  close(): Promise<void>;
}

const load = async (path: string): Promise<unknown> => import(pathToFileURL(join(bundle, `stream/${path}.mjs`)).href);
const names = { in: 'a-in', out: 'a-out', dead: 'a-dead', group: 'group', from: 'earliest', tries: 10 };
const log = { warn: () => {}, error: () => {}, info: () => {} };
const values = (records: readonly Record[]): string[] => records.map(({ value }) => value.toString()).sort();
const rows = (count: number): string[] => Array.from({ length: count }, (_, i) => `row ${String(i).padStart(3, '0')}`);

async function inbox(limit = 1000): Promise<InboxLike> {
  const { Inbox } = (await load('inbox')) as { Inbox: new (limit: number) => InboxLike };
  return new Inbox(limit);
}

async function open(scheme: string, address: string, into: InboxLike, more: object): Promise<BrokerLike> {
  const { openBroker } = (await load('broker')) as { openBroker(...given: unknown[]): Promise<BrokerLike> };
  const hosts = [address.replace(/^\w+:\/\//, '')];
  const settings = { ...names, kind: scheme, hosts, tls: false, certificates: {}, name: 'one', ackMs: 45_000, ...more };
  return openBroker(settings, into, log);
}

async function started(scheme: string): Promise<Broker> {
  const place = join(dir, `${scheme}-${Math.random()}`);
  await mkdir(place, { recursive: true });
  const broker = await brokerKinds.find((kind) => kind.scheme === scheme)?.start(place, modules, ['a-in', 'a-out']);
  if (broker === undefined) throw new Error(`no ${scheme}`);
  return broker;
}

const missing = (scheme: string): boolean =>
  modules === '' ||
  Object.keys(brokerKinds.find((kind) => kind.scheme === scheme)?.programs ?? {}).some((program) => !has(program));

/** A way to a port that can be cut. */
async function cuttable(port: number): Promise<{ port: number; cut(): void; close(): void }> {
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of open) socket.destroy();
    open.clear();
  };
  return { port: (server.address() as { port: number }).port, cut, close: () => (server.close(), cut()) };
}

describe.skipIf(modules === '')('records that come again', () => {
  beforeAll(async () => {
    const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,3] x) => (float[n,3] y) { y = Abs (x) }`;
    const feeds = [{ x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [1, 3]) }];
    await buildBundle(stream, await makeArtifact(dir, text, feeds), {}, bundle);
    symlinkSync(modules, join(bundle, 'node_modules'));
  });

  it.skipIf(missing('kafka'))(
    'are not answered twice when a Kafka group is shared out anew',
    async () => {
      const broker = await started('kafka');
      const all = rows(200);
      // Each time to a partition of its own choice.
      for (let at = 0; at < 200; at += 20) await broker.send('a-in', all.slice(at, at + 20));
      const [first, second] = [await inbox(), await inbox()];
      // Heartbeats, at which a group is shared out anew, come four times in that.
      const ackMs = 12_000;
      const one = await open('kafka', broker.address, first, { ackMs });
      await one.start();
      await expect.poll(() => first.length, { timeout: 20_000 }).toBe(200);
      const taken = await first.take(20, 0);
      const two = await open('kafka', broker.address, second, { name: 'two', ackMs });
      await two.start();
      // The group is shared out at a heartbeat of the first, and once more where that one came too late.
      await expect.poll(() => second.length > 0 && first.length > 0, { timeout: 75_000 }).toBe(true);
      await one.commit(taken);
      first.done();
      // What was in hand of a partition that went to the other comes there once more; all else is in one place, once.
      const has = new Set(second.held.map(({ partition }) => partition));
      await expect
        .poll(() => first.held.length + second.held.length, { timeout: 20_000 })
        .toBe(200 - taken.filter(({ partition }) => !has.has(partition)).length);
      await sleep(500);
      expect(first.held.filter(({ partition }) => has.has(partition))).toEqual([]);
      const inHand = taken.filter(({ partition }) => !has.has(partition));
      expect(values([...inHand, ...first.held, ...second.held])).toEqual(all);
      for (const into of [first, second]) into.stop();
      await Promise.all([one.close(), two.close()]);
      await broker.stop();
    },
    180_000,
  );

  it.skipIf(missing('mqtt'))(
    'are not answered twice after MQTT has lost its connection',
    async () => {
      const broker = await started('mqtt');
      const way = await cuttable(Number(broker.address.split(':').at(-1)));
      const into = await inbox(64);
      const worker = await open('mqtt', `mqtt://127.0.0.1:${way.port}`, into, {});
      await worker.start();
      const all = rows(10);
      await broker.send('a-in', all);
      await expect.poll(() => into.length, { timeout: 10_000 }).toBe(10);
      const taken = await into.take(3, 0);
      way.cut();
      await sleep(3000);
      expect(values(into.held)).toEqual(all);
      await worker.commit(taken);
      into.done();
      await sleep(500);
      way.cut();
      await sleep(3000);
      expect(values([...taken, ...into.held])).toEqual(all);
      into.stop();
      await worker.close();
      way.close();
      await broker.stop();
    },
    60_000,
  );

  it.skipIf(missing('nats'))(
    'do not come again from NATS while they are worked at',
    async () => {
      const broker = await started('nats');
      await broker.send('a-in', rows(4));
      const into = await inbox();
      const worker = await open('nats', broker.address, into, { ackMs: 1000 });
      await worker.start();
      await expect.poll(() => into.length, { timeout: 10_000 }).toBe(4);
      const taken = await into.take(2, 0);
      await sleep(4000);
      expect(values(into.held)).toEqual(rows(4));
      await worker.commit(taken);
      into.done();
      await worker.commit(await into.take(2, 0));
      into.done();
      expect(await worker.lag()).toBe(0);
      into.stop();
      await worker.close();
      await broker.stop();
    },
    60_000,
  );

  it.skipIf(missing('redis'))(
    'do not go to another worker of Redis while they are worked at',
    async () => {
      const broker = await started('redis');
      await broker.send('a-in', rows(4));
      // Full: it does not look for what others have left, either.
      const [first, second] = [await inbox(4), await inbox()];
      const one = await open('redis', broker.address, first, { ackMs: 1000 });
      await one.start();
      await expect.poll(() => first.length, { timeout: 10_000 }).toBe(4);
      const two = await open('redis', broker.address, second, { ackMs: 1000, name: 'two' });
      await two.start();
      await sleep(4000);
      expect(values(second.held)).toEqual([]);
      // A worker that is gone keeps nothing.
      first.stop();
      await one.close();
      await expect.poll(() => second.length, { timeout: 10_000 }).toBe(4);
      second.stop();
      await two.close();
      await broker.stop();
    },
    60_000,
  );
});
