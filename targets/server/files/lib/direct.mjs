/**
 * The way of most requests: inference with a body of declared length that is not compressed. They go from node:http straight to
 * the model; whatever is different (another route, chunked or compressed bodies, a server that drains, traces) takes the way
 * through Fastify, and looks the same to the client. Measured on one CPU at saturation: docs/server.md of mlpack.
 */

import { Ticket } from './admission.mjs';
import { answerTo, encodingOf, requestId } from './answers.mjs';
import { bodyPadding, Fixed } from './body.mjs';
import { compress } from './encoding.mjs';
import { RequestError } from './errors.mjs';
import { readRequest } from './request.mjs';
import { writeResponse } from './response.mjs';

/** Nothing here needs to be decoded, and Fastify takes names up to this length. */
const path = /^\/v2\/models\/([\w.-]{1,100})(?:\/versions\/([\w.-]{1,100}))?\/infer$/;
const json = 'application/json; charset=utf-8';
const plainTypes = new Set([undefined, 'application/json', json, 'application/octet-stream']);

/**
 * @param services as buildApp has them @param log pino's logger @param {(bytes: number) => void} discarded counts garbage
 * @returns (request, response) → whether it was taken
 */
export function directInference(services, log, discarded) {
  const { config, state } = services;
  const shared = { ...services, log, discarded };
  return (request, response) => {
    if (request.method !== 'POST' || !state.ready || state.draining) return false;
    const { headers } = request;
    const declared = headers['content-length'];
    if (declared === undefined || Number(declared) > config.bodyLimit) return false;
    if (headers['content-encoding'] !== undefined || !plainTypes.has(headers['content-type'])) return false;
    const named = path.exec(request.url);
    if (named === null) return false;
    new Exchange(shared, request, response, named, Number(declared)).begin();
    return true;
  };
}

class Exchange {
  #services;
  #request;
  #response;
  #named;
  #length;
  #id;
  #begun = performance.now();
  #ticket = new Ticket();
  #body;
  /** Calls off what waits for a session; set while something does. */
  #gone;

  constructor(services, request, response, named, length) {
    this.#services = services;
    this.#request = request;
    this.#response = response;
    this.#named = named;
    this.#length = length;
    this.#id = requestId(request.headers['x-request-id']);
  }

  begin() {
    const { admission, buffers, discarded } = this.#services;
    const request = this.#request;
    this.#response.on('close', () => this.#closed());
    try {
      admission.admit(this.#ticket, request.headers, request.socket, this.#length);
    } catch (error) {
      return this.#refuse(error);
    }
    this.#body = new Fixed(buffers, this.#length, bodyPadding(request.headers));
    request.on('data', (chunk) => {
      this.#body.add(chunk);
      discarded(chunk.length);
    });
    request.on('end', () => void this.#answer());
  }

  async #answer() {
    const { models, inference, buffers } = this.#services;
    const { headers } = this.#request;
    const body = this.#body.bytes();
    try {
      const served = models.find(this.#named[1], this.#named[2]);
      const read = () => readRequest(served.info, body, headers['inference-header-content-length']);
      const { info, id, outputs, answer } = await inference.serve(served, read, {
        whenGone: (act) => {
          this.#gone = act;
        },
        requestId: this.#id,
      });
      const begun = performance.now();
      const { body: bytes, jsonLength } = writeResponse(info, id, outputs, answer.results);
      answer.done(performance.now() - begun);
      if (jsonLength === undefined) await this.#sendJson(bytes);
      else {
        const type = ['content-type', 'application/octet-stream'];
        this.#send(200, bytes, [...type, 'inference-header-content-length', String(jsonLength)]);
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      // Only now: a client that goes away does not stop a run that reads from this memory.
      buffers.give(body.buffer);
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
    const accepted = this.#request.headers['accept-encoding'];
    const { vary, encoding } = encodingOf(json, bytes.length, config.compressMin, accepted);
    const headers = ['content-type', json];
    if (vary) headers.push('vary', 'accept-encoding');
    if (encoding === undefined) return this.#send(200, bytes, headers);
    this.#send(200, await compress(encoding, bytes), [...headers, 'content-encoding', encoding]);
  }

  /** @param {string[]} headers name, value, name, value … */
  #send(status, bytes, headers) {
    const { state } = this.#services;
    // Writing to a client that has gone would be an error without anyone to catch it.
    if (this.#response.destroyed) return;
    headers.push('x-request-id', this.#id, 'content-length', String(bytes.length));
    // A connection that stays open after its last answer would hold up the end of the process.
    if (state.draining) headers.push('connection', 'close');
    this.#response.writeHead(status, headers).end(bytes);
  }

  /** After the answer, and also where the client has gone before it. */
  #closed() {
    const { admission, config, log, buffers } = this.#services;
    admission.release(this.#ticket);
    const response = this.#response;
    const { method, url, complete } = this.#request;
    if (!response.writableFinished) this.#gone?.();
    // Nobody reads a body that did not come in full.
    if (!complete && this.#body !== undefined) buffers.give(this.#body.bytes().buffer);
    if (!config.logRequests || !response.writableFinished) return;
    const ms = performance.now() - this.#begun;
    const { caller } = this.#ticket;
    log.info({ reqId: this.#id, method, url: url.slice(0, 200), status: response.statusCode, ms, caller }, 'answered');
  }
}
