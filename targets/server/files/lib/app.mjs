/** The HTTP face: what every request goes through, whatever its route. */

import { randomUUID } from 'node:crypto';
import Fastify, { LogController } from 'fastify';
import { bodyParser } from './body.mjs';
import { chooseEncoding, compress, Decompressor, encodingNames } from './encoding.mjs';
import { RequestError } from './errors.mjs';
import { feedbackRoutes } from './routes/feedback.mjs';
import { inferenceRoutes } from './routes/inference.mjs';
import { operationRoutes } from './routes/operation.mjs';
import { platformRoutes } from './routes/platform.mjs';

/** @param services { config, models, inference, metrics, tracer, monitor, buffers, admission,
 *   state: { ready, draining, server } } */
export function buildApp(config, services, logger) {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.bodyLimit,
    // The protocol's OpenAPI asks for /v2/, its text for /v2.
    routerOptions: { ignoreTrailingSlash: true },
    requestTimeout: config.requestTimeoutMs,
    forceCloseConnections: 'idle',
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    clientErrorHandler: refuseMalformed,
    // A path that cannot be decoded is a path that nobody has.
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    ...(config.tls === undefined ? {} : { https: config.tls }),
  });
  app.server.on('checkExpectation', (_request, response) => {
    response.writeHead(417, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: 'only "Expect: 100-continue" is understood' }));
  });
  const decompressor = new Decompressor({ limit: config.bodyLimit, room: config.inflightBytes });
  const grown = (request, bytes) => {
    services.admission.hold(bytes);
    request.bytesHeld += bytes;
  };
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', bodyParser(config.bodyLimit, services.buffers, { decompressor, grown }));
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: `there is no ${request.method} on this path` }),
  );
  app.decorateRequest('caller', undefined);
  app.decorateRequest('bytesHeld', 0);
  app.decorateRequest('counted', false);
  guard(app, config, services.admission);
  app.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('x-request-id', request.id);
    // A connection that stays open after its last answer would hold up the end of the process.
    if (services.state.draining) reply.header('connection', 'close');
    done();
  });
  if (config.compressMin > 0) compressAnswers(app, config.compressMin);
  if (config.logRequests) logRequests(app);
  if (services.tracer !== undefined) trace(app, services.tracer);
  operationRoutes(app, services);
  inferenceRoutes(app, services);
  platformRoutes(app, services);
  feedbackRoutes(app, services);
  return app;
}

function requestId(given) {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Before a byte of the body is read: who asks, how often, and whether there is room for what comes. */
function guard(app, config, admission) {
  const admit = (request) => {
    const { open, admin } = request.routeOptions.config ?? {};
    // Nobody learns from a refusal which paths there are.
    if (open || admin) return;
    request.caller = admission.identify(request.headers, request.ip);
    const length = request.headers['content-length'];
    const bytes = request.method === 'GET' ? 0 : length === undefined ? config.bodyLimit : Number(length);
    if (request.method === 'POST') {
      // What could only wait for a place in the queue is told so before its body is read.
      admission.enter();
      request.counted = true;
    }
    // A body beyond the limit is refused by its length a moment later.
    if (bytes > config.bodyLimit) return;
    admission.hold(bytes);
    request.bytesHeld = bytes;
  };
  const release = (request) => {
    admission.letGo(request.bytesHeld);
    request.bytesHeld = 0;
    if (request.counted) admission.leave();
    request.counted = false;
  };
  // Hooks with a callback: no promise for each of them and each request.
  app.addHook('onRequest', (request, reply, done) => {
    // After the answer, and also where the client has gone before it: then no hook of Fastify's is called.
    reply.raw.once('close', () => release(request));
    try {
      admit(request);
    } catch (error) {
      return done(error);
    }
    done();
  });
}

/**
 * JSON answers, where the client asks for it. Measured: 2 kB become half in 0.1 ms, which pays below 80 Mbit/s, 19 kB below
 * 390. Binary tensors become 9 % smaller at most, and are sent as they are.
 */
function compressAnswers(app, least) {
  app.addHook('onSend', (request, reply, payload, done) => {
    const json = /^application\/json/.test(reply.getHeader('content-type') ?? '');
    if (!json || payload === undefined || payload.length < least) return done(null, payload);
    reply.header('vary', 'accept-encoding');
    const encoding = chooseEncoding(request.headers['accept-encoding']);
    if (encoding === undefined) return done(null, payload);
    compress(encoding, payload).then((bytes) => {
      reply.header('content-encoding', encoding);
      reply.removeHeader('content-length');
      done(null, bytes);
    }, done);
  });
}

/** One line for each request, without what is in it. Health checks are not news. */
function logRequests(app) {
  app.addHook('onResponse', async (request, reply) => {
    if (request.routeOptions.config?.open && reply.statusCode < 500) return;
    const { method, url, caller } = request;
    const line = {
      method,
      url: url.split('?', 1)[0].slice(0, 200),
      status: reply.statusCode,
      ms: reply.elapsedTime,
      caller,
    };
    request.log.info(line, 'answered');
  });
}

function trace(app, tracer) {
  app.addHook('onResponse', async (request, reply) => {
    if (request.routeOptions.config?.open) return;
    const durationMs = reply.elapsedTime;
    tracer.record({
      traceparent: request.headers.traceparent,
      name: `${request.method} ${request.routeOptions.url ?? 'unknown'}`,
      startMs: Date.now() - durationMs,
      durationMs,
      status: reply.statusCode,
      attributes: {
        'http.request.method': request.method,
        'http.response.status_code': reply.statusCode,
        'http.route': request.routeOptions.url ?? '',
        'mlpack.request_id': request.id,
      },
    });
  });
}

/** Every error leaves as `{error}`. What is not the client's fault is logged in full and told in brief. */
function answerError(error, request, reply) {
  const status = error.status ?? error.statusCode ?? 500;
  if (status >= 500 && !(error instanceof RequestError)) {
    request.log.error({ err: error }, 'request failed');
    return reply.code(500).send({ error: 'internal error' });
  }
  if (error.retryAfter !== undefined) reply.header('retry-after', error.retryAfter);
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  if (status === 415) reply.header('accept-encoding', encodingNames.join(', '));
  // Fastify repeats a path that it cannot take; however long that is, nobody needs to read it again.
  return reply.code(status).send({ error: error.message.slice(0, 500) });
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
