/** Who the worker is to the broker and whom it trusts: from the environment or from files that it names, never from the command line. */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

export class SettingsError extends Error {}

/** What Kafka brokers ask for by SASL. */
const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'];

/** `<name>_FILE` where it is set, else `<name>`. */
function secret(env, name) {
  const path = env[`${name}_FILE`];
  if (!path) return env[name] || undefined;
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new SettingsError(`${name}_FILE: "${path}" cannot be read (${error.code})`);
  }
}

/** @returns { ca, cert, key } as PEM, those that are set. @throws SettingsError */
function certificates(env, tls) {
  const names = { ca: 'STREAM_CA', cert: 'STREAM_CERT', key: 'STREAM_KEY' };
  const given = Object.entries(names)
    .map(([part, name]) => [part, secret(env, name)])
    .filter(([, pem]) => pem !== undefined);
  const parts = Object.fromEntries(given);
  if (given.length > 0 && !tls)
    throw new SettingsError(
      `${names[given[0][0]]} is set, and the address of the broker is without TLS: its scheme ends in an s (kafkas://, natss://, mqtts://, rediss://)`,
    );
  if ((parts.cert === undefined) !== (parts.key === undefined))
    throw new SettingsError('STREAM_CERT and STREAM_KEY belong together: the certificate of this worker and its key');
  try {
    if (parts.ca !== undefined) new X509Certificate(parts.ca);
  } catch (error) {
    throw new SettingsError(`STREAM_CA holds no certificate in PEM: ${error.message}`);
  }
  try {
    createSecureContext(parts);
  } catch (error) {
    throw new SettingsError(`STREAM_CERT and STREAM_KEY are no certificate and its key in PEM: ${error.message}`);
  }
  return parts;
}

/**
 * @param {Record<string, string | undefined>} env
 * @param {{ kind: string, tls: boolean }} address @param {string | undefined} login the mechanism that the bundle was made for
 * @returns { username, password, mechanism, certificates, token? } token(): what stands in STREAM_TOKEN_FILE now, for oauthbearer
 * @throws SettingsError
 */
export function readSecrets(env, { kind, tls }, login) {
  const [username, password] = [secret(env, 'STREAM_USERNAME'), secret(env, 'STREAM_PASSWORD')];
  const asked = env.STREAM_SASL_MECHANISM || login;
  if (kind !== 'kafka') return { username, password, mechanism: undefined, certificates: certificates(env, tls) };
  const mechanism = (asked || 'plain').toLowerCase();
  if (!mechanisms.includes(mechanism))
    throw new SettingsError(`STREAM_SASL_MECHANISM is one of ${mechanisms.join(', ')}, not "${asked}"`);
  if (mechanism === 'oauthbearer') return { mechanism, token: tokenOf(env), certificates: certificates(env, tls) };
  if ((username === undefined) !== (password === undefined))
    throw new SettingsError('STREAM_USERNAME and STREAM_PASSWORD belong together: SASL takes both');
  if (asked && username === undefined)
    throw new SettingsError(`SASL ${mechanism} needs STREAM_USERNAME and STREAM_PASSWORD (or …_FILE)`);
  return { username, password, mechanism, certificates: certificates(env, tls) };
}

/** Tokens run out, so whoever gets them (a projected service account, a sidecar) writes new ones into the same file, which is read at each login. */
function tokenOf(env) {
  if (!env.STREAM_TOKEN_FILE)
    throw new SettingsError('SASL oauthbearer needs STREAM_TOKEN_FILE, the file that holds the token');
  const read = () => secret(env, 'STREAM_TOKEN');
  if (!read()) throw new SettingsError(`STREAM_TOKEN_FILE: "${env.STREAM_TOKEN_FILE}" is empty`);
  return read;
}
