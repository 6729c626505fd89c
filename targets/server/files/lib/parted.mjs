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

export class Parted {
  json;
  /** What the JSON part says; undefined: it has not come, or is none. */
  request;
  #binaryLength;
  #placeFor;
  #place;
  #at = 0;

  /**
   * @param {number} json bytes of the JSON part @param {number} length bytes of the body
   * @param {(request: object | undefined, bytes: number) => { bytes: Buffer, give: () => void }} placeFor memory for what follows
   */
  constructor(json, length, placeFor) {
    this.json = Buffer.allocUnsafe(json);
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
    try {
      this.request = parse(this.json);
    } catch {
      // Said when it is this request's turn to be answered.
      this.request = undefined;
    }
    this.#place = this.#placeFor(this.request, this.#binaryLength);
    this.#at = 0;
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
