/** Health, metrics, and what an operator may ask: which versions there are, look again, go back. */

import { makeAuth } from '../auth.mjs';
import { RequestError } from '../errors.mjs';

const open = { config: { open: true } };
const admin = { config: { admin: true } };

export function operationRoutes(app, { config, models, metrics, state }) {
  const isReady = () => state.ready && !state.draining;
  app.get('/v2/health/live', open, async () => ({ live: true }));
  app.get('/v2/health/ready', open, async (_request, reply) => {
    const ready = isReady();
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  app.get('/v2', async () => ({ ...state.server, extensions: ['binary_tensor_data', 'model_repository'] }));
  app.get('/metrics', open, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  app.post('/v2/repository/index', async () => models.index());
  repositoryRoutes(app, config, models);
}

/** Triton's names, where it has them. They exist only where ADMIN_KEYS are set. */
function repositoryRoutes(app, config, models) {
  if (config.adminKeys.length === 0) return;
  const identify = makeAuth(config.adminKeys);
  const withKey = (work) => async (request) => {
    request.log.info({ admin: identify(request.headers), url: request.url }, 'asked by an operator');
    return work(request);
  };
  app.post(
    '/v2/repository/models/:model/load',
    admin,
    withKey(async ({ params }) => {
      await models.scan();
      return { name: params.model, versions: models.versionsOf(models.find(params.model).info.name) };
    }),
  );
  app.post(
    '/v2/repository/models/:model/rollback',
    admin,
    withKey(async ({ params, body }) => {
      const version = versionIn(body);
      return { name: params.model, version: models.rollback(params.model, version) };
    }),
  );
}

/** `{"version": "3"}`, or an empty body: the version before the present one. */
function versionIn(body) {
  if (body === undefined || body.length === 0) return undefined;
  try {
    const { version } = JSON.parse(body.toString('utf8')) ?? {};
    if (typeof version === 'string') return version;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new RequestError('the body must be {"version": "…"} or empty');
}
