/** A small local HTTP server: Open Inference Protocol v2 for this one model. For queues, batches and keys there is the server bundle. */

import { createServer } from 'node:http';
import { RequestError } from './errors.mjs';
import { readRequest } from './request.mjs';
import { writeResponse } from './response.mjs';

const json = { 'content-type': 'application/json; charset=utf-8' };

async function bodyOf(request, limit) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > limit) throw new RequestError(`the body has more than ${limit} bytes`, 413);
    chunks.push(chunk);
  }
  // In memory of its own: tensors are views of it.
  return Buffer.from(new Uint8Array(Buffer.concat(chunks)));
}

function send(response, status, body, headers = json) {
  response.writeHead(status, headers).end(body);
}

/**
 * Requests run one after the other; beyond `waiting` of them the answer is 503.
 * @param settings { host, port, bodyLimit, waiting }
 * @returns {Promise<{ port: number, close(): Promise<void> }>}
 */
export async function serve(model, { host, port, bodyLimit, waiting }) {
  const path = `/v2/models/${model.info.name}`;
  let last = Promise.resolve();
  let queued = 0;

  async function infer(request, response) {
    if (queued >= waiting) throw new RequestError('too many requests are waiting', 503);
    queued++;
    try {
      const body = await bodyOf(request, bodyLimit);
      const asked = readRequest(model.info, body, request.headers['inference-header-content-length']);
      const turn = last.then(() =>
        model.run(
          asked.feeds,
          asked.outputs.map(({ tensor }) => tensor.name),
        ),
      );
      // The next one waits for this one, however it ends.
      last = turn.then(
        () => undefined,
        () => undefined,
      );
      const { body: bytes, jsonLength } = writeResponse(model.info, asked.id, asked.outputs, await turn);
      if (jsonLength === undefined) send(response, 200, bytes);
      else
        send(response, 200, bytes, {
          'content-type': 'application/octet-stream',
          'inference-header-content-length': String(jsonLength),
        });
    } finally {
      queued--;
    }
  }

  async function answer(request, response) {
    const url = request.url.split('?', 1)[0];
    if (request.method === 'POST' && url === `${path}/infer`) return infer(request, response);
    if (request.method !== 'GET') throw new RequestError(`${request.method} ${url} is not known here`, 404);
    if (url === '/v2/health/live' || url === '/v2/health/ready' || url === `${path}/ready`)
      return send(response, 200, '');
    if (url === path) {
      const list = (tensors) =>
        tensors.map(({ name, datatype, shape }) => ({
          name,
          datatype,
          shape: (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : -1)),
        }));
      const { name, inputs, outputs } = model.info;
      const version = model.manifest.release.version;
      return send(
        response,
        200,
        JSON.stringify({
          name,
          versions: [version],
          platform: 'onnxruntime_onnx',
          inputs: list(inputs),
          outputs: list(outputs),
        }),
      );
    }
    throw new RequestError(`${url} is not known here`, 404);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      const known = error instanceof RequestError;
      // The rest of a body is read and forgotten: a connection that nobody reads from any more never ends, nor does the server then.
      request.resume();
      if (!known) process.stderr.write(`${error.stack ?? error}\n`);
      if (response.headersSent) return response.destroy();
      const message = known ? error.message : 'something went wrong here; the log says what';
      return send(response, known ? error.status : 500, JSON.stringify({ error: message }));
    });
  });
  server.requestTimeout = 30_000;
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    port: server.address().port,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeIdleConnections();
      }),
  };
}
