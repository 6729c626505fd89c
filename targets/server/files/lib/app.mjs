/** The HTTP face: what every request goes through, whatever its route. */

import Fastify, { LogController } from 'fastify';
import { Ticket } from './admission.mjs';
import { answerTo, encodingOf, requestId } from './answers.mjs';
import { bodyParser } from './body.mjs';
import { garbageCounter } from './buffers.mjs';
import { directInference } from './direct.mjs';
import { compress, Decompressor } from './encoding.mjs';
import { openFront } from './front.mjs';
import { answerHalfClosed } from './half-closed.mjs';
import { feedbackRoutes } from './routes/feedback.mjs';
import { inferenceRoutes } from './routes/inference.mjs';
import { operationRoutes } from './routes/operation.mjs';
import { platformRoutes } from './routes/platform.mjs';
import { endUnasked } from './unasked.mjs';
import { endUntaken } from './untaken.mjs';

/** Milliseconds between looks of node:http at requests that do not come: a limit ends this much late at most. */
const checks = { connectionsCheckingInterval: 1000 };

function noSchemas() {
  throw new Error('routes of this server have no JSON schemas');
}

/** @param services { config, models, inference, metrics, tracer, monitor, buffers, admission,
 *   state: { ready, draining, server } } */
export function buildApp(config, services, logger) {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    // Requests are checked by the model's signature. Fastify would load its compilers of JSON schemas all the same: 0.09 s of a start.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    bodyLimit: config.bodyLimit,
    // The protocol's OpenAPI asks for /v2/, its text for /v2.
    routerOptions: { ignoreTrailingSlash: true },
    requestTimeout: config.requestTimeoutMs,
    forceCloseConnections: 'idle',
    // Who asks before the connection has ended is answered, and told to ask elsewhere next time.
    return503OnClosing: false,
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    clientErrorHandler: refuseMalformed,
    // A path that cannot be decoded is a path that nobody has.
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    ...(config.tls === undefined ? { http: checks } : { https: { ...config.tls, ...checks } }),
  });
  // Where that for heads is longer than that for whole requests, Node.js takes each for the other.
  app.server.headersTimeout = Math.min(60_000, config.requestTimeoutMs);
  app.server.on('checkExpectation', (_request, response) => {
    response.writeHead(417, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: 'only "Expect: 100-continue" is understood' }));
  });
  app.server.on('checkContinue', (request, response) => {
    goOn(response);
    app.server.emit('request', request, response);
  });
  const decompressor = new Decompressor({ limit: config.bodyLimit, room: config.inflightBytes });
  const grown = (request, bytes) => {
    services.admission.hold(bytes);
    request.ticket.bytes += bytes;
  };
  const discarded = garbageCounter();
  app.removeAllContentTypeParsers();
  const parser = bodyParser(config.bodyLimit, services.buffers, { decompressor, grown, discarded });
  app.addContentTypeParser('*', parser);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: `there is no ${request.method} on this path` }),
  );
  app.decorateRequest('ticket', undefined);
  guard(app, services.admission);
  app.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('x-request-id', request.id);
    // A connection that stays open after its last answer would hold up the end of the process.
    if (services.state.draining) reply.header('connection', 'close');
    done();
  });
  if (config.compressMin > 0) compressAnswers(app, config.compressMin);
  if (config.logRequests) logRequests(app);
  const watches = [endUntaken(config.requestTimeoutMs), answerHalfClosed(app.server)];
  const opened = (socket) => watches.forEach((watch) => watch(socket));
  endUnasked(app.server, app.server.keepAliveTimeout + config.requestTimeoutMs);
  const front = services.tracer === undefined && shortWays(app, { ...services, log: logger }, discarded, opened);
  if (!front) app.server.on(config.tls === undefined ? 'connection' : 'secureConnection', opened);
  if (services.tracer !== undefined) trace(app, services.tracer);
  operationRoutes(app, services);
  inferenceRoutes(app, services);
  platformRoutes(app, services);
  feedbackRoutes(app, services);
  return app;
}

/**
 * The ways past Fastify for most requests for inference, from the socket (front.mjs) and from node:http (direct.mjs). Fastify's
 * own listener stays for the rest; the server, its limits and its events are the same for all.
 * @returns whether connections begin in front.mjs, which tells `opened` of them
 */
function shortWays(app, services, discarded, opened) {
  const direct = directInference({ ...services, discarded });
  const [handle] = app.server.listeners('request');
  app.server.removeListener('request', handle);
  app.server.on('request', (request, response) => {
    if (!direct(request, response)) handle.call(app.server, request, response);
  });
  if (services.config.tls !== undefined) return false;
  const front = openFront(app.server, { ...services, discarded }, refuseMalformed, opened);
  app.addHook('preClose', (done) => {
    front.close();
    done();
  });
  return true;
}

/**
 * "100 Continue", when its turn comes: behind a request whose answer is still to come, Node.js puts it between the head and the body of this one's
 * answer, where it is taken for the body.
 */
function goOn(response) {
  if (response.socket !== null) return response.writeContinue();
  response.once('socket', () => {
    if (!response.headersSent) response.writeContinue();
  });
}

function guard(app, admission) {
  // Hooks with a callback: no promise for each of them and each request.
  app.addHook('onRequest', (request, reply, done) => {
    const ticket = new Ticket();
    request.ticket = ticket;
    // After the answer, and also where the client has gone before it: then no hook of Fastify's is called.
    reply.raw.once('close', () => admission.release(ticket));
    const { open, admin } = request.routeOptions.config ?? {};
    // Nobody learns from a refusal which paths there are.
    if (open || admin) return done();
    const { method, headers } = request;
    const length = headers['content-length'];
    const bytes = method === 'GET' ? 0 : length === undefined ? undefined : Number(length);
    try {
      admission.admit(ticket, headers, request.socket, bytes, method === 'POST');
    } catch (error) {
      return done(error);
    }
    done();
  });
}

function compressAnswers(app, least) {
  app.addHook('onSend', (request, reply, payload, done) => {
    const type = reply.getHeader('content-type') ?? '';
    const { vary, encoding } = encodingOf(type, payload?.length ?? 0, least, request.headers['accept-encoding']);
    if (vary) reply.header('vary', 'accept-encoding');
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
    const { method, url, ticket } = request;
    const line = {
      method,
      url: url.split('?', 1)[0].slice(0, 200),
      status: reply.statusCode,
      ms: reply.elapsedTime,
      caller: ticket?.caller,
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

function answerError(error, request, reply) {
  const { status, headers, message, unexpected } = answerTo(error);
  if (unexpected) request.log.error({ err: error }, 'request failed');
  return reply.code(status).headers(headers).send({ error: message });
}

const malformed = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request took too long'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers of the request are too large'],
};

/** Milliseconds in which a client may take an answer after which nothing more is read. */
const lingerMs = 1000;

/** Bytes that are not HTTP never reach a route. */
function refuseMalformed(error, socket) {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return socket.destroy();
  const [status, why] = malformed[error.code] ?? ['400 Bad Request', 'this is not a valid HTTP request'];
  const body = JSON.stringify({ error: why });
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  socket.end(head + body);
  // Ended at once, the answer would be lost with what the client is still sending; and who goes on sending would hold the line for ever.
  setTimeout(() => socket.destroy(), lingerMs).unref();
}
