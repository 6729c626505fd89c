/** Labels that come back: `POST /v2/feedback {"id": "…", "labels": [3]}`. */

import { RequestError } from '../errors.mjs';

export function feedbackRoutes(app, { monitor }) {
  app.post('/v2/feedback', async ({ body }) => {
    const { id, labels } = read(body ?? Buffer.alloc(0));
    const verdict = monitor.feedback(id, labels);
    if (verdict === undefined) {
      throw new RequestError('there is no answer with that id and that many rows to give labels to', 404);
    }
    return verdict;
  });
}

function read(body) {
  let value;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new RequestError('the request is not valid JSON');
  }
  const { id, labels } = value ?? {};
  const whole =
    Array.isArray(labels) && labels.length > 0 && labels.every((label) => Number.isInteger(label) && label >= 0);
  if (typeof id !== 'string' || !whole) {
    throw new RequestError('the body must be {"id": "…", "labels": [whole numbers, one for each row]}');
  }
  return { id, labels };
}
