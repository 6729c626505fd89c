/** Settings, read from the environment once at start. README.md lists them. */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { memoryLimit } from './cpu.mjs';

/** A setting that cannot be used. `message` is one sentence that names it. */
export class SettingsError extends Error {
  name = 'SettingsError';
}

function integer(env, name, fallback, min, max) {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
    throw new SettingsError(`${name} must be a whole number from ${min} to ${max}, and is "${text}"`);
  }
  return value;
}

function oneOf(env, name, fallback, values) {
  const value = env[name] || fallback;
  if (!values.includes(value))
    throw new SettingsError(`${name} must be one of ${values.join(', ')}, and is "${value}"`);
  return value;
}

function file(env, name) {
  const path = env[name];
  if (path === undefined || path === '') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new SettingsError(`${name}: "${path}" cannot be read (${error.code})`);
  }
}

/** Keys, one a line or separated by commas, each `key` or `name:key`; from NAME and from the file that NAME_FILE names. */
function keys(env, name) {
  const texts = [env[name] ?? '', file(env, `${name}_FILE`) ?? ''];
  const lines = texts.flatMap((text) => text.split(/[\n,]/)).map((line) => line.trim());
  const given = lines.filter((line) => line !== '' && !line.startsWith('#'));
  // Without keys everybody may ask: whoever names a file or writes something wants that not.
  if (given.length === 0 && (texts[0] !== '' || env[`${name}_FILE`]))
    throw new SettingsError(
      `${name}: there is no key in ${env[`${name}_FILE`] ? `"${env[`${name}_FILE`]}"` : JSON.stringify(texts[0])}`,
    );
  return given.map((line, i) => {
    const [, label = `key ${i + 1}`, key] = line.match(/^(?:([\w.-]+):)?(.+)$/);
    if (key.length < 16) throw new SettingsError(`${name}: ${label} is shorter than 16 characters`);
    return { label, key };
  });
}

function version(env, name, fallback, words) {
  const value = env[name] || fallback;
  if (!words.includes(value) && !/^[1-9]\d{0,15}$/.test(value)) {
    throw new SettingsError(`${name} must be ${words.join(', ')} or the number of a version, and is "${value}"`);
  }
  return value;
}

/** Certificate and key in PEM; undefined where none are named. @throws SettingsError */
export function readTls(env) {
  const [cert, key] = [file(env, 'TLS_CERT_FILE'), file(env, 'TLS_KEY_FILE')];
  if ((cert === undefined) !== (key === undefined))
    throw new SettingsError('TLS_CERT_FILE and TLS_KEY_FILE belong together');
  if (cert === undefined) return undefined;
  try {
    // An empty file would be taken for none.
    new X509Certificate(cert);
    createSecureContext({ cert, key });
  } catch (error) {
    const names = `"${env.TLS_CERT_FILE}" and "${env.TLS_KEY_FILE}"`;
    throw new SettingsError(
      `TLS_CERT_FILE and TLS_KEY_FILE: ${names} are no certificate and its key in PEM (${error.message})`,
    );
  }
  return { cert, key };
}

function address(env, name, protocols) {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    // Not shown: it may hold a password, and logs are read by many.
    throw new SettingsError(`${name} must be an address that begins with ${protocols.join('// or ')}//`);
  }
  return text;
}

