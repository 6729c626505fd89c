/** The HTTP face: Open Inference Protocol v2 (REST) with binary tensors. */

import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { RequestError } from './errors.mjs';
import { readRequest } from './request.mjs';
import { writeResponse } from './response.mjs';

/**
 * @param state { model, server: {name, version}, loaded: {run} | undefined, draining } — the caller sets `loaded` when
 *   the model is ready to answer and `draining` when the process is about to end
 */
export function buildApp(config, state) {
  const app = Fastify({
    logger: { level: config.logLevel },
    bodyLimit: config.bodyLimit,
    requestTimeout: config.requestTimeoutMs,
    forceCloseConnections: 'idle',
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    clientErrorHandler: refuseMalformed,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: `there is no ${request.method} on this path` }),
  );
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id);
    // A connection that stays open after its last answer would hold up the end of the process.
    if (state.draining) reply.header('connection', 'close');
  });
  healthRoutes(app, state);
  for (const base of ['/v2/models/:model', '/v2/models/:model/versions/:version']) modelRoutes(app, base, state);
  return app;
}

function requestId(given) {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function isReady(state) {
  return state.loaded !== undefined && !state.draining;
}

function healthRoutes(app, state) {
  app.get('/v2/health/live', async () => ({ live: true }));
  app.get('/v2/health/ready', async (_request, reply) => {
    const ready = isReady(state);
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  app.get('/v2', async () => ({ ...state.server, extensions: ['binary_tensor_data'] }));
}

function modelRoutes(app, base, state) {
  const { model } = state;
  const tensor = ({ name, datatype, shape }) => ({
    name,
    datatype,
    shape: (shape ?? [-1]).map((dim) => (typeof dim === 'number' ? dim : -1)),
  });
  app.get(base, async (request) => {
    requireModel(request, model);
    return {
      name: model.name,
      versions: [model.version],
      platform: 'onnx_onnxv1',
      inputs: model.inputs.map(tensor),
      outputs: model.outputs.map(tensor),
      properties: model.properties,
    };
  });
  app.get(`${base}/ready`, async (request, reply) => {
    requireModel(request, model);
    const ready = isReady(state);
    return reply.code(ready ? 200 : 503).send({ name: model.name, ready });
  });
  app.post(`${base}/infer`, async (request, reply) => {
    requireModel(request, model);
    if (state.loaded === undefined) throw new RequestError('the model is still being loaded', 503);
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      throw new RequestError(`content encoding "${encoding}" is not supported`, 415);
    }
    const body = request.body ?? Buffer.alloc(0);
    const { id, feeds, outputs } = readRequest(model, body, request.headers['inference-header-content-length']);
    const results = await state.loaded.run(
      feeds,
      outputs.map(({ tensor: { name } }) => name),
    );
    const response = writeResponse(model, id, outputs, results);
    if (response.jsonLength === undefined) return reply.type('application/json; charset=utf-8').send(response.body);
    reply.header('inference-header-content-length', response.jsonLength);
    return reply.type('application/octet-stream').send(response.body);
  });
}

function requireModel(request, model) {
  const { model: name, version } = request.params;
  if (name !== model.name)
    throw new RequestError(`there is no model "${name.slice(0, 100)}"; this server has "${model.name}"`, 404);
  if (version !== undefined && version !== model.version) {
    throw new RequestError(`model "${name}" has no version "${version.slice(0, 100)}"; it has "${model.version}"`, 404);
  }
}

/** Every error leaves as `{error}`. What is not the client's fault is logged in full and told in brief. */
function answerError(error, request, reply) {
  const status = error.status ?? error.statusCode ?? 500;
  if (status >= 500 && !(error instanceof RequestError)) {
    request.log.error({ err: error }, 'request failed');
    return reply.code(500).send({ error: 'internal error' });
  }
  return reply.code(status).send({ error: error.message });
}

/** Bytes that are not HTTP never reach a route. */
function refuseMalformed(error, socket) {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return socket.destroy();
  const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
  const body = JSON.stringify({
    error: status === '400 Bad Request' ? 'this is not a valid HTTP request' : 'the request took too long',
  });
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  return socket.end(head + body);
}
