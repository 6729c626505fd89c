/** One request for inference and its answer, on whatever wire it came (direct.mjs, front.mjs). */

import { Ticket } from './admission.mjs';
import { answerTo, encodingOf, requestId } from './answers.mjs';
import { bodyPadding, Fixed } from './body.mjs';
import { compress } from './encoding.mjs';
import { jsonPart, Memory, Parted } from './parted.mjs';
import { readParts, readRequest } from './request.mjs';
import { writeResponse } from './response.mjs';

const path = /^\/v2\/models\/([\w.-]{1,100})(?:\/versions\/([\w.-]{1,100}))?\/infer$/;
const json = 'application/json; charset=utf-8';
/** None of them means anything here, but Fastify refuses what is not one. */
const plainType = /^[\w.+-]+\/[\w.+-]+(?:; ?charset=[\w-]+)?$/;

/**
 * What a request for inference of the plain kind asks for: a body of declared length that is not compressed, a path in which
 * nothing needs to be decoded (Fastify takes names up to the same length). Undefined: it is of another kind.
 * @returns {{ model: string, version: string | undefined, length: number } | undefined}
 */
export function plainInference(url, headers, bodyLimit) {
  const length = headers['content-length'];
  if (length === undefined || Number(length) > bodyLimit) return undefined;
  if (headers['content-encoding'] !== undefined || !plainType.test(headers['content-type'] ?? json)) return undefined;
  const named = path.exec(url);
  return named === null ? undefined : { model: named[1], version: named[2], length: Number(length) };
}

export class Exchange {
  #services;
  #wire;
  #asked;
  #id;
  #begun = performance.now();
  #ticket = new Ticket();
  #body;
  #whole = false;
  #sent = false;
  /** Calls off what waits for a session; set while something does. */
  #gone;

  /**
   * @param services as buildApp has them, `log`, and `discarded`, which counts bytes of garbage outside of the heap
   * @param wire { url, headers, socket, memory?, send(status, headers: string[], bytes) }: headers as name, value, name, value …
   *   memory: what the connection said before
   * @param asked of plainInference
   */
  constructor(services, wire, asked) {
    this.#services = services;
    this.#wire = wire;
    this.#asked = asked;
    this.#id = requestId(wire.headers['x-request-id']);
  }

  /** Before the body comes. What is refused is answered at once, and its body is thrown away. */
  begin() {
    const { admission, buffers } = this.#services;
    const { headers, socket, memory = new Memory() } = this.#wire;
    const { length } = this.#asked;
    try {
      admission.admit(this.#ticket, headers, socket, length);
      const json = jsonPart(headers, length);
      const place = (request, bytes) => this.#placeFor(request, bytes);
      this.#body =
        json === undefined ? new Fixed(buffers, length, bodyPadding(headers)) : new Parted(json, length, place, memory);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Where binary tensors go: into a batch where that can be, else into memory of their own. */
  #placeFor(request, bytes) {
    const { models, buffers } = this.#services;
    const { model, version } = this.#asked;
    const place = models.known(model, version)?.placeFor(request, bytes);
    if (place !== undefined) return place;
    const own = buffers.take(bytes);
    return { bytes: Buffer.from(own, 0, bytes), give: () => buffers.give(own) };
  }

  /** @param {Uint8Array} chunk is copied */
  add(chunk) {
    this.#body?.add(chunk);
  }

  /** Memory that the next bytes of the body may be read to, without a copy; undefined: give them to `add`. */
  room() {
    return this.#body?.room();
  }

  /** @param {number} count bytes that were read to `room` */
  filled(count) {
    this.#body.filled(count);
  }

  /** The body has come in full. */
  async answer() {
    this.#whole = true;
    // Refused, and answered.
    if (this.#body === undefined) return;
    const { models, inference } = this.#services;
    const header = this.#wire.headers['inference-header-content-length'];
    const body = this.#body;
    try {
      const served = models.find(this.#asked.model, this.#asked.version);
      const read = () =>
        body instanceof Parted ? readParts(served.info, body) : readRequest(served.info, body.bytes(), header);
      const whenGone = (act) => {
        this.#gone = act;
      };
      const { info, id, outputs, answer } = await inference.serve(served, read, { whenGone, requestId: this.#id });
      const begun = performance.now();
      const { body: bytes, jsonLength } = writeResponse(info, id, outputs, answer.results);
      answer.done(performance.now() - begun);
      // What the model gave, and the answer's own copy.
      this.#services.discarded(2 * bytes.length);
      if (jsonLength === undefined) await this.#sendJson(bytes);
      else {
        const headers = ['content-type', 'application/octet-stream', 'inference-header-content-length'];
        this.#send(200, bytes, [...headers, String(jsonLength)]);
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      // Only now: a client that goes away does not stop a run that reads from this memory.
      body.give();
    }
  }

  #refuse(error) {
    const { status, headers, message, unexpected } = answerTo(error);
    if (unexpected) this.#services.log.error({ reqId: this.#id, err: error }, 'request failed');
    const more = Object.entries(headers).flatMap(([name, value]) => [name, String(value)]);
    this.#send(status, Buffer.from(JSON.stringify({ error: message }), 'utf8'), ['content-type', json, ...more]);
  }

  async #sendJson(bytes) {
    const { config } = this.#services;
    const { vary, encoding } = encodingOf(
      json,
      bytes.length,
      config.compressMin,
      this.#wire.headers['accept-encoding'],
    );
    const headers = ['content-type', json];
    if (vary) headers.push('vary', 'accept-encoding');
    if (encoding === undefined) return this.#send(200, bytes, headers);
    this.#send(200, await compress(encoding, bytes), [...headers, 'content-encoding', encoding]);
  }

  #send(status, bytes, headers) {
    const { state, config, log } = this.#services;
    headers.push('x-request-id', this.#id, 'content-length', String(bytes.length));
    // A connection that stays open after its last answer would hold up the end of the process.
    if (state.draining) headers.push('connection', 'close');
    this.#sent = true;
    this.#gone = undefined;
    if (!this.#wire.send(status, headers, bytes) || !config.logRequests) return;
    const ms = performance.now() - this.#begun;
    const url = this.#wire.url.slice(0, 200);
    log.info({ reqId: this.#id, method: 'POST', url, status, ms, caller: this.#ticket.caller }, 'answered');
  }

  /** The answer has gone out, or the client has gone before it. */
  closed() {
    const { admission } = this.#services;
    admission.release(this.#ticket);
    if (!this.#sent) this.#gone?.();
    // Nobody reads a body that did not come in full.
    if (!this.#whole) this.#body?.give();
    this.#whole = true;
  }
}
