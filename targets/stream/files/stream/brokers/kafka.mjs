/**
 * Kafka, in a consumer group. Through KafkaJS's interface, which two packages have: kafkajs, plain JavaScript that comes with this bundle, and
 * @confluentinc/kafka-javascript, librdkafka made by Confluent, which is taken where it is installed (README.md).
 */

import { unlz4, unsnappy, unzstd } from './compression.mjs';

/** What SASL is given; undefined where nobody asks. */
function saslOf({ mechanism, username, password, token }) {
  if (token !== undefined) return { mechanism, oauthBearerProvider: async () => bearer(token()) };
  return username === undefined ? undefined : { mechanism, username, password };
}

/** kafkajs wants the token; librdkafka also whose it is and until when (milliseconds), which a JWT says. Of others nothing is known: five minutes. */
function bearer(value) {
  const claims = claimsOf(value);
  const lifetime = typeof claims.exp === 'number' ? claims.exp * 1000 : Date.now() + 300_000;
  return { value, principal: String(claims.sub ?? 'worker'), lifetime };
}

/** The claims of a JWT, {} of another token. */
function claimsOf(token) {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) ?? {};
  } catch {
    return {};
  }
}

async function client(settings, log) {
  const { hosts, tls, certificates, name } = settings;
  const sasl = saslOf(settings);
  const options = {
    clientId: `mlpack-${name}`,
    brokers: hosts,
    ...(sasl !== undefined && { sasl }),
  };
  try {
    const { KafkaJS } = (await import('@confluentinc/kafka-javascript')).default;
    const kafkaJS = { ...options, ssl: tls, logLevel: KafkaJS.logLevel.ERROR };
    return { kafka: new KafkaJS.Kafka({ kafkaJS, ...librdkafkaTls(certificates) }), confluent: true };
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  const { Kafka, logLevel, CompressionTypes, CompressionCodecs } = (await import('kafkajs')).default;
  for (const [type, read] of Object.entries({ Snappy: unsnappy, LZ4: unlz4, ZSTD: unzstd }))
    CompressionCodecs[CompressionTypes[type]] = () => ({ decompress: async (bytes) => read(bytes) });
  const { ca, cert, key } = certificates;
  const ssl = tls && { ...(ca && { ca: [ca] }), ...(cert && { cert, key }) };
  // Its own lines carry a stack for each attempt and broker.
  const logCreator =
    () =>
    ({ log: { message, error, broker } }) =>
      log.warn({ broker, err: error }, message);
  return { kafka: new Kafka({ ...options, ssl, logLevel: logLevel.ERROR, logCreator }), confluent: false };
}

/** librdkafka has its own TLS, which knows nothing of Node's NODE_EXTRA_CA_CERTS. */
function librdkafkaTls({ ca, cert, key }) {
  return {
    ...(ca && { 'ssl.ca.pem': ca }),
    ...(cert && { 'ssl.certificate.pem': cert, 'ssl.key.pem': key }),
  };
}

export async function openKafka(settings, inbox, log) {
  const { group, from, out, dead, ackMs } = settings;
  const topic = settings.in;
  const { kafka, confluent } = await client(settings, log);
  const start = { fromBeginning: from === 'earliest' };
  // Whoever sends no sign of life for `ackMs` is out of the group; three signs may get lost.
  const membership = {
    groupId: group,
    sessionTimeout: ackMs,
    heartbeatInterval: Math.floor(ackMs / 4),
  };
  // The same settings stand in other places: Confluent's client takes them when it is made, kafkajs with each call.
  const made = (own) => (confluent ? { kafkaJS: own } : {});
  const called = (own) => (confluent ? {} : own);
  const consumer = kafka.consumer({
    ...made({ ...membership, autoCommit: false, ...start }),
    ...called(membership),
  });
  const producer = kafka.producer(made({ acks: -1 }));
  const admin = kafka.admin();
  await Promise.all([consumer.connect(), producer.connect(), admin.connect()]);
  await consumer.subscribe({ topics: [topic], ...called(start) });
  if (!confluent) {
    // kafkajs tries again by itself; where it gives up for good, so does the worker. librdkafka never gives up.
    consumer.on('consumer.crash', ({ payload }) => {
      if (!payload.restart) inbox.fail(payload.error);
    });
  }
  const shares = new Shares(inbox);
  // Confluent's client tells nobody.
  if (!confluent)
    consumer.on('consumer.group_join', ({ payload }) => shares.given(payload.memberAssignment[topic] ?? []));
  inbox.onFull = () => consumer.pause([{ topic }]);
  inbox.onRoom = () => consumer.resume([{ topic }]);

  return {
    async start() {
      await consumer.run({
        ...called({ autoCommit: false }),
        eachBatchAutoResolve: false,
        async eachBatch({ batch, resolveOffset, isStale }) {
          for (const { key, value, headers, offset } of batch.messages) {
            // Another worker has the partition now, or the position was set anew.
            if (isStale()) return;
            shares.push({
              key: key ?? null,
              value: value ?? Buffer.alloc(0),
              headers: textHeaders(headers),
              id: `${topic}/${batch.partition}/${offset}`,
              partition: batch.partition,
              offset: BigInt(offset),
            });
            // Resolved is not committed: it says where the next fetch begins.
            resolveOffset(offset);
          }
        },
      });
    },
    produce: (place, records) =>
      sendInParts(
        (messages) => producer.send({ topic: place === 'out' ? out : dead, messages, ...called({ acks: -1 }) }),
        records,
      ),
    async commit(records) {
      const last = new Map();
      for (const { partition, offset } of records) last.set(partition, offset + 1n);
      // Whoever has a partition now may have committed more of it: its position would go back.
      const offsets = [...last]
        .filter(([partition]) => shares.has(partition))
        .map(([partition, offset]) => ({ topic, partition, offset: String(offset) }));
      if (offsets.length === 0) return;
      try {
        await consumer.commitOffsets(offsets);
      } catch (error) {
        if (!movedOn.has(error.type)) throw error;
        // The group was shared out anew meanwhile: whoever has the partition now answers these records again.
        log.warn({ err: error.message, records: records.length }, 'not committed, the group has been shared out anew');
      }
    },
    async lag() {
      const [ends, [committed]] = await Promise.all([
        admin.fetchTopicOffsets(topic),
        admin.fetchOffsets({ groupId: group, topics: [topic] }),
      ]);
      const at = new Map(committed.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
      return ends.reduce((sum, { partition, high, low }) => {
        const position = at.get(partition) ?? -1;
        return sum + Math.max(0, Number(high) - (position < 0 ? Number(low) : position));
      }, 0);
    },
    async close() {
      await consumer.disconnect();
      await Promise.all([producer.disconnect(), admin.disconnect()]);
    },
  };
}

/**
 * Which partitions are this worker's. When the group is shared out anew, the client reads each of them from what was committed: what waits
 * comes again, here or elsewhere, and what is in hand comes again here.
 */
class Shares {
  #inbox;
  /** Undefined where nobody tells. */
  #own;
  /** Partition → last offset that is in hand and will come again. */
  #comesAgain = new Map();

  constructor(inbox) {
    this.#inbox = inbox;
  }

  has(partition) {
    return this.#own?.has(partition) ?? true;
  }

  /** @param {number[]} partitions from now on */
  given(partitions) {
    this.#own = new Set(partitions);
    this.#inbox.drop(() => true);
    this.#comesAgain = new Map(this.#inbox.inHand.map(({ partition, offset }) => [partition, offset]));
  }

  push(record) {
    const { partition, offset } = record;
    if (offset <= (this.#comesAgain.get(partition) ?? -1n)) return;
    this.#comesAgain.delete(partition);
    this.#inbox.push(record);
  }
}

/**
 * Kafka's limit is on what goes to a partition at once: where that is too large each half is sent by itself, down to the record that is so alone.
 * @param send messages → Promise @returns [{ record, why }] what the broker does not take
 */
export async function sendInParts(send, records) {
  try {
    await send(records.map(({ key, value, headers }) => ({ key, value, headers })));
    return [];
  } catch (error) {
    if (!tooLarge.has(error.type)) throw error;
    if (records.length === 1) return [{ record: records[0], why: error.message }];
    const half = Math.ceil(records.length / 2);
    const first = await sendInParts(send, records.slice(0, half));
    return [...first, ...(await sendInParts(send, records.slice(half)))];
  }
}

/** Of the broker, by kafkajs; of the broker and of librdkafka's own limit (message.max.bytes), by Confluent's client. */
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'ERR_MSG_SIZE_TOO_LARGE']);

/** Of both clients, what says that this worker's part of the group is another one now. */
const movedOn = new Set(
  ['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS'].flatMap((type) => [type, `ERR_${type}`]),
);

/** Headers of other programs may hold any bytes or stand twice; text and the last one are handed on. */
function textHeaders(headers) {
  const entries = Object.entries(headers ?? {}).map(([name, value]) => {
    const last = Array.isArray(value) ? value.at(-1) : value;
    return [name, last === undefined || last === null ? '' : last.toString('utf8')];
  });
  return Object.fromEntries(entries);
}
