/** What the worker is told: flags of the command line, else the environment (`--in` or STREAM_IN), else the bundle's stream.json. */

import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { readSecrets, SettingsError } from './secrets.mjs';

const flags = {
  broker: { type: 'string' },
  in: { type: 'string' },
  out: { type: 'string' },
  dead: { type: 'string' },
  group: { type: 'string' },
  name: { type: 'string' },
  columns: { type: 'string', multiple: true },
  keep: { type: 'string' },
  from: { type: 'string' },
  batch: { type: 'string' },
  'wait-ms': { type: 'string' },
  'ack-ms': { type: 'string' },
  tries: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
};

/** Scheme of the address → which broker speaks behind it, its usual port, and whether through TLS. */
const brokers = {
  kafka: { kind: 'kafka', port: 9092, tls: false },
  kafkas: { kind: 'kafka', port: 9093, tls: true },
  nats: { kind: 'nats', port: 4222, tls: false },
  natss: { kind: 'nats', port: 4222, tls: true },
  mqtt: { kind: 'mqtt', port: 1883, tls: false },
  mqtts: { kind: 'mqtt', port: 8883, tls: true },
  redis: { kind: 'redis', port: 6379, tls: false },
  rediss: { kind: 'redis', port: 6379, tls: true },
};

/** @returns { kind, hosts: ['a:9092'], tls } @throws SettingsError */
export function readAddress(text) {
  const [, scheme, list] = text.match(/^([a-z]+):\/\/([^/@\s]+)$/) ?? [];
  const known = Object.hasOwn(brokers, scheme) ? brokers[scheme] : undefined;
  if (known === undefined)
    throw new SettingsError(
      `--broker is one of ${Object.keys(brokers).join('://…, ')}://… with hosts and nothing else (name and password: STREAM_USERNAME, STREAM_PASSWORD), not "${text}"`,
    );
  const hosts = list.split(',').map((host) => (/:\d+$/.test(host) ? host : `${host}:${known.port}`));
  return { kind: known.kind, tls: known.tls, hosts };
}

function whole(name, text, min, max) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new SettingsError(`--${name} is a whole number from ${min} to ${max}, not "${text}"`);
  return value;
}

function columnsOf(texts) {
  const entries = texts.map((text) => {
    const [, input, list] = text.match(/^([^=]*)=(.*)$/s) ?? [];
    if (!list) throw new SettingsError(`--columns is <input>=<column>,<column>…, not "${text}"`);
    return [input, list.split(',')];
  });
  return Object.fromEntries(entries);
}

/**
 * @param {string[]} args @param {Record<string, string | undefined>} env
 * @param {Record<string, string>} bundle stream.json: what the bundle was made for
 * @throws SettingsError
 */
export function readSettings(args, env, bundle) {
  let values;
  let positionals;
  try {
    ({ values, positionals } = parseArgs({ args, options: flags, allowPositionals: true }));
  } catch (error) {
    throw new SettingsError(error.message);
  }
  if (positionals.some((one) => one !== '-') || positionals.length > 1)
    throw new SettingsError(`"${positionals.join(' ')}" is no flag; "-" alone reads JSON Lines from stdin`);
  const variable = (name) => env[`STREAM_${name.replaceAll('-', '_').toUpperCase()}`] || undefined;
  const text = (name, fallback) => values[name] ?? variable(name) ?? bundle[name] ?? fallback;
  const number = (name, fallback, min, max) => whole(name, text(name, fallback), min, max);
  const from = text('from', 'earliest');
  if (!['earliest', 'latest'].includes(from)) throw new SettingsError(`--from is earliest or latest, not "${from}"`);
  const lines = positionals.length === 1;
  const address = readAddress(text('broker', ''));
  const settings = {
    lines,
    ...address,
    // Lines on stdin come from no broker, and nobody asks who reads them.
    ...(lines ? {} : readSecrets(env, address, bundle.login)),
    in: text('in'),
    out: text('out'),
    dead: text('dead'),
    group: text('group'),
    name: text('name', hostname()),
    columns: columnsOf(values.columns ?? variable('columns')?.split(';') ?? []),
    keep: (text('keep', '') || undefined)?.split(',') ?? [],
    from,
    batch: number('batch', '0', 0, 100_000),
    // What a record waits at most for others to run with, when none are there yet; see docs/streaming.md for what it costs and gains.
    waitMs: number('wait-ms', '5', 0, 60_000),
    // Kafka's own session timeout.
    ackMs: number('ack-ms', '45000', 1000, 3_600_000),
    tries: number('tries', '10', 1, 1000),
    port: number('port', '9090', 0, 65_535),
    host: text('host', '127.0.0.1'),
  };
  for (const name of ['in', 'out', 'dead', 'group']) {
    if (!settings[name]) throw new SettingsError(`--${name} is missing`);
  }
  if (new Set([settings.in, settings.out, settings.dead]).size < 3)
    throw new SettingsError('--in, --out and --dead must be three different ones: what goes out would come in again');
  return settings;
}
