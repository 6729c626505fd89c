/** One model in a function: opened once, in the phase that platforms give full CPU, then answering requests of the Open Inference Protocol v2. */

import { readManifest, verifiedModel } from './bundle.mjs';
import { RequestError } from './errors.mjs';
import { elementsOf, ortTensor } from './half.mjs';
import { describeModel } from './model.mjs';
import { readRequest } from './request.mjs';
import { writeResponse } from './response.mjs';

const json = { 'content-type': 'application/json; charset=utf-8' };

function answerOf(status, value) {
  return { status, headers: json, body: Buffer.from(JSON.stringify(value), 'utf8') };
}

const tensor = ({ name, datatype, shape }) => ({
  name,
  datatype,
  shape: (shape ?? [-1]).map((dim) => (typeof dim === 'number' ? dim : -1)),
});

/**
 * @param {string} dir of the bundle @param {number} cpus that the function has: more threads would only wait for each other
 * @returns { infer, answer } @throws what ONNX Runtime says, or that a file is another than the manifest describes
 */
export async function openFunction(dir, cpus) {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const manifest = await readManifest(dir);
  const info = describeModel(manifest);
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const path = await verifiedModel(dir, manifest);
  const session = await InferenceSession.create(path, { intraOpNumThreads: Math.max(1, Math.floor(cpus)) });

  /** @param {Buffer} body @param {string | undefined} jsonLength header of binary tensors @throws RequestError */
  async function infer(body, jsonLength) {
    const { id, feeds, outputs } = readRequest(info, body, jsonLength);
    const tensors = Object.fromEntries(feeds.map((feed) => [feed.name, ortTensor(Tensor, feed)]));
    const names = outputs.map(({ tensor: one }) => one.name);
    const given = await session.run(tensors, names).catch((error) => {
      throw new RequestError(
        `the model cannot run these inputs: ${String(error.message).split('\n', 1)[0].slice(0, 300)}`,
      );
    });
    const results = Object.entries(given).map(([name, one]) => [name, { dims: one.dims, data: elementsOf(one) }]);
    return writeResponse(info, id, outputs, Object.fromEntries(results));
  }

  async function inferAnswer(headers, body) {
    const { body: bytes, jsonLength } = await infer(body, headers['inference-header-content-length']);
    if (jsonLength === undefined) return { status: 200, headers: json, body: bytes };
    const binary = {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(jsonLength),
    };
    return { status: 200, headers: binary, body: bytes };
  }

  function metadata() {
    return {
      name: info.name,
      versions: [info.version],
      platform: 'onnx_onnxv1',
      inputs: info.inputs.map(tensor),
      outputs: info.outputs.map(tensor),
      properties: info.properties,
    };
  }

  /** Which of the protocol's routes a path is; whatever the platform puts in front of it does not matter. */
  function route(method, path) {
    const [, model, version, rest = ''] = path.match(/\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(\/\w+)?\/?$/) ?? [];
    if (model !== undefined) {
      if (decodeURIComponent(model) !== info.name || (version ?? info.version) !== info.version)
        throw new RequestError(`there is no such model here; there is "${info.name}", version ${info.version}`, 404);
      return `${method} ${rest}`;
    }
    const [, health] = path.match(/\/v2\/health\/(live|ready)\/?$/) ?? [];
    if (health !== undefined) return `${method} ${health}`;
    if (method === 'GET' && /\/v2\/?$/.test(path)) return 'GET /v2';
    return `${method} ${method === 'POST' ? '/infer' : path}`;
  }

  /**
   * A request over HTTP. A POST to any path that names no model is an inference.
   * @param request { method, path, headers: by lower-case name, body: Buffer }
   * @returns { status, headers, body: Buffer }
   */
  async function answer({ method, path, headers, body }) {
    try {
      switch (route(method, path)) {
        case 'POST /infer':
          return await inferAnswer(headers, body);
        case 'GET ':
          return answerOf(200, metadata());
        case 'GET live':
          return answerOf(200, { live: true });
        case 'GET ready':
        case 'GET /ready':
          return answerOf(200, { name: info.name, ready: true });
        case 'GET /v2':
          return answerOf(200, {
            name: 'mlpack-function',
            version: manifest.tool.version,
            extensions: ['binary_tensor_data'],
          });
        default:
          throw new RequestError(`${method} ${path} is nothing here; POST /v2/models/${info.name}/infer`, 404);
      }
    } catch (error) {
      if (error instanceof URIError) return answerOf(400, { error: 'the path is not encoded as it should be' });
      if (!(error instanceof RequestError)) throw error;
      return answerOf(error.status, { error: error.message });
    }
  }

  return { infer, answer };
}
