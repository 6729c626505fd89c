/** The gRPC service of the server bundle, by clients made from its .proto: grpc-js, and Python's where Debian's packages are. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { literalPath } from '../../src/target/literal.ts';
import { freePort } from '../../src/target/process.ts';
import type { Artifact } from '../../src/target/target.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { startServer, type TestServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules() ?? '';
const dir = await tempDir();
const proto = literalPath('server', 'lib/grpc/open_inference.proto');
const key = 'a-key-that-is-long-enough';

interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: (number | string)[];
  readonly contents?: Record<string, unknown[]> | null;
}
interface Answer {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly outputs: Tensor[];
  readonly raw_output_contents: Buffer[];
}
interface Failure extends Error {
  readonly code: number;
  readonly details: string;
  readonly metadata: { get(name: string): unknown[] };
}
type Call = (name: string, message: unknown, headers?: Record<string, string>) => Promise<Record<string, unknown>>;

/** A client by grpc-js, from the packages of the bundle. */
function clientOf(port: number): { call: Call; close: () => void } {
  const require = createRequire(join(modules, 'x.js'));
  const grpc = require('@grpc/grpc-js');
  const { inference } = grpc.loadPackageDefinition(
    require('@grpc/proto-loader').loadSync(proto, { keepCase: true, longs: String, defaults: true, arrays: true }),
  );
  const client = new inference.GRPCInferenceService(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const call: Call = (name, message, headers = {}) =>
    new Promise((resolve, reject) => {
      const metadata = new grpc.Metadata();
      for (const [header, value] of Object.entries(headers)) metadata.set(header, value);
      client[name](message, metadata, (error: Failure | null, answer: Record<string, unknown>) =>
        error ? reject(error) : resolve(answer),
      );
    });
  return { call, close: () => client.close() };
}

const failed = (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(
    () => {
      throw new Error('it was answered');
    },
    (error: Failure) => error,
  );

const pixels = Array.from({ length: 144 }, (_, i) => (i % 7) / 7);
const image = { name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12] };
const listed = { ...image, contents: { fp32_contents: pixels } };
const raw = Buffer.from(Float32Array.from(pixels).buffer);

describe.skipIf(modules === '')('gRPC', () => {
  let running: TestServer;
  let artifact: Artifact;
  let grpcPort: number;
  let call: Call;
  let close: () => void;
  const infer = async (message: object, headers?: Record<string, string>): Promise<Answer> =>
    (await call('ModelInfer', { model_name: 'tiny', ...message }, headers)) as unknown as Answer;

  beforeAll(async () => {
    artifact = await makeArtifact(dir, classifier, classifierFeeds);
    grpcPort = await freePort();
    running = await startServer(artifact, join(dir, 'grpc'), modules, {
      env: {
        GRPC_PORT: String(grpcPort),
        BODY_LIMIT_BYTES: '100000',
        WORKERS: '1',
        BATCH_MAX: '8',
        BATCH_DELAY_MS: '20',
      },
    });
    ({ call, close } = clientOf(grpcPort));
  });
  afterAll(async () => {
    close();
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  });

  it('says who it is and what the model takes', async () => {
    expect(await call('ServerLive', {})).toEqual({ live: true });
    expect(await call('ServerReady', {})).toEqual({ ready: true });
    expect(await call('ModelReady', { name: 'tiny', version: '1' })).toEqual({ ready: true });
    expect(await call('ServerMetadata', {})).toMatchObject({ name: 'mlpack-server' });
    expect(await call('ModelMetadata', { name: 'tiny' })).toEqual({
      name: 'tiny',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'image', datatype: 'FP32', shape: ['-1', '1', '12', '12'] }],
      outputs: [{ name: 'scores', datatype: 'FP32', shape: ['-1', '4'] }],
    });
  });

  it('answers lists with lists, raw bytes with raw bytes, as over HTTP', async () => {
    const response = await fetch(`${running.url}/v2/models/tiny/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ ...image, data: pixels }] }),
    });
    const { outputs } = (await response.json()) as { outputs: [{ data: number[] }] };
    const want = Float32Array.from(outputs[0].data);
    const lists = await infer({ id: 'π', inputs: [listed] });
    expect(lists).toMatchObject({ model_name: 'tiny', model_version: '1', id: 'π', raw_output_contents: [] });
    expect(lists.outputs[0]).toMatchObject({ name: 'scores', datatype: 'FP32', shape: ['1', '4'] });
    expect(Float32Array.from((lists.outputs[0]?.contents?.fp32_contents ?? []) as number[])).toEqual(want);
    const bytes = await infer({ inputs: [image], raw_input_contents: [raw], outputs: [{ name: 'scores' }] });
    expect(bytes.outputs[0]?.contents).toBeNull();
    expect(bytes.raw_output_contents[0]?.equals(Buffer.from(want.buffer))).toBe(true);
  });

  it('takes an infinity, which a message can hold', async () => {
    const contents = { fp32_contents: [Number.NEGATIVE_INFINITY, ...pixels.slice(1)] };
    const { outputs } = await infer({ inputs: [{ ...image, contents }] });
    expect(outputs[0]?.contents?.fp32_contents).toHaveLength(4);
  });

  it('runs requests of both kinds of clients together', async () => {
    const runs = async (): Promise<number> => {
      const text = await (await fetch(`${running.url}/metrics`)).text();
      return Number(text.match(/^nv_inference_exec_count\{.*\} (\d+)/m)?.[1]);
    };
    const before = await runs();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => infer({ id: `${n}`, inputs: [image], raw_input_contents: [raw] })),
    );
    expect(answers.map(({ id }) => id)).toEqual(answers.map((_, n) => `${n}`));
    expect((await runs()) - before).toBeLessThan(30);
  });

  it.each<[string, object, number, string]>([
    ['another model', { model_name: 'x' }, 5, 'there is no model "x"'],
    ['another version', { model_version: '9' }, 5, 'has no version "9"'],
    ['no inputs', {}, 3, 'input "image" is missing'],
    ['too few elements', { inputs: [{ ...image, contents: { fp32_contents: [1] } }] }, 3, 'fp32_contents has 1'],
    ['the wrong list', { inputs: [{ ...listed, contents: { int_contents: [1] } }] }, 3, 'fp32_contents has 0'],
    [
      'two lists',
      { inputs: [{ ...image, contents: { fp32_contents: pixels, int_contents: [1] } }] },
      3,
      'not int_contents',
    ],
    ['raw bytes that are cut', { inputs: [image], raw_input_contents: [raw.subarray(4)] }, 3, 'take 576 bytes'],
    ['raw bytes for nothing', { inputs: [image], raw_input_contents: [raw, raw] }, 3, '2 entries for 1 inputs'],
    ['both forms', { inputs: [listed], raw_input_contents: [raw] }, 3, 'both contents and raw'],
    ['a huge shape', { inputs: [{ ...image, shape: ['9007199254740993', 1, 12, 12] }] }, 3, 'list of whole numbers'],
    ['an unknown output', { inputs: [listed], outputs: [{ name: 'y' }] }, 3, 'it has "scores"'],
    [
      'shared memory',
      { inputs: [{ ...image, parameters: { shared_memory_region: { string_param: 'x' } } }] },
      3,
      'not supported',
    ],
    ['too large a message', { inputs: [image], raw_input_contents: [Buffer.alloc(200_000)] }, 8, 'larger than max'],
  ])('refuses %s', async (_, message, code, words) => {
    const { code: got, details } = await failed(infer(message));
    expect(details).toContain(words);
    expect(got).toBe(code);
  });

  it('is spoken to by Python, from the same .proto', ({ skip }) => {
    const python = '/usr/bin/python3';
    try {
      execFileSync(python, ['-c', 'import grpc, google.protobuf'], { stdio: 'ignore' });
    } catch {
      note('no gRPC for Python (Debian: python3-grpcio, python3-protobuf): its client is not tested');
      return skip();
    }
    if (!has('protoc')) return skip();
    execFileSync('protoc', [`--python_out=${dir}`, `--proto_path=${join(proto, '..')}`, proto]);
    writeFileSync(
      join(dir, 'ask.py'),
      `import struct, sys, grpc
import open_inference_pb2 as p
channel = grpc.insecure_channel('127.0.0.1:' + sys.argv[1])
infer = channel.unary_unary('/inference.GRPCInferenceService/ModelInfer', p.ModelInferRequest.SerializeToString, p.ModelInferResponse.FromString)
request = p.ModelInferRequest(model_name='tiny', id='py')
tensor = request.inputs.add(name='image', datatype='FP32', shape=[2, 1, 12, 12])
request.raw_input_contents.append(struct.pack('<288f', *([0.5] * 288)))
answer = infer(request, timeout=10)
print(answer.id, list(answer.outputs[0].shape), len(answer.raw_output_contents[0]))
`,
    );
    const text = execFileSync(python, [join(dir, 'ask.py'), String(grpcPort)], { encoding: 'utf8' });
    expect(text.trim()).toBe('py [2, 4] 32');
  });
});

describe.skipIf(modules === '')('gRPC with keys and limits', () => {
  it('asks for a key before it reads the message, limits the rate, and says when to come back', async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const port = await freePort();
    const running = await startServer(artifact, join(dir, 'keys'), modules, {
      env: { GRPC_PORT: String(port), API_KEYS: `team:${key}`, RATE_LIMIT: '1', RATE_BURST: '2' },
    });
    const { call, close } = clientOf(port);
    const ask = (headers?: Record<string, string>): Promise<unknown> =>
      call('ModelInfer', { model_name: 'tiny', inputs: [listed] }, headers);
    expect(await call('ServerReady', {})).toEqual({ ready: true });
    expect(await failed(ask())).toMatchObject({ code: 16 });
    expect(await failed(call('ModelMetadata', { name: 'tiny' }))).toMatchObject({ code: 16 });
    await ask({ authorization: `Bearer ${key}` });
    await ask({ 'x-api-key': key });
    // One more each second: on a machine that stalls the third may still be answered.
    let refused: Failure | undefined;
    for (let tries = 0; tries < 50 && refused === undefined; tries++)
      await ask({ 'x-api-key': key }).catch((error) => {
        refused = error;
      });
    expect(refused?.code).toBe(8);
    expect(refused?.metadata.get('retry-after')).toEqual(['1']);
    close();
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  });

  it('carries every element type, 64-bit numbers exactly', async () => {
    const artifact = await makeArtifact(dir, everyType, everyTypeFeeds);
    const port = await freePort();
    const running = await startServer(artifact, join(dir, 'types'), modules, { env: { GRPC_PORT: String(port) } });
    const { call, close } = clientOf(port);
    const [golden] = artifact.golden;
    const inputs = artifact.inputs.map(({ name }) => {
      const tensor = golden?.inputs.find((one) => one.name === name);
      return { name, shape: [...(tensor?.shape ?? [])], bytes: Buffer.from(tensor?.bytes ?? []) };
    });
    const metadata = (await call('ModelMetadata', { name: 'types' })) as unknown as { inputs: Tensor[] };
    const datatypeOf = (name: string): string => metadata.inputs.find((one) => one.name === name)?.datatype ?? '';
    const answer = (await call('ModelInfer', {
      model_name: 'types',
      inputs: inputs.map(({ name, shape }) => ({ name, shape, datatype: datatypeOf(name) })),
      raw_input_contents: inputs.map(({ bytes }) => bytes),
    })) as unknown as Answer;
    for (const [i, { name }] of answer.outputs.entries()) {
      const want = Buffer.from(golden?.outputs.find((one) => one.name === name)?.bytes ?? []);
      expect(answer.raw_output_contents[i]?.equals(want), name).toBe(true);
    }
    close();
    running.child.kill('SIGKILL');
    await running.exit;
  });
});
