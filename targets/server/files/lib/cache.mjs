/** Answers kept by what they depend on: the model's digest, the outputs asked for, and every byte of the inputs. */

import { createHash } from 'node:crypto';
import { datatype, fromBytes, toBytes } from './datatypes.mjs';

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

/** The other way round; undefined where the bytes are not whole. */
export function unpackResults(bytes) {
  if (bytes.length < 4) return undefined;
  let at = 4 + bytes.readUInt32LE(0);
  if (at > bytes.length) return undefined;
  const entries = JSON.parse(bytes.toString('utf8', 4, at)).map(({ name, type, dims, size }) => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const data = datatype(type) && fromBytes(type, bytes.subarray(at, at + size), count);
    at += size;
    return [name, { dims, data }];
  });
  return Object.fromEntries(entries);
}

/** Least recently used first out, bounded by bytes; entries end after their time. */
export class MemoryStore {
  #entries = new Map();
  #bytes = 0;

  constructor({ bytes, ttlSeconds, now = Date.now }) {
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

/** A cache that several servers share. A Redis that is slow or away is a miss, never an error of the request. */
export class RedisStore {
  #client;
  #ttlSeconds;

  static async open(url, { ttlSeconds, log }) {
    const { Redis } = await import('ioredis');
    const client = new Redis(url, { maxRetriesPerRequest: 1, enableOfflineQueue: false, commandTimeout: 250 });
    let complained = 0;
    client.on('error', (error) => {
      if (Date.now() - complained < 60_000) return;
      complained = Date.now();
      log.warn({ err: error }, 'the cache cannot be reached; requests go on without it');
    });
    return new RedisStore(client, ttlSeconds);
  }

  constructor(client, ttlSeconds) {
    this.#client = client;
    this.#ttlSeconds = ttlSeconds;
  }

  get(key) {
    return this.#client.getBuffer(`mlpack:${key}`).then((value) => value ?? undefined);
  }

  set(key, value) {
    return this.#client.set(`mlpack:${key}`, value, 'EX', this.#ttlSeconds);
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
