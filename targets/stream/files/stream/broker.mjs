/**
 * One interface for all brokers. A record is { key: Buffer | null, value: Buffer, headers: Record<string, string>, id } and what its broker
 * needs to commit it.
 *
 *   start()                 begins to push records into the inbox; holds back while it is full
 *   produce(place, records) place 'out' or 'dead'; resolves when the broker has them, with those that it does not take at any time since they are
 *                           larger than it allows: [{ record, why }]
 *   commit(records)         those of one `take`, whole
 *   lag()                   records that the broker holds and the group has not committed; undefined where it cannot tell
 *   close()
 */

const open = {
  kafka: async (...given) => (await import('./brokers/kafka.mjs')).openKafka(...given),
  nats: async (...given) => (await import('./brokers/nats.mjs')).openNats(...given),
  mqtt: async (...given) => (await import('./brokers/mqtt.mjs')).openMqtt(...given),
  redis: async (...given) => (await import('./brokers/redis.mjs')).openRedis(...given),
};

/** @throws what the broker's client says where it cannot be reached */
export async function openBroker(settings, inbox, log) {
  try {
    return await open[settings.kind](settings, inbox, log);
  } catch (error) {
    const scheme = settings.tls ? `${settings.kind}s` : settings.kind;
    throw new Error(`${scheme}://${settings.hosts.join()}: ${error.message}`, { cause: error });
  }
}
