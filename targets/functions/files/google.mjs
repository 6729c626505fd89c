/** Google Cloud Run functions: the HTTP function `model`. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { http } from '@google-cloud/functions-framework';
import { cpuLimit } from './lib/cpu.mjs';
import { openFunction } from './lib/function.mjs';

// While the instance starts, not with the first request.
const model = await openFunction(dirname(fileURLToPath(import.meta.url)), cpuLimit());

http('model', async (request, response) => {
  const { method, path, headers } = request;
  const answer = await model.answer({ method, path, headers, body: request.rawBody ?? (await rest(request)) });
  // Not `send`: it would add a character set to what is binary, and an ETag.
  response.writeHead(answer.status, answer.headers).end(answer.body);
});

/** The framework leaves a body without content type where it is. The platform lets 32 MB through. */
async function rest(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
