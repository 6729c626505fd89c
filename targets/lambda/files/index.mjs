/** The Lambda function: `index.handler`. Takes Open Inference Protocol v2 requests, directly or through a function URL or API Gateway. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openFunction } from './lib/function.mjs';

// A function has one CPU for each 1769 MB.
const cpus = Math.round(Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 1769) / 1769);
const model = await openFunction(dirname(fileURLToPath(import.meta.url)), cpus);

/** Events of function URLs and HTTP APIs say their method and path in requestContext, REST APIs beside it. */
async function answerHttp(event) {
  const { method = event.httpMethod ?? 'POST', path = event.path ?? '/' } = event.requestContext?.http ?? {};
  const headers = Object.fromEntries(
    Object.entries(event.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const body = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8');
  const { status, headers: own, body: bytes } = await model.answer({ method, path, headers, body });
  if (own['content-type'] !== 'application/octet-stream')
    return { statusCode: status, headers: own, body: bytes.toString('utf8') };
  return { statusCode: status, headers: own, isBase64Encoded: true, body: bytes.toString('base64') };
}

function isHttp(event) {
  return typeof event === 'object' && event !== null && ('requestContext' in event || 'httpMethod' in event);
}

/** An HTTP event gives an HTTP answer; anything else is the request itself, and errors are thrown. */
export async function handler(event) {
  if (isHttp(event)) return answerHttp(event);
  const { body } = await model.infer(Buffer.from(JSON.stringify(event ?? null)), undefined);
  return JSON.parse(body.toString('utf8'));
}
