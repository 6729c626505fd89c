/** The gRPC face: the same models, queue, batches, keys and limits as over HTTP, on a port of its own. */

import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { RequestError } from '../errors.mjs';
import { ListenError } from '../listening.mjs';
import { metadataOf } from '../model.mjs';
import { readMessage, writeMessage } from './messages.mjs';

const proto = fileURLToPath(new URL('./open_inference.proto', import.meta.url));
/** 64-bit numbers as text: exact. */
const shape = { keepCase: true, longs: String, defaults: true, arrays: true, objects: true, oneofs: true };

const { status } = grpc;
const codes = {
  400: status.INVALID_ARGUMENT,
  401: status.UNAUTHENTICATED,
  404: status.NOT_FOUND,
  409: status.FAILED_PRECONDITION,
  413: status.RESOURCE_EXHAUSTED,
  429: status.RESOURCE_EXHAUSTED,
  499: status.CANCELLED,
  503: status.UNAVAILABLE,
};

/** Methods that anybody may call, as the health routes over HTTP. */
const open = new Set(['ServerLive', 'ServerReady', 'ModelReady']);

/** @param services as buildApp has them @returns { close(): Promise<void> } once it listens */
export async function openGrpc(config, services, log) {
  // Its own lines on stderr are no JSON.
  const [warn, debug] = [(...words) => log.warn(words.join(' ')), (...words) => log.debug(words.join(' '))];
  grpc.setLogger({ error: warn, info: debug, debug });
  const { inference: definitions } = grpc.loadPackageDefinition(loadSync(proto, shape));
  const server = new grpc.Server({
    'grpc.max_receive_message_length': config.bodyLimit,
    'grpc.max_send_message_length': -1,
    // On one connection; how many are answered is for the admission to say.
    'grpc.max_concurrent_streams': 4096,
    interceptors: [admitting(services.admission)],
  });
  server.addService(definitions.GRPCInferenceService.service, handlers(services, log));
  const credentials =
    services.certificate === undefined ? grpc.ServerCredentials.createInsecure() : secure(services.certificate);
  const address = config.host.includes(':') ? `[${config.host}]` : config.host;
  const port = await new Promise((resolve, reject) => {
    server.bindAsync(`${address}:${config.grpcPort}`, credentials, (error, bound) => {
      if (error)
        reject(new ListenError(`cannot listen on ${address}:${config.grpcPort} (HOST, GRPC_PORT): ${error.message}`));
      else resolve(bound);
    });
  });
  log.info({ port }, 'gRPC listens');
  return {
    close: () => new Promise((resolve) => server.tryShutdown(resolve)),
  };
}

/** TLS with a certificate that may be renewed. */
function secure(certificate) {
  const provider = {
    // Later: who asks for it listens only after that.
    addIdentityCertificateListener: (listener) =>
      process.nextTick(() =>
        certificate.use(({ cert, key }) => listener({ certificate: Buffer.from(cert), privateKey: Buffer.from(key) })),
      ),
    removeIdentityCertificateListener: () => {},
  };
  // First its own, then whose it trusts: grpc-js declares them the other way round, and hands them on like this (1.14).
  return grpc.experimental.createCertificateProviderServerCredentials(provider, null, false);
}

/** Keys, rates and places in the queue are looked at when the headers have come, before the message is read. */
function admitting(admission) {
  return ({ path }, call) => {
    const method = path.split('/').at(-1);
    const places = method === 'ModelInfer' ? 1 : 0;
    let taken = 0;
    const leave = () => {
      if (taken > 0) admission.leave();
      taken = 0;
    };
    return new grpc.ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, proceed) {
            try {
              if (!open.has(method)) admission.identify(headersOf(metadata), addressOf(call.getPeer()));
              if (places > 0) admission.enter();
              taken = places;
            } catch (error) {
              return call.sendStatus(statusOf(error));
            }
            proceed(metadata);
          },
          onCancel: leave,
        });
      },
      sendStatus(outcome, next) {
        leave();
        next(outcome);
      },
    });
  };
}

function headersOf(metadata) {
  return { authorization: textOf(metadata.get('authorization')), 'x-api-key': textOf(metadata.get('x-api-key')) };
}

/** Without the port, which is another one with each connection. */
const addressOf = (peer) => peer.replace(/:\d+$/, '');

const textOf = ([value]) => (value === undefined ? undefined : String(value));

function statusOf(error) {
  const metadata = new grpc.Metadata();
  if (!(error instanceof RequestError)) return { code: status.INTERNAL, details: 'internal error', metadata };
  if (error.retryAfter !== undefined) {
    metadata.set('retry-after', String(error.retryAfter));
    // What gRPC clients with a retry policy look at.
    metadata.set('grpc-retry-pushback-ms', String(error.retryAfter * 1000));
  }
  return { code: codes[error.status] ?? status.INTERNAL, details: error.message.slice(0, 500), metadata };
}

function handlers(services, log) {
  const { models, state } = services;
  const isReady = () => state.ready && !state.draining;
  const find = (name, version) => {
    if (!state.ready) throw new RequestError('the model is still being loaded', 503, { retryAfter: 1 });
    return models.find(name, version === '' ? undefined : version);
  };
  const answering = (work) => (call, callback) => {
    Promise.resolve()
      .then(() => work(call.request, call))
      .then(
        (answer) => callback(null, answer),
        (error) => {
          if (!(error instanceof RequestError)) log.error({ err: error }, 'request failed');
          callback(statusOf(error));
        },
      );
  };
  return {
    ServerLive: answering(() => ({ live: true })),
    ServerReady: answering(() => ({ ready: isReady() })),
    ModelReady: answering(({ name, version }) => {
      if (isReady()) find(name, version);
      return { ready: isReady() };
    }),
    ServerMetadata: answering(() => ({ ...state.server, extensions: [] })),
    ModelMetadata: answering(({ name, version }) => {
      const { info } = find(name, version);
      return metadataOf(info, models.versionsOf(info.name));
    }),
    ModelInfer: answering((message, call) => infer(services, find, message, call)),
  };
}

async function infer({ admission, inference }, find, message, call) {
  const served = find(message.model_name, message.model_version);
  const bytes = message.raw_input_contents.reduce((sum, { length }) => sum + length, 0);
  admission.hold(bytes);
  try {
    let raw = false;
    const read = () => {
      const request = readMessage(served.info, message);
      ({ raw } = request);
      return request;
    };
    const requestId = textOf(call.metadata.get('x-request-id')) ?? randomUUID();
    const whenGone = (act) => call.once('cancelled', act);
    const { info, id, outputs, answer } = await inference.serve(served, read, { whenGone, requestId });
    const begun = performance.now();
    const response = writeMessage(info, id, outputs, answer.results, raw);
    answer.done(performance.now() - begun);
    return response;
  } finally {
    admission.letGo(bytes);
  }
}
