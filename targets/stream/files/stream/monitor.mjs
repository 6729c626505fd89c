/** /metrics for Prometheus, /health/live and /health/ready for Kubernetes. */

import { createServer } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export class StreamMetrics {
  /** @param state { inbox, lag: () => Promise<number | undefined> } asked when somebody reads the metrics */
  constructor({ inbox, lag }) {
    const registers = [new Registry()];
    [this.registry] = registers;
    collectDefaultMetrics({ register: this.registry });
    this.records = new Counter({
      name: 'mlpack_stream_records_total',
      help: 'Records that were committed, by outcome: answered, or dead (could not be used)',
      labelNames: ['outcome'],
      registers,
    });
    this.retries = new Counter({
      name: 'mlpack_stream_retries_total',
      help: 'Failures of the broker that were tried again, by what failed',
      labelNames: ['what'],
      registers,
    });
    this.rows = new Histogram({
      name: 'mlpack_stream_batch_records',
      help: 'Records taken at once',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
      registers,
    });
    this.seconds = new Histogram({
      name: 'mlpack_stream_batch_seconds',
      help: 'Seconds from taking a batch to its commit',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    for (const outcome of ['answered', 'dead']) this.records.inc({ outcome }, 0);
    const waiting = () => inbox.length;
    this.waiting = new Gauge({
      name: 'mlpack_stream_waiting',
      help: 'Records in memory that wait for the model',
      registers,
      collect() {
        this.set(waiting());
      },
    });
    this.lag = new Gauge({
      name: 'mlpack_stream_lag',
      help: 'Records of the group that the broker holds and nobody has committed',
      registers,
      collect: async () => {
        const value = await lag().catch(() => this.retried('read lag'));
        // A number from before would look like news.
        if (value === undefined) this.lag.remove();
        else this.lag.set(value);
      },
    });
  }

  done({ answered, dead, seconds }) {
    this.records.inc({ outcome: 'answered' }, answered);
    this.records.inc({ outcome: 'dead' }, dead);
    this.rows.observe(answered + dead);
    this.seconds.observe(seconds);
  }

  retried(what) {
    this.retries.inc({ what });
  }
}

/** @param state { ready: boolean } @returns the listening server */
export async function listen(metrics, state, { host, port }) {
  const server = createServer((request, response) => {
    const [path] = (request.url ?? '').split('?');
    const send = (status, body, type = 'application/json') =>
      response.writeHead(status, { 'content-type': type }).end(body);
    if (request.method !== 'GET') send(405, '{"error":"only GET"}');
    else if (path === '/health/live') send(200, '{"live":true}');
    else if (path === '/health/ready') send(state.ready ? 200 : 503, JSON.stringify({ ready: state.ready }));
    else if (path === '/metrics')
      metrics.registry.metrics().then(
        (text) => send(200, text, metrics.registry.contentType),
        (error) => send(500, JSON.stringify({ error: error.message })),
      );
    else send(404, '{"error":"there are /metrics, /health/live and /health/ready"}');
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return server;
}
