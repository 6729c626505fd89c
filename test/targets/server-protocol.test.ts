/** The server against what the protocol publishes (its OpenAPI, in our own words), against its own openapi.json, and compressed. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv, type ValidateFunction } from 'ajv';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { literalPath } from '../../src/target/literal.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { published } from './support/open-inference.ts';
import { calls, messages } from './support/open-inference-wire.ts';
import { startServer, type TestServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules() ?? '';
const dir = await tempDir();
const pixels = Array.from({ length: 144 }, (_, i) => (i % 7) / 7);
const image = { name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: pixels };

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { responses?: Record<string, Response> }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}
interface Response {
  readonly content?: { readonly 'application/json': { readonly schema: object } };
}

/** What a document says about bodies: the schemas of OpenAPI 3.0 that occur here are JSON Schema. */
function checker(document: object): (schema: object) => ValidateFunction {
  const ajv = new Ajv({ strict: false, allErrors: true });
  ajv.addSchema({ ...document, $id: 'doc' });
  return (schema) => ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')) as object);
}

/** A message of a .proto as the table of the published one has it. */
function wireOf({ fieldsArray }: protobuf.Type): string[] {
  return fieldsArray.map((field) => {
    const type = field instanceof protobuf.MapField ? `map<${field.keyType},${field.type}>` : field.type;
    return `${field.id} ${field.name} ${field.repeated ? '*' : ''}${type}`;
  });
}

it('speaks gRPC in the messages, numbers and types that are published', async () => {
  const text = await readFile(literalPath('server', 'lib/grpc/open_inference.proto'), 'utf8');
  const { root } = protobuf.parse(text, { keepCase: true });
  const service = root.lookupService('inference.GRPCInferenceService');
  expect(
    Object.fromEntries(
      service.methodsArray.map(({ name, requestType, responseType }) => [name, [requestType, responseType]]),
    ),
  ).toEqual(calls);
  expect(service.methodsArray.some(({ requestStream, responseStream }) => requestStream || responseStream)).toBe(false);
  for (const [name, fields] of Object.entries(messages))
    expect([name, wireOf(root.lookupType(`inference.${name}`))]).toEqual([name, fields]);
});

