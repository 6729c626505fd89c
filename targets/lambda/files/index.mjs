/** The Lambda function: `index.handler`. Takes Open Inference Protocol v2 requests, directly or through a function URL or API Gateway. */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readManifest, verifiedModel } from './lib/bundle.mjs';
import { RequestError } from './lib/errors.mjs';
import { describeModel } from './lib/model.mjs';
import { readRequest } from './lib/request.mjs';
import { writeResponse } from './lib/response.mjs';

// Everything here happens once, while the container starts: Lambda gives that phase full CPU.
process.env.ORT_DISABLE_TELEMETRY ??= '1';
const dir = dirname(fileURLToPath(import.meta.url));
const manifest = await readManifest(dir);
const info = describeModel(manifest);
const { InferenceSession, Tensor } = await import('onnxruntime-node');
// A function has one CPU for each 1769 MB; more threads than that would only wait for each other.
const cpus = Math.max(1, Math.round(Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 1769) / 1769));
const session = await InferenceSession.create(await verifiedModel(dir, manifest), { intraOpNumThreads: cpus });

/** @param {Buffer} body @param {string | undefined} jsonLength header of binary tensors */
async function infer(body, jsonLength) {
  const { id, feeds, outputs } = readRequest(info, body, jsonLength);
  const tensors = Object.fromEntries(
    feeds.map(({ name, dtype, shape, data }) => [name, new Tensor(dtype, data, shape)]),
  );
  const names = outputs.map(({ tensor }) => tensor.name);
  const results = await session.run(tensors, names).catch((error) => {
    throw new RequestError(
      `the model cannot run these inputs: ${String(error.message).split('\n', 1)[0].slice(0, 300)}`,
    );
  });
  return writeResponse(info, id, outputs, results);
}

const json = { 'content-type': 'application/json; charset=utf-8' };

async function answerHttp(event) {
  const headers = Object.fromEntries(
    Object.entries(event.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  try {
    const body = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8');
    const { body: bytes, jsonLength } = await infer(body, headers['inference-header-content-length']);
    if (jsonLength === undefined) return { statusCode: 200, headers: json, body: bytes.toString('utf8') };
    return {
      statusCode: 200,
      headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(jsonLength) },
      isBase64Encoded: true,
      body: bytes.toString('base64'),
    };
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { statusCode: error.status, headers: json, body: JSON.stringify({ error: error.message }) };
  }
}

function isHttp(event) {
  return typeof event === 'object' && event !== null && ('requestContext' in event || 'httpMethod' in event);
}

/** An HTTP event gives an HTTP answer; anything else is the request itself, and errors are thrown. */
export async function handler(event) {
  if (isHttp(event)) return answerHttp(event);
  const { body } = await infer(Buffer.from(JSON.stringify(event ?? null)), undefined);
  return JSON.parse(body.toString('utf8'));
}
