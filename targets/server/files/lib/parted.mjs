/** A body whose JSON part says, before the rest has come, where that belongs. */

import { parse } from './request.mjs';

/** A longer JSON part describes something rare; it is read as one piece with the rest. */
const longest = 8192;

/** Bytes of the JSON part before binary tensors, where a body has both. */
export function jsonPart(headers, length) {
  const text = headers['inference-header-content-length'];
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined;
  const json = Number(text);
  return json > 0 && json <= longest && json < length ? json : undefined;
}

/** A JSON part of up to this many bytes is kept for the next request; that of one binary tensor has 150. Each connection keeps one. */
const kept = 1024;

/**
 * What a connection said last: clients say the same again and again, and only the bytes behind it differ.
 * @property {Buffer} json @property {object} request what that says @property {object} [plan] of `readParts`
 */
export class Memory {
  json;
  request;
  plan;
}

export class Parted {
  json;
  /** What the JSON part says; undefined: it has not come, or is none. */
  request;
  #memory;
  #binaryLength;
  #placeFor;
  #place;
  #at = 0;

  /**
   * @param {number} json bytes of the JSON part @param {number} length bytes of the body
   * @param {(request: object | undefined, bytes: number) => { bytes: Buffer, give: () => void }} placeFor memory for what follows
   * @param {Memory} memory of the connection
   */
  constructor(json, length, placeFor, memory) {
    this.json = Buffer.allocUnsafe(json);
    this.#memory = memory;
    this.#binaryLength = length - json;
    this.#placeFor = placeFor;
  }

  /** @param {Buffer} chunk is copied */
  add(chunk) {
    let from = 0;
    if (this.#place === undefined) {
      from = chunk.copy(this.json, this.#at);
      this.#at += from;
      if (this.#at < this.json.length) return;
      this.#jsonIsHere();
    }
    if (from < chunk.length) this.#at += chunk.copy(this.#place.bytes, this.#at, from);
  }

  #jsonIsHere() {
    const memory = this.#memory;
    if (memory.json?.equals(this.json)) this.request = memory.request;
    else {
      // A plan is for what was said.
      Object.assign(memory, { json: undefined, request: undefined, plan: undefined });
      try {
        this.request = parse(this.json);
        this.#remember();
      } catch {
        // Said when it is this request's turn to be answered.
        this.request = undefined;
      }
    }
    this.#place = this.#placeFor(this.request, this.#binaryLength);
    this.#at = 0;
  }

  #remember() {
    if (this.json.length > kept) return;
    this.#memory.request = this.request;
    // Memory of its own: small buffers are parts of larger ones, which would stay with it.
    this.#memory.json = Buffer.allocUnsafeSlow(this.json.length);
    this.json.copy(this.#memory.json);
  }

  /** Set by `readParts`, for the next request that says the same; undefined after one that could not be read. */
  get plan() {
    return this.request === this.#memory.request ? this.#memory.plan : undefined;
  }

  set plan(plan) {
    if (this.request !== undefined && this.request === this.#memory.request) this.#memory.plan = plan;
  }

  /** Where the next bytes may be read to. */
  room() {
    return this.#place?.bytes.subarray(this.#at);
  }

  filled(count) {
    this.#at += count;
  }

  /** The binary tensors, as far as they have come. */
  get binary() {
    return this.#place.bytes.subarray(0, this.#at);
  }

  give() {
    this.#place?.give();
  }
}