describe.skipIf(modules === '')('protocol', () => {
  let running: TestServer;
  let own: OpenApi;
  const url = (path: string): string => `${running.url}${path}`;

  beforeAll(async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    running = await startServer(artifact, join(dir, 'protocol'), modules, {
      env: { COMPRESS_MIN_BYTES: '100', BODY_LIMIT_BYTES: '100000' },
    });
    own = JSON.parse(await readFile(join(dir, 'protocol/openapi.json'), 'utf8')) as OpenApi;
  });
  afterAll(async () => {
    running.child.kill('SIGKILL');
    await running.exit;
  });

  it('ships an OpenAPI document that is one', async () => {
    for (const document of [own, published]) {
      expect(await new Validator().validate({ ...document })).toMatchObject({ valid: true });
    }
  });

  const request = { id: '42', inputs: [image], outputs: [{ name: 'scores' }] };
  it.each<[string, string, string, unknown, number]>([
    ['/v2/health/live', '/v2/health/live', 'get', undefined, 200],
    ['/v2/health/ready', '/v2/health/ready', 'get', undefined, 200],
    ['/v2/', '/v2', 'get', undefined, 200],
    ['/v2/models/tiny/versions/1', '/v2/models/tiny/versions/{version}', 'get', undefined, 200],
    ['/v2/models/tiny/versions/1/ready', '/v2/models/tiny/versions/{version}/ready', 'get', undefined, 200],
    ['/v2/models/tiny/versions/1/infer', '/v2/models/tiny/versions/{version}/infer', 'post', request, 200],
    ['/v2/models/tiny/versions/1/infer', '/v2/models/tiny/versions/{version}/infer', 'post', { inputs: [] }, 400],
    ['/v2/models/tiny/versions/7/infer', '/v2/models/tiny/versions/{version}/infer', 'post', request, 404],
    ['/v2/models/tiny', '/v2/models/tiny', 'get', undefined, 200],
    ['/v2/models/tiny/infer', '/v2/models/tiny/infer', 'post', request, 200],
  ])('answers %s as published and as it says itself', async (path, pattern, method, body, status) => {
    const response = await fetch(url(path), { method, body: body === undefined ? null : JSON.stringify(body) });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    const answer: unknown = await response.json();
    const general = path
      .replace('/models/tiny', '/models/{MODEL_NAME}')
      .replace(/\/versions\/\d/, '/versions/{MODEL_VERSION}');
    for (const [document, place] of [
      [own, pattern],
      [published as unknown as OpenApi, general],
    ] as const) {
      const operation = document.paths[place]?.[method];
      const schema = operation?.responses?.[String(status)]?.content?.['application/json'].schema;
      // The published document has neither the routes without a version nor every status.
      if (document === own) expect(operation, place).toBeDefined();
      if (schema === undefined) continue;
      const validate = checker(document)(schema);
      expect(validate(answer), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  it('describes requests that it takes, and not those that it refuses', () => {
    const validate = checker(own)(own.components.schemas.inference_request ?? {});
    expect(validate(request), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ inputs: [{ ...image, data: [[[pixels]]] }] })).toBe(true);
    for (const wrong of [
      {},
      { inputs: [] },
      { inputs: [{ ...image, name: 'x' }] },
      { inputs: [{ ...image, datatype: 'FP64' }] },
      { inputs: [{ ...image, shape: [144] }] },
      { inputs: [{ ...image, data: ['1'] }] },
      { inputs: [image], outputs: [{ name: 'y' }] },
    ]) {
      expect(validate(wrong), JSON.stringify(wrong)).toBe(false);
    }
  });

  it.each([
    ['gzip', gunzipSync],
    ['br', brotliDecompressSync],
  ] as const)('answers in %s where a client asks for it', async (encoding, decode) => {
    const { request: ask } = await import('node:http');
    const answer = await new Promise<{ headers: Record<string, unknown>; bytes: Buffer }>((resolve, reject) => {
      const headers = { 'accept-encoding': `identity;q=0.5, ${encoding}` };
      const call = ask(url('/v2/models/tiny/infer'), { method: 'POST', headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ headers: response.headers, bytes: Buffer.concat(chunks) }));
      });
      call.on('error', reject).end(JSON.stringify({ inputs: [image] }));
    });
    expect(answer.headers).toMatchObject({ 'content-encoding': encoding, vary: 'accept-encoding' });
    expect(answer.headers['content-length']).toBe(String(answer.bytes.length));
    expect(JSON.parse(decode(answer.bytes).toString('utf8')).outputs[0].shape).toEqual([1, 4]);
    const small = await fetch(url('/v2/health/live'), { headers: { 'accept-encoding': encoding } });
    expect(small.headers.get('content-encoding')).toBeNull();
  });

  it('answers as Triton’s clients ask: no content type, all outputs binary, other routes told with {error}', async () => {
    const { request: ask } = await import('node:http');
    const call = (method: string, path: string, body?: Buffer, headers: Record<string, string> = {}) =>
      new Promise<{ status: number; head: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
        const made = ask(url(path), { method, headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, head: response.headers, body: Buffer.concat(chunks) }),
          );
        });
        made.on('error', reject).end(body);
      });
    for (const path of ['/v2/health/live', '/v2/health/ready', '/v2', '/v2/models/tiny', '/v2/models/tiny/ready'])
      expect([path, (await call('GET', path)).status]).toEqual([path, 200]);
    const { data, ...rest } = image;
    // What tritonclient.http writes: its spaces, its order, True for all outputs where none is named.
    const head = Buffer.from(
      `{"id":"7","inputs":[${JSON.stringify({ ...rest, parameters: { binary_data_size: 576 } })}],"parameters":{"sequence_id":3,"sequence_start":true,"sequence_end":false,"priority":1,"timeout":2000000,"binary_data_output":true}}`,
    );
    const body = Buffer.concat([head, Buffer.from(Float32Array.from(data).buffer)]);
    const length = { 'inference-header-content-length': String(head.length) };
    for (const [encoding, encode, decode] of [
      ['identity', (bytes: Buffer) => bytes, (bytes: Buffer) => bytes],
      ['gzip', gzipSync, gunzipSync],
      ['deflate', deflateSync, inflateSync],
    ] as const) {
      const headers: Record<string, string> =
        encoding === 'identity' ? {} : { 'content-encoding': encoding, 'accept-encoding': encoding };
      const answer = await call('POST', '/v2/models/tiny/infer', encode(body), { ...length, ...headers });
      expect([encoding, answer.status]).toEqual([encoding, 200]);
      const isCompressed = answer.head['content-encoding'] !== undefined;
      const bytes = isCompressed ? decode(answer.body) : answer.body;
      const size = Number(answer.head['inference-header-content-length']);
      const json = JSON.parse(bytes.subarray(0, size).toString('utf8')) as Record<string, unknown>;
      expect(json).toMatchObject({
        id: '7',
        model_name: 'tiny',
        outputs: [{ name: 'scores', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }],
      });
      expect(bytes.length - size).toBe(16);
      const scores = Array.from({ length: 4 }, (_, at) => bytes.readFloatLE(size + 4 * at));
      expect(scores.every(Number.isFinite)).toBe(true);
      expect(new Set(scores).size).toBeGreaterThan(1);
    }
    const index = await call('POST', '/v2/repository/index', Buffer.alloc(0));
    expect([index.status, JSON.parse(index.body.toString('utf8'))]).toMatchObject([
      200,
      [{ name: 'tiny', version: '1' }],
    ]);
    for (const [method, path] of [
      ['GET', '/v2/models/tiny/config'],
      ['GET', '/v2/models/tiny/stats'],
      ['GET', '/v2/models/no%20such/ready'],
    ] as const) {
      const answer = await call(method, path);
      expect(answer.status, path).toBeGreaterThanOrEqual(400);
      expect(answer.status, path).toBeLessThan(500);
      expect(JSON.parse(answer.body.toString('utf8')), path).toMatchObject({ error: expect.any(String) });
    }
  });

  it('reads compressed requests, with binary tensors too, and no more of them than its limit', async () => {
    const post = async (body: Buffer, headers: Record<string, string>): Promise<[number, Record<string, unknown>]> => {
      const response = await fetch(url('/v2/models/tiny/infer'), {
        method: 'POST',
        body: new Uint8Array(body),
        headers,
      });
      return [response.status, (await response.json()) as Record<string, unknown>];
    };
    const [, plain] = await post(Buffer.from(JSON.stringify({ inputs: [image] })), {});
    const text = Buffer.from(JSON.stringify({ inputs: [image] }));
    expect(await post(gzipSync(text), { 'content-encoding': 'gzip' })).toEqual([200, plain]);
    expect(await post(brotliCompressSync(text), { 'content-encoding': 'br' })).toEqual([200, plain]);
    const { data, ...rest } = image;
    const head = JSON.stringify({ inputs: [{ ...rest, parameters: { binary_data_size: 576 } }] });
    const binary = Buffer.concat([Buffer.from(head), Buffer.from(Float32Array.from(data).buffer)]);
    const headers = { 'inference-header-content-length': String(head.length), 'content-encoding': 'gzip' };
    expect(await post(gzipSync(binary), headers)).toEqual([200, plain]);
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    expect(bomb.length).toBeLessThan(100_000);
    const [status, { error }] = await post(bomb, { 'content-encoding': 'gzip' });
    expect([status, error]).toEqual([413, 'the body is larger than 100000 bytes once decompressed']);
    for (const [body, encoding, code] of [
      [text, 'gzip', 400],
      [gzipSync(text).subarray(0, 50), 'gzip', 400],
      [gzipSync(text), 'br', 400],
      [gzipSync(text), 'deflate', 400],
      [gzipSync(gzipSync(text)), 'gzip, gzip', 415],
      [text, 'compress', 415],
      [text, '__proto__', 415],
    ] as const) {
      const [got, answer] = await post(body, { 'content-encoding': encoding });
      expect([got, typeof answer.error], encoding).toEqual([code, 'string']);
    }
    expect((await post(text, { 'content-encoding': 'identity' }))[0]).toBe(200);
  });
});
