/** NATS JetStream: a durable pull consumer that all workers of the group share. Streams for the three subjects must be there. */

import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers as newHeaders } from '@nats-io/transport-node';
import { keepAlive } from '../keep.mjs';

export async function openNats(settings, inbox, log) {
  const { hosts, tls, username, password, certificates, group, from, out, dead, ackMs } = settings;
  const subject = settings.in;
  const connection = await connect({
    servers: hosts,
    name: `mlpack-${settings.name}`,
    maxReconnectAttempts: settings.tries,
    ...(tls && { tls: certificates }),
    // A password without a name is a token.
    ...(username === undefined ? password !== undefined && { token: password } : { user: username, pass: password }),
  });
  void connection.closed().then((error) => {
    if (error) inbox.fail(error);
  });
  const manager = await jetstreamManager(connection);
  const stream = await manager.streams.find(subject);
  const known = await manager.consumers.info(stream, group).catch((error) => {
    if (error.name !== 'ConsumerNotFoundError' && error.code !== 10014) throw error;
    return undefined;
  });
  // A consumer that somebody made before keeps its own.
  const waitsMs = known === undefined ? ackMs : known.config.ack_wait / 1e6;
  if (known === undefined) {
    await manager.consumers.add(stream, {
      durable_name: group,
      filter_subject: subject,
      ack_policy: AckPolicy.Explicit,
      ack_wait: ackMs * 1e6,
      deliver_policy: from === 'earliest' ? DeliverPolicy.All : DeliverPolicy.New,
    });
  }
  const js = jetstream(connection);
  const consumer = await js.consumers.get(stream, group);
  let closing = false;
  let loop = Promise.resolve();
  let endKeeping = () => {};

  async function keepReading() {
    for (let failures = 0; !inbox.stopped && !closing; ) {
      await inbox.room();
      if (inbox.stopped || closing) return;
      try {
        const messages = await consumer.fetch({ max_messages: Math.max(1, inbox.free), expires: 1000 });
        for await (const message of messages) inbox.push(recordOf(message));
        failures = 0;
      } catch (error) {
        if (closing || inbox.stopped) return;
        if (++failures >= settings.tries) return inbox.fail(error);
        log.error({ err: error.message }, 'NATS');
        await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 100 * 2 ** failures)));
      }
    }
  }

  function recordOf(message) {
    const headers = Object.fromEntries(
      (message.headers?.keys() ?? []).map((name) => [name, message.headers.last(name)]),
    );
    return {
      key: null,
      value: Buffer.from(message.data),
      headers,
      id: `${stream}/${message.info.streamSequence}`,
      message,
    };
  }

  return {
    async start() {
      loop = keepReading();
      endKeeping = keepAlive(
        waitsMs,
        async () => inbox.held.forEach(({ message }) => message.working()),
        (error) => log.warn({ err: error.message }, 'NATS was not told that its messages are being worked at'),
      );
    },
    async produce(place, records) {
      const refused = [];
      await Promise.all(
        records.map(async (record) => {
          const { value, headers } = record;
          const carried = newHeaders();
          for (const [name, text] of Object.entries(headers)) {
            // The server's own headers belong to the message that came in.
            if (!name.startsWith('Nats-')) carried.set(name, text);
          }
          try {
            // The server drops a second one of the same id within the stream's duplicate window (2 minutes by default).
            await js.publish(place === 'out' ? out : dead, value, {
              headers: carried,
              msgID: `${group}/${headers['mlpack-source']}`,
            });
          } catch (error) {
            if (!isTooLarge(error)) throw error;
            refused.push({ record, why: error.message });
          }
        }),
      );
      return refused;
    },
    async commit(records) {
      const answers = await Promise.all(records.map(({ message }) => message.ackAck()));
      // Not acknowledged in time, it goes to somebody again.
      const lost = answers.filter((done) => !done).length;
      if (lost > 0) log.warn({ records: lost }, 'not committed, the server did not confirm');
    },
    async lag() {
      const info = await consumer.info();
      return info.num_pending + info.num_ack_pending;
    },
    async close() {
      closing = true;
      endKeeping();
      await loop;
      await connection.drain();
    },
  };
}

/** By the client for the server's max_payload, by the server for the stream's max_msg_size (10054). */
function isTooLarge({ name, code, message }) {
  return code === 10054 || (name === 'InvalidArgumentError' && message.includes('max_payload'));
}
