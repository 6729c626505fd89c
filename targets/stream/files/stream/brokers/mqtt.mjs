/**
 * MQTT 5, quality of service 1, as a shared subscription: `$share/<group>/<in>`. PUBACK is the commit. The session outlives the connection
 * (`--name` is its id), so that what was not committed comes again; what was on its way to a worker that never comes back stays
 * with its session until that expires.
 */

import mqtt from 'mqtt';
import packets from 'mqtt-packet';

const sessionSeconds = 3600;
/** MQTT cannot hand out more at once. */
const largestWindow = 65_535;

/** Reason code of a PUBACK. */
const packetTooLarge = 0x95;

export async function openMqtt(settings, inbox, log) {
  const { hosts, tls, username, password, certificates, group, name, out, dead } = settings;
  const client = mqtt.connect(`${tls ? 'mqtts' : 'mqtt'}://${hosts[0]}`, {
    protocolVersion: 5,
    clientId: `mlpack-${group}-${name}`,
    clean: false,
    username,
    password,
    ...certificates,
    reconnectPeriod: 1000,
    // The broker sends no more than that without a PUBACK: this is the back-pressure.
    properties: { sessionExpiryInterval: sessionSeconds, receiveMaximum: Math.min(largestWindow, inbox.limit) },
  });
  let number = 0;
  // An error from here means "no PUBACK now" and goes no further: it comes with the commit, on the same connection.
  const later = new Error('acknowledged with the commit');
  client.handleMessage = ({ topic, payload, messageId, qos, dup, properties }, done) => {
    const known = dup && inbox.inHand.find((one) => one.messageId === messageId && one.value.equals(payload));
    // It comes again since the connection is another one, on which it will be acknowledged.
    if (known) known.stream = client.stream;
    else
      inbox.push({
        key: null,
        value: Buffer.from(payload),
        headers: { ...properties?.userProperties },
        // MQTT numbers no messages: this tells apart what one run of the worker took, not more.
        id: `${topic}/${name}/${process.pid}/${number++}`,
        messageId,
        stream: client.stream,
        qos,
      });
    done(qos === 0 ? undefined : later);
  };
  // Before any record of this connection. A broker that still knows the session sends again what was not acknowledged; one that does not has
  // forgotten it, and what waits here is all there is.
  client.on('packetreceive', ({ cmd, sessionPresent }) => {
    if (cmd === 'connack' && sessionPresent) inbox.drop(({ qos }) => qos > 0);
  });
  // The handler is there before the answer to CONNECT: right behind it come the records of the session.
  let largestPacket = largestOf(await connected(client));
  client.on('error', (error) => log.error({ err: error.message }, 'MQTT'));

  /** @returns why the broker does not take the record, which is for its size; undefined where it has it */
  async function publish(topic, { value: payload, headers }) {
    const options = { qos: 1, properties: { userProperties: headers } };
    const packet = { ...options, cmd: 'publish', topic, payload, messageId: 1, dup: false, retain: false };
    const { length } = packets.generate(packet, { protocolVersion: 5 });
    // The client would send it again and again, and the broker close the connection each time.
    if (length > largestPacket) return `a packet of ${length} bytes, and the broker takes ${largestPacket}`;
    try {
      await client.publishAsync(topic, payload, options);
    } catch (error) {
      if (error.code !== packetTooLarge) throw error;
      return error.message;
    }
    return undefined;
  }

  let outages = 0;
  client.on('close', () => {
    if (++outages >= settings.tries) inbox.fail(new Error('the broker is gone'));
  });
  client.on('connect', (packet) => {
    outages = 0;
    largestPacket = largestOf(packet);
  });
  return {
    async start() {
      await client.subscribeAsync(`$share/${group}/${settings.in}`, { qos: 1 });
    },
    async produce(place, records) {
      const refused = [];
      await Promise.all(
        records.map(async (record) => {
          const why = await publish(place === 'out' ? out : dead, record);
          if (why !== undefined) refused.push({ record, why });
        }),
      );
      return refused;
    },
    async commit(records) {
      for (const { messageId, stream, qos } of records) {
        // It came on a connection that is gone, and has not come again yet.
        if (qos === 0 || stream !== client.stream) continue;
        stream.write(packets.generate({ cmd: 'puback', messageId, reasonCode: 0 }, { protocolVersion: 5 }));
      }
    },
    /** MQTT tells nobody how much waits. */
    lag: async () => undefined,
    async close() {
      await client.endAsync();
    },
  };
}

/** Bytes of a packet that the broker takes, as it says itself. */
const largestOf = ({ properties }) => properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;

/** @returns the broker's CONNACK */
function connected(client) {
  return new Promise((resolve, reject) => {
    const fail = (error) => {
      client.end(true);
      reject(error);
    };
    const closed = () => fail(new Error('the broker cannot be reached'));
    client.once('error', fail);
    client.once('close', closed);
    client.once('connect', (packet) => {
      client.off('error', fail);
      client.off('close', closed);
      resolve(packet);
    });
  });
}
