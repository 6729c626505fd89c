/** OpenTelemetry: one server span for each request, sent as OTLP/HTTP JSON in the background. W3C trace context is taken over. */

import { randomBytes } from 'node:crypto';

const batchSpans = 512;
const maxWaiting = 4096;

/** @param header `traceparent` @returns { traceId, parentId } of a valid header, else a new trace */
export function traceOf(header) {
  const [, traceId, parentId, flags] =
    String(header ?? '').match(/^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/) ?? [];
  if (traceId === undefined || /^0+$/.test(traceId) || /^0+$/.test(parentId)) {
    return { traceId: randomBytes(16).toString('hex'), parentId: undefined, sampled: true };
  }
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

const attribute = ([key, value]) => ({
  key,
  // 64-bit numbers are text in JSON of protocol buffers.
  value: Number.isInteger(value) ? { intValue: String(value) } : { stringValue: String(value) },
});

export class Tracer {
  #spans = [];
  #timer;

  /** @param {{ endpoint: string, name: string, log: object }} options */
  constructor({ endpoint, name, log }) {
    this.url = new URL('v1/traces', endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href;
    this.name = name;
    this.log = log;
    this.#timer = setInterval(() => void this.flush(), 2000).unref();
  }

  /** @param span { traceparent, name, startMs (epoch), durationMs, status, attributes } */
  record({ traceparent, name, startMs, durationMs, status, attributes }) {
    const { traceId, parentId, sampled } = traceOf(traceparent);
    // What cannot be sent is dropped, never piled up.
    if (!sampled || this.#spans.length >= maxWaiting) return;
    const nanoseconds = (ms) => String(BigInt(Math.round(ms * 1000)) * 1000n);
    this.#spans.push({
      traceId,
      spanId: randomBytes(8).toString('hex'),
      ...(parentId === undefined ? {} : { parentSpanId: parentId }),
      name,
      kind: 2,
      startTimeUnixNano: nanoseconds(startMs),
      endTimeUnixNano: nanoseconds(startMs + durationMs),
      attributes: Object.entries(attributes).map(attribute),
      status: { code: status >= 500 ? 2 : 0 },
    });
    if (this.#spans.length >= batchSpans) void this.flush();
  }

  async flush() {
    if (this.#spans.length === 0) return;
    const spans = this.#spans.splice(0);
    const resource = { attributes: [attribute(['service.name', this.name])] };
    const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'mlpack' }, spans }] }] });
    try {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(this.url, { method: 'POST', headers, body, signal: AbortSignal.timeout(5000) });
      await response.arrayBuffer();
      if (!response.ok) this.log.warn({ status: response.status }, 'traces were refused');
    } catch (error) {
      this.log.warn({ err: error }, 'traces could not be sent');
    }
  }

  async close() {
    clearInterval(this.#timer);
    await this.flush();
  }
}
