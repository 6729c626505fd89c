/** The routes that SageMaker and Vertex AI call: the same inference in their words. */

import { RequestError } from '../errors.mjs';
import { readInstances, writePredictions } from '../instances.mjs';
import { readNpy } from '../npy.mjs';
import { readRequest } from '../request.mjs';
import { writeResponse } from '../response.mjs';
import { infer } from './inference.mjs';

export function platformRoutes(app, services) {
  const { config, models, state } = services;
  const ping = async (_request, reply) => reply.code(state.ready && !state.draining ? 200 : 503).send('');
  app.get('/ping', { config: { open: true } }, ping);
  app.post('/invocations', (request, reply) => invoke(services, request, reply));
  // How SageMaker's batch transform wants to send: the server batches by itself.
  app.get('/execution-parameters', { config: { open: true } }, async () => ({
    MaxConcurrentTransforms: Math.min(64, models.places),
    BatchStrategy: 'SINGLE_RECORD',
    MaxPayloadInMB: Math.max(1, Math.floor(config.bodyLimit / 2 ** 20)),
  }));
  const { health, predict } = config.vertex;
  if (health !== undefined && !app.hasRoute({ method: 'GET', url: health })) {
    app.get(health, { config: { open: true } }, ping);
  }
  if (predict !== undefined && !app.hasRoute({ method: 'POST', url: predict })) {
    app.post(predict, (request, reply) => invoke(services, request, reply));
  }
}

/** A request is in the form of Vertex AI where it has `instances`, in that of the protocol else; bytes that are not JSON are an array of numpy or raw. */
async function invoke(services, request, reply) {
  const { models, state } = services;
  if (!state.ready) throw new RequestError('the model is still being loaded', 503, { retryAfter: 1 });
  const served = models.find(models.first);
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
  let asInstances = false;
  const { info, id, outputs, answer } = await infer(services, served, request, reply, (body) => {
    if (type === 'application/x-npy') return readNpy(served.info, body);
    const raw = type === 'application/octet-stream' ? '0' : undefined;
    const header = request.headers['inference-header-content-length'] ?? raw;
    if (header !== undefined) return readRequest(served.info, body, header);
    const instances = instancesIn(body);
    asInstances = instances !== undefined;
    return asInstances ? readInstances(served.info, instances) : readRequest(served.info, body, undefined);
  });
  const begun = performance.now();
  if (asInstances) {
    const predictions = writePredictions(info, outputs, answer.results);
    answer.done(performance.now() - begun);
    return reply.send(predictions);
  }
  const { body, jsonLength } = writeResponse(info, id, outputs, answer.results);
  answer.done(performance.now() - begun);
  if (jsonLength === undefined) return reply.type('application/json; charset=utf-8').send(body);
  reply.header('inference-header-content-length', jsonLength);
  return reply.type('application/octet-stream').send(body);
}

function instancesIn(body) {
  try {
    const value = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && 'instances' in value ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
