/** Redis Streams, in a consumer group. A record is an entry with the field `value`; `key` and all others go along as headers. */

import Redis from 'ioredis';
import { keepAlive } from '../keep.mjs';

const readMs = 1000;

function entryOf(stream, [id, fields]) {
  const headers = {};
  let [value, key] = [Buffer.alloc(0), null];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i].toString('utf8');
    if (name === 'value') value = fields[i + 1];
    else if (name === 'key') key = fields[i + 1];
    else headers[name] = fields[i + 1].toString('utf8');
  }
  const own = id.toString('utf8');
  return { key, value, headers, id: `${stream}/${own}`, own };
}

export async function openRedis(settings, inbox, log) {
  const { group, name, from, out, dead, ackMs } = settings;
  const stream = settings.in;
  const [host, port] = splitHost(settings.hosts[0]);
  const options = {
    host,
    port,
    ...(settings.tls && { tls: settings.certificates }),
    username: settings.username,
    password: settings.password,
    maxRetriesPerRequest: 1,
    lazyConnect: true,
  };
  // A read that waits holds its connection.
  const [reading, writing] = [new Redis(options), new Redis(options)];
  const complain = (error) => log.error({ err: error.message }, 'Redis');
  for (const one of [reading, writing]) one.on('error', complain);
  await Promise.all([reading.connect(), writing.connect()]);
  await writing.xgroup('CREATE', stream, group, from === 'earliest' ? '0' : '$', 'MKSTREAM').catch((error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  });
  const held = new Set();
  let closing = false;
  let loop = Promise.resolve();
  let endKeeping = () => {};
  /** Outages since Redis answered last, not over the life of the worker. */
  let failures = 0;

  function deliver(entries) {
    for (const entry of entries) {
      // Entries that were deleted come without fields.
      if (entry?.[1] == null) continue;
      const record = entryOf(stream, entry);
      if (held.has(record.own)) continue;
      held.add(record.own);
      inbox.push(record);
    }
  }

  /** What this worker took before it died, if it has come back under its name. */
  async function ownPending() {
    for (let after = '0'; !inbox.stopped; ) {
      await inbox.room();
      const [[, entries]] = await reading.xreadgroupBuffer(
        'GROUP',
        group,
        name,
        'COUNT',
        inbox.free || 1,
        'STREAMS',
        stream,
        after,
      );
      if (entries.length === 0) return;
      deliver(entries);
      after = entries.at(-1)[0].toString('utf8');
    }
  }

  /** What others took and did not commit for so long that they must be dead. */
  async function orphans() {
    for (let cursor = '0-0'; ; ) {
      await inbox.room();
      if (inbox.stopped) return;
      const [next, entries] = await reading.callBuffer(
        'XAUTOCLAIM',
        stream,
        group,
        name,
        ackMs,
        cursor,
        'COUNT',
        inbox.free || 1,
      );
      deliver(entries);
      cursor = next.toString('utf8');
      if (cursor === '0-0') return;
    }
  }

  async function read() {
    let looked = performance.now();
    await ownPending();
    await orphans();
    while (!inbox.stopped && !closing) {
      await inbox.room();
      if (performance.now() - looked > ackMs / 2) {
        await orphans();
        looked = performance.now();
      }
      const count = Math.max(1, inbox.free);
      const answer = await reading.xreadgroupBuffer(
        'GROUP',
        group,
        name,
        'COUNT',
        count,
        'BLOCK',
        readMs,
        'STREAMS',
        stream,
        '>',
      );
      failures = 0;
      if (answer) deliver(answer[0][1]);
    }
  }

  async function keepReading() {
    while (!inbox.stopped && !closing) {
      try {
        await read();
      } catch (error) {
        if (closing || inbox.stopped) return;
        if (++failures >= settings.tries) return inbox.fail(error);
        complain(error);
        await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 100 * 2 ** failures)));
      }
    }
  }

  /** A claim by whoever has them already makes them young again. */
  async function claimAgain() {
    const ids = inbox.held.map(({ own }) => own);
    if (ids.length > 0) await writing.xclaim(stream, group, name, 0, ...ids, 'JUSTID');
  }

  return {
    async start() {
      loop = keepReading();
      endKeeping = keepAlive(ackMs, claimAgain, complain);
    },
    async produce(place, records) {
      const target = place === 'out' ? out : dead;
      const many = writing.pipeline();
      for (const { key, value, headers } of records) {
        const fields = Object.entries(headers).flat();
        many.xadd(target, '*', ...(key === null ? [] : ['key', key]), 'value', value, ...fields);
      }
      const results = await many.exec();
      const failed = results.find(([error]) => error !== null);
      if (failed) throw failed[0];
      // Half a gigabyte is not in one record.
      return [];
    },
    async commit(records) {
      await writing.xack(stream, group, ...records.map(({ own }) => own));
      for (const { own } of records) held.delete(own);
    },
    async lag() {
      const groups = await writing.xinfo('GROUPS', stream);
      const own = groups.map(asObject).find((one) => one.name === group);
      // Redis cannot tell `lag` after entries in the middle were deleted.
      if (own === undefined || own.lag === null || own.lag === undefined) return undefined;
      return Number(own.lag) + Number(own.pending);
    },
    async close() {
      closing = true;
      endKeeping();
      reading.disconnect();
      await loop;
      await writing.quit();
    },
  };
}

function asObject(list) {
  return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]));
}

function splitHost(text) {
  const [, host, port] = text.match(/^(.*):(\d+)$/);
  return [host, Number(port)];
}
