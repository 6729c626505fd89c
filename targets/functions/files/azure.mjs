/** Azure Functions, programming model 4: one HTTP function for all routes; host.json takes the prefix `/api` away. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { app } from '@azure/functions';
import { cpuLimit } from './lib/cpu.mjs';
import { openFunction } from './lib/function.mjs';

// While the worker starts, not with the first request.
const model = await openFunction(dirname(fileURLToPath(import.meta.url)), cpuLimit());

app.http('model', {
  methods: ['GET', 'POST'],
  // The caller sends the key of the function in `x-functions-key`.
  authLevel: 'function',
  route: '{*path}',
  async handler(request) {
    const { status, headers, body } = await model.answer({
      method: request.method,
      path: new URL(request.url).pathname,
      headers: Object.fromEntries(request.headers),
      body: Buffer.from(await request.arrayBuffer()),
    });
    return { status, headers, body };
  },
});
