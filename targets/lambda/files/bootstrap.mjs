/** Lambda's Runtime API (2018-06-01), for container images that bring their own runtime: `node bootstrap.mjs`. */

const api = process.env.AWS_LAMBDA_RUNTIME_API;
if (!api) {
  process.stderr.write('AWS_LAMBDA_RUNTIME_API is not set: this is started by Lambda, or by its emulator\n');
  process.exit(2);
}
const base = `http://${api}/2018-06-01/runtime`;

async function post(path, body) {
  const response = await fetch(`${base}/${path}`, { method: 'POST', body: JSON.stringify(body) });
  await response.arrayBuffer();
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
  const next = await fetch(`${base}/invocation/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  try {
    await post(`invocation/${id}/response`, await handler(await next.json()));
  } catch (error) {
    await post(`invocation/${id}/error`, describe(error));
  }
}