/** A path that a platform calls. Undefined: it calls none. */
function route(env, name) {
  const path = env[name] || undefined;
  if (path !== undefined && !/^\/[\w.~%:@!$&'+,;=/-]*$/.test(path))
    throw new SettingsError(`${name} must be a path that begins with "/", and is "${path}"`);
  // The router takes them for one, and has some already.
  return path?.replace(/(?<=.)\/+$/, '');
}

const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const megabyte = 1024 * 1024;

export function readConfig(env) {
  return { ...network(env), ...sessions(env), ...queue(env), ...protection(env), ...observation(env) };
}

function network(env) {
  return {
    host: env.HOST || '127.0.0.1',
    // Vertex AI says its port in AIP_HTTP_PORT, most others in PORT.
    port: integer(env, 'PORT', integer(env, 'AIP_HTTP_PORT', 8080, 0, 65535), 0, 65535),
    /** 0: no gRPC. */
    grpcPort: integer(env, 'GRPC_PORT', 0, 0, 65535),
    bodyLimit: integer(env, 'BODY_LIMIT_BYTES', 64 * megabyte, 1024, 2 ** 31 - 1),
    /** Bytes of request bodies that may be on their way at once, in all. */
    inflightBytes: integer(env, 'INFLIGHT_BYTES', defaultInflight(), 1024, Number.MAX_SAFE_INTEGER),
    /** JSON answers from this size on are compressed for clients that ask for it; 0: never. */
    compressMin: integer(env, 'COMPRESS_MIN_BYTES', 2048, 0, 2 ** 31 - 1),
    requestTimeoutMs: integer(env, 'REQUEST_TIMEOUT_MS', 30_000, 100, 3_600_000),
    drainMs: integer(env, 'DRAIN_MS', 25_000, 0, 3_600_000),
    tls: readTls(env),
    vertex: { health: route(env, 'AIP_HEALTH_ROUTE'), predict: route(env, 'AIP_PREDICT_ROUTE') },
  };
}

/** An eighth of the memory: a body is held as it came, as numbers and as part of a batch. At least one of the largest. */
function defaultInflight() {
  return Math.max(64 * megabyte, Math.floor(memoryLimit() / 8));
}

function sessions(env) {
  return {
    modelsDir: env.MODELS_DIR ?? '',
    reloadSeconds: integer(env, 'RELOAD_SECONDS', 10, 0, 86_400),
    keepVersions: integer(env, 'KEEP_VERSIONS', 2, 1, 100),
    /** 0: as many as CPUs, by the container's quota (cpu.mjs). */
    workers: integer(env, 'WORKERS', 0, 0, 1024),
    /** Whether runs are in the thread that speaks HTTP; auto: where nothing else could be done meanwhile (placing.mjs). */
    inline: oneOf(env, 'INLINE', 'auto', ['auto', 'on', 'off']),
    threads: integer(env, 'INTRA_OP_THREADS', 0, 0, 1024),
    modelTimeoutMs: integer(env, 'MODEL_TIMEOUT_MS', 30_000, 10, 3_600_000),
    breakerFailures: integer(env, 'BREAKER_FAILURES', 5, 0, 1_000_000),
    breakerResetMs: integer(env, 'BREAKER_RESET_MS', 10_000, 10, 3_600_000),
    fallback: version(env, 'FALLBACK_VERSION', 'previous', ['previous', 'none']),
    shadow: version(env, 'SHADOW_VERSION', 'none', ['none']),
    shadowPercent: integer(env, 'SHADOW_PERCENT', 100, 0, 100),
  };
}

function queue(env) {
  return {
    /** 0: found out by timing at start; 1: no batches. */
    batchMax: integer(env, 'BATCH_MAX', 0, 0, 65_536),
    /** Measured with 0 to 3 ms (docs/server.md): 1.3 to 1.6 times the requests where batches pay, nothing lost where they do not; 3 ms adds little. */
    batchDelayMs: integer(env, 'BATCH_DELAY_MS', 2, 0, 10_000),
    batchTuneMs: integer(env, 'BATCH_TUNE_MS', 100, 0, 60_000),
    /** 0: by what the model answers in a second (served.mjs). */
    queueLimit: integer(env, 'QUEUE_LIMIT', 0, 0, 1_000_000),
    queueBytes: integer(env, 'QUEUE_BYTES', defaultInflight(), 1024, Number.MAX_SAFE_INTEGER),
    queueTimeoutMs: integer(env, 'QUEUE_TIMEOUT_MS', 10_000, 1, 3_600_000),
    cacheBytes: integer(env, 'CACHE_BYTES', 0, 0, Number.MAX_SAFE_INTEGER),
    cacheTtlSeconds: integer(env, 'CACHE_TTL_SECONDS', 300, 1, 31_536_000),
    redis: address(env, 'REDIS_URL', ['redis:', 'rediss:']),
  };
}

function protection(env) {
  return {
    keys: keys(env, 'API_KEYS'),
    adminKeys: keys(env, 'ADMIN_KEYS'),
    /** Requests a second for each key, or for each address where there are no keys; 0: no limit. */
    rateLimit: integer(env, 'RATE_LIMIT', 0, 0, 1_000_000),
    rateBurst: integer(env, 'RATE_BURST', 0, 0, 1_000_000),
  };
}

function observation(env) {
  return {
    logLevel: oneOf(env, 'LOG_LEVEL', 'info', levels),
    logRequests: oneOf(env, 'LOG_REQUESTS', 'on', ['on', 'off']) === 'on',
    traces: address(env, 'OTEL_EXPORTER_OTLP_ENDPOINT', ['http:', 'https:']),
    traceName: env.OTEL_SERVICE_NAME || 'mlpack-server',
    /** Requests whose predictions are remembered until their labels come. Each takes 0.3 kB (50,000: 17 MB, measured). */
    feedbackRequests: integer(env, 'FEEDBACK_REQUESTS', 10_000, 0, 10_000_000),
    driftRows: integer(env, 'DRIFT_ROWS', 1000, 0, 1_000_000),
  };
}
