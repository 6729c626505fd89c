/** Open Inference Protocol v2: metadata of models and inference, with and without version. */

import { RequestError } from '../errors.mjs';
import { metadataOf } from '../model.mjs';
import { readRequest } from '../request.mjs';
import { writeResponse } from '../response.mjs';

export function inferenceRoutes(app, services) {
  for (const base of ['/v2/models/:model', '/v2/models/:model/versions/:version']) modelRoutes(app, base, services);
}

function modelRoutes(app, base, services) {
  const { models, state } = services;
  const find = ({ params }) => {
    if (!state.ready) throw new RequestError('the model is still being loaded', 503, { retryAfter: 1 });
    return models.find(params.model, params.version);
  };
  app.get(base, async (request) => {
    const { info } = find(request);
    return { ...metadataOf(info, models.versionsOf(info.name)), properties: info.properties };
  });
  app.get(`${base}/ready`, { config: { open: true } }, async (request, reply) => {
    if (!state.ready || state.draining) return reply.code(503).send({ name: request.params.model, ready: false });
    const { info } = models.find(request.params.model, request.params.version);
    return { name: info.name, ready: true };
  });
  app.post(`${base}/infer`, async (request, reply) => {
    const served = find(request);
    const header = request.headers['inference-header-content-length'];
    const { info, outputs, answer, id } = await infer(services, served, request, reply, (body) =>
      readRequest(served.info, body, header),
    );
    const begun = performance.now();
    const response = writeResponse(info, id, outputs, answer.results);
    answer.done(performance.now() - begun);
    if (response.jsonLength === undefined) return reply.type('application/json; charset=utf-8').send(response.body);
    reply.header('inference-header-content-length', response.jsonLength);
    return reply.type('application/octet-stream').send(response.body);
  });
}

/**
 * Reads, runs and measures one request of whatever form.
 * @param read body → { id, feeds, outputs }
 * @returns { info, id, outputs, answer: { results, done(outputMs) } } call `done` once the answer is written
 */
export async function infer(services, served, request, reply, read) {
  try {
    return await services.inference.serve(served, () => read(request.body ?? Buffer.alloc(0)), {
      whenGone: (act) => whenGone(reply, act),
      requestId: request.id,
    });
  } finally {
    // Only now: a client that goes away does not stop a run that reads from this memory.
    if (request.body !== undefined) services.buffers.give(request.body.buffer);
  }
}

/** Acts when the client goes away before its answer. */
function whenGone(reply, act) {
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) act();
  });
}
