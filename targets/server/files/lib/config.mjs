/** Settings, read from the environment once at start. README.md lists them. */

function integer(env, name, fallback, min, max) {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${name} must be a whole number from ${min} to ${max}, and is "${text}"`);
  }
  return value;
}

const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

export function readConfig(env) {
  const logLevel = env.LOG_LEVEL || 'info';
  if (!levels.includes(logLevel))
    throw new Error(`LOG_LEVEL must be one of ${levels.join(', ')}, and is "${logLevel}"`);
  return {
    host: env.HOST || '127.0.0.1',
    // Vertex AI says its port in AIP_HTTP_PORT, most others in PORT.
    port: integer(env, 'PORT', integer(env, 'AIP_HTTP_PORT', 8080, 0, 65535), 0, 65535),
    bodyLimit: integer(env, 'BODY_LIMIT_BYTES', 64 * 1024 * 1024, 1024, 2 ** 31 - 1),
    requestTimeoutMs: integer(env, 'REQUEST_TIMEOUT_MS', 30_000, 100, 3_600_000),
    drainMs: integer(env, 'DRAIN_MS', 25_000, 0, 3_600_000),
    /** 0: ONNX Runtime decides (one thread per physical core of the host, whatever the container's share is). */
    threads: integer(env, 'INTRA_OP_THREADS', 0, 0, 1024),
    logLevel,
  };
}
