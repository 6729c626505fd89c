/** Answers kept by what they depend on: the model's digest, the outputs asked for, and every byte of the inputs. */

import { createHash } from 'node:crypto';
import { fromBytes, toBytes } from './datatypes.mjs';

/** @returns {string} the key of a request; the order of its inputs does not matter */
export function cacheKey(info, feeds, outputs) {
  const hash = createHash('sha256').update(`${info.digest}\n${JSON.stringify(outputs)}\n`);
  for (const { name, dtype, shape, data } of [...feeds].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const type = info.inputs.find((input) => input.name === name).datatype;
    hash.update(`${JSON.stringify([name, dtype, shape])}\n`).update(toBytes(type, data));
  }
  return hash.digest('hex');
}

/** Results as bytes: length of the head, head (names, types, shapes, sizes) as JSON, elements. */
export function packResults(info, results) {
  const parts = [];
  const rows = Object.entries(results).map(([name, { dims, data }]) => {
    const type = info.outputs.find((output) => output.name === name).datatype;
    const bytes = toBytes(type, data);
    parts.push(bytes);
    return { name, type, dims, size: bytes.length };
  });
  const head = Buffer.from(JSON.stringify(rows), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([length, head, ...parts]);
}

/** The other way round; undefined where they are not these outputs: whoever shares a Redis may have written them. */
export function unpackResults(info, bytes, names) {
  if (bytes.length < 4) return undefined;
  const from = 4 + bytes.readUInt32LE(0);
  if (from > bytes.length) return undefined;
  try {
    return resultsIn(info, JSON.parse(bytes.toString('utf8', 4, from)), bytes.subarray(from), names);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function resultsIn(info, rows, elements, names) {
  let at = 0;
  const entries = rows.map(({ name, type, dims, size }) => {
    if (info.outputs.find((output) => output.name === name)?.datatype !== type) throw new TypeError('another output');
    if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) throw new TypeError('no shape');
    const count = dims.reduce((product, dim) => product * dim, 1);
    const data = fromBytes(type, elements.subarray(at, at + size), count);
    at += size;
    return [name, { dims, data }];
  });
  const results = Object.fromEntries(entries);
  return names.every((name) => Object.hasOwn(results, name)) ? results : undefined;
}

/** Least recently used first out, bounded by bytes; entries end after their time. */
export class MemoryStore {
  #entries = new Map();
  #bytes = 0;

  constructor({ bytes, ttlSeconds, now = () => performance.now() }) {
    this.limit = bytes;
    this.ttlMs = ttlSeconds * 1000;
    this.now = now;
  }

  async get(key) {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (this.now() > entry.until) {
      this.#bytes -= entry.value.length;
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry.value;
  }

  async set(key, value) {
    if (value.length > this.limit) return;
    const before = this.#entries.get(key);
    if (before !== undefined) this.#bytes -= before.value.length;
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.now() + this.ttlMs });
    this.#bytes += value.length;
    while (this.#bytes > this.limit) {
      const [oldest, { value: gone }] = this.#entries.entries().next().value;
      this.#entries.delete(oldest);
      this.#bytes -= gone.length;
    }
  }

  async close() {
    this.#entries.clear();
  }
}

/** Milliseconds that requests wait for Redis at most. */
const patienceMs = 250;
/** Milliseconds for which a Redis that did not answer is left alone. */
const pauseMs = 5000;

/**
 * A cache that several servers share. A Redis that is away is a miss, never an error of the request. One that hangs holds up what is asked at that
 * moment; then it is not asked, but by one request in each `pauseMs`.
 */
export class RedisStore {
  #client;
  #ttlSeconds;
  #now;
  /** Until when it is not asked. */
  #pausedUntil = 0;

  static async open(url, { ttlSeconds, log }) {
    const { Redis } = await import('ioredis');
    const client = new Redis(url, { maxRetriesPerRequest: 1, enableOfflineQueue: false, commandTimeout: patienceMs });
    let complained = Number.NEGATIVE_INFINITY;
    client.on('error', (error) => {
      if (performance.now() - complained < 60_000) return;
      complained = performance.now();
      log.warn({ err: error }, 'the cache cannot be reached; requests go on without it');
    });
    return new RedisStore(client, ttlSeconds);
  }

  constructor(client, ttlSeconds, now = () => performance.now()) {
    this.#client = client;
    this.#ttlSeconds = ttlSeconds;
    this.#now = now;
  }

  get(key) {
    return this.#ask(() => this.#client.getBuffer(`mlpack:${key}`)).then((value) => value ?? undefined);
  }

  set(key, value) {
    return this.#ask(() => this.#client.set(`mlpack:${key}`, value, 'EX', this.#ttlSeconds));
  }

  async #ask(command) {
    const at = this.#now();
    if (at < this.#pausedUntil) return undefined;
    // Others do not wait for the first one that tries again.
    if (this.#pausedUntil > 0) this.#pausedUntil = at + pauseMs;
    try {
      const answer = await command();
      this.#pausedUntil = 0;
      return answer;
    } catch (error) {
      this.#pausedUntil = this.#now() + pauseMs;
      throw error;
    }
  }

  async close() {
    this.#client.disconnect();
  }
}

/** The store that the settings ask for; undefined: no cache. */
export async function openCache(config, log) {
  if (config.redis !== undefined) return RedisStore.open(config.redis, { ttlSeconds: config.cacheTtlSeconds, log });
  if (config.cacheBytes > 0) return new MemoryStore({ bytes: config.cacheBytes, ttlSeconds: config.cacheTtlSeconds });
  return undefined;
}
