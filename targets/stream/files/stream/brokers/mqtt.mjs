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
  client.handleMessage = ({ topic, payload, messageId, qos, properties }, done) => {
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
  // The handler is there before the answer to CONNECT: right behind it come the records of the session.
  await connected(client);
  client.on('error', (error) => log.error({ err: error.message }, 'MQTT'));
  let outages = 0;
  client.on('close', () => {
    if (++outages >= settings.tries) inbox.fail(new Error('the broker is gone'));
  });
  client.on('connect', () => (outages = 0));
  return {
    async start() {
      await client.subscribeAsync(`$share/${group}/${settings.in}`, { qos: 1 });
    },
    async produce(place, records) {
      await Promise.all(
        records.map(({ value, headers }) =>
          client.publishAsync(place === 'out' ? out : dead, value, { qos: 1, properties: { userProperties: headers } }),
        ),
      );
    },
    async commit(records) {
      for (const { messageId, stream, qos } of records) {
        // After a reconnect the broker sends it again under another number.
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

function connected(client) {
  return new Promise((resolve, reject) => {
    const fail = (error) => {
      client.end(true);
      reject(error);
    };
    const closed = () => fail(new Error('the broker cannot be reached'));
    client.once('error', fail);
    client.once('close', closed);
    client.once('connect', () => {
      client.off('error', fail);
      client.off('close', closed);
      resolve();
    });
  });
}
