/** Lambda's Runtime API (2018-06-01), for container images that bring their own runtime: `node bootstrap.mjs`. */

import { Agent, request } from 'node:http';

const agent = new Agent({ keepAlive: true });
const api = process.env.AWS_LAMBDA_RUNTIME_API;
if (!api) {
  process.stderr.write('AWS_LAMBDA_RUNTIME_API is not set: this is started by Lambda, or by its emulator\n');
  process.exit(2);
}
const base = `http://${api}/2018-06-01/runtime`;

/** Not `fetch`, which gives up after five minutes: the next invocation may be hours away. */
function ask(path, body) {
  return new Promise((resolve, reject) => {
    const sent = request(`${base}/${path}`, { method: body === undefined ? 'GET' : 'POST', agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      response.on('end', () =>
        resolve({
          statusCode: response.statusCode,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    sent.on('error', reject).end(body);
  });
}

async function post(path, body) {
  const { statusCode, text } = await ask(path, JSON.stringify(body));
  if (statusCode >= 300) throw new Error(`the Runtime API took no answer: ${statusCode} ${text.slice(0, 200)}`);
}

function describe(error) {
  return { errorType: error?.name ?? 'Error', errorMessage: String(error?.message ?? error), stackTrace: [] };
}

async function load() {
  try {
    return (await import('./index.mjs')).handler;
  } catch (error) {
    await post('init/error', describe(error));
    return process.exit(1);
  }
}

const handler = await load();
process.once('SIGTERM', () => process.exit(0));
for (;;) {
  const { headers, text } = await ask('invocation/next');
  const id = headers['lambda-runtime-aws-request-id'];
  try {
    await post(`invocation/${id}/response`, await handler(JSON.parse(text)));
  } catch (error) {
    await post(`invocation/${id}/error`, describe(error));
  }
}
