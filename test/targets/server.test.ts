import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/target/inspect.ts';
import { parseManifest } from '../../src/target/manifest.ts';
import { loadGolden, type Replay } from '../../src/target/replay.ts';
import { replayHttp } from '../../src/target/replay-http.ts';
import type { Artifact } from '../../src/target/target.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { startServer, type TestServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules();
const dir = await tempDir();

interface Answer {
  readonly status: number;
  readonly body: {
    error?: string;
    id?: string;
    outputs?: { name: string; shape: number[]; datatype: string; data?: unknown[] }[];
  } & Record<string, unknown>;
  readonly headers: Headers;
}

async function call(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  return { status: response.status, body: (await response.json()) as Answer['body'], headers: response.headers };
}

const json = { 'content-type': 'application/json' };
const ones = Array(144).fill(1);
const good = { name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: ones };

describe.skipIf(modules === undefined)('server of a classifier', () => {
  let artifact: Artifact;
  let running: TestServer;
  let model: string;
  const infer = (body: unknown, headers: Record<string, string> = json): Promise<Answer> =>
    call(`${model}/infer`, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });

  beforeAll(async () => {
    artifact = await makeArtifact(dir, classifier, classifierFeeds);
    running = await startServer(artifact, join(dir, 'tiny'), modules ?? '', { env: { BODY_LIMIT_BYTES: '1000000' } });
    model = `${running.url}/v2/models/tiny`;
  });
  afterAll(async () => {
    running.child.kill('SIGKILL');
    await running.exit;
  });

  it('answers health and metadata, with and without version', async () => {
    expect(await call(`${running.url}/v2/health/live`)).toMatchObject({ status: 200, body: { live: true } });
    expect(await call(`${running.url}/v2/health/ready`)).toMatchObject({ status: 200, body: { ready: true } });
    expect((await call(`${running.url}/v2`)).body).toMatchObject({
      name: 'mlpack-server',
      extensions: ['binary_tensor_data', 'model_repository'],
    });
    const described = {
      name: 'tiny',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'image', datatype: 'FP32', shape: [-1, 1, 12, 12] }],
      outputs: [{ name: 'scores', datatype: 'FP32', shape: [-1, 4] }],
      properties: { variant: 'base', sha256: artifact.files[0]?.sha256 },
    };
    expect((await call(model)).body).toEqual(described);
    expect((await call(`${model}/versions/1`)).body).toEqual(described);
    for (const path of ['ready', 'versions/1/ready']) {
      expect(await call(`${model}/${path}`)).toMatchObject({ status: 200, body: { name: 'tiny', ready: true } });
    }
  });

  it('takes flat and nested data alike, echoes the id, and keeps the request id', async () => {
    const flat = await infer({ id: 'π', inputs: [good] }, { ...json, 'x-request-id': 'abc-1' });
    expect(flat.status).toBe(200);
    expect(flat.headers.get('x-request-id')).toBe('abc-1');
    expect(flat.body).toMatchObject({ model_name: 'tiny', model_version: '1', id: 'π' });
    const rows = Array.from({ length: 12 }, () => Array(12).fill(1));
    const nested = await infer({ inputs: [{ ...good, data: [[rows]] }], outputs: [{ name: 'scores' }] });
    expect(nested.body.outputs).toEqual(flat.body.outputs);
    expect(nested.body).not.toHaveProperty('id');
    const versioned = await call(`${model}/versions/1/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [good] }),
    });
    expect(versioned.body.outputs).toEqual(flat.body.outputs);
  });

  it('answers an empty batch with an empty tensor', async () => {
    const { status, body } = await infer({ inputs: [{ ...good, shape: [0, 1, 12, 12], data: [] }] });
    expect(status).toBe(200);
    expect(body.outputs).toEqual([{ name: 'scores', datatype: 'FP32', shape: [0, 4], data: [] }]);
  });

  it('takes null and an empty list of outputs as what is left out', async () => {
    const all = await infer({ inputs: [good] });
    for (const outputs of [[], null]) {
      const { status, body } = await infer({
        id: null,
        parameters: null,
        inputs: [{ ...good, parameters: null }],
        outputs,
      });
      expect(status).toBe(200);
      expect(body).toEqual(all.body);
    }
  });

  it('answers a raw body', async () => {
    const golden = artifact.golden[0];
    const response = await fetch(`${model}/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': '0' },
      body: new Uint8Array(golden?.inputs[0]?.bytes ?? []),
    });
    const length = Number(response.headers.get('inference-header-content-length'));
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(JSON.parse(bytes.toString('utf8', 0, length)).outputs).toEqual([
      { name: 'scores', datatype: 'FP32', shape: [2, 4], parameters: { binary_data_size: 32 } },
    ]);
    expect(bytes.subarray(length).equals(golden?.outputs[0]?.bytes ?? new Uint8Array())).toBe(true);
  });

  it.each<[string, unknown, string]>([
    ['no JSON', '{"inputs":', 'not valid JSON'],
    ['a list', [], 'must be a JSON object'],
    ['null', 'null', 'must be a JSON object'],
    ['no inputs', {}, 'inputs must be a list'],
    ['an id that is a number', { id: 7, inputs: [good] }, 'id must be a string'],
    ['an empty list', { inputs: [] }, 'input "image" is missing'],
    ['an input that is null', { inputs: [null] }, 'each input must be an object'],
    ['an input without a name', { inputs: [{ ...good, name: undefined }] }, 'an input has no name; the model has'],
    ['an unknown input', { inputs: [{ ...good, name: 'picture' }] }, 'no input "picture"; it has "image"'],
    ['a prototype name', { inputs: [{ ...good, name: '__proto__' }] }, 'no input "__proto__"'],
    ['an input twice', { inputs: [good, good] }, 'given twice'],
    ['another datatype', { inputs: [{ ...good, datatype: 'FP64' }] }, 'has datatype FP32, not "FP64"'],
    ['no datatype', { inputs: [{ ...good, datatype: undefined }] }, 'has datatype FP32, not undefined'],
    ['another rank', { inputs: [{ ...good, shape: [144] }] }, 'has shape [batch, 1, 12, 12], not [144]'],
    ['another dimension', { inputs: [{ ...good, shape: [1, 1, 12, 13] }] }, 'not [1, 1, 12, 13]'],
    ['a negative dimension', { inputs: [{ ...good, shape: [-1, 1, 12, 12] }] }, 'list of whole numbers'],
    ['half a dimension', { inputs: [{ ...good, shape: [1.5, 1, 12, 12] }] }, 'list of whole numbers'],
    ['a huge dimension', { inputs: [{ ...good, shape: [2 ** 50, 1, 12, 12] }] }, 'too large'],
    ['too few elements', { inputs: [{ ...good, data: [1] }] }, 'asks for 144 elements, and data has 1'],
    [
      'a shape that lies',
      { inputs: [{ ...good, shape: [1000000, 1, 12, 12] }] },
      'asks for 144000000 elements, and data has 144',
    ],
    ['ragged data', { inputs: [{ ...good, data: [[1, 2], 3] }] }, 'nested data does not have the shape'],
    ['data that is text', { inputs: [{ ...good, data: 'abc' }] }, 'data must be a list'],
    ['a string among numbers', { inputs: [{ ...good, data: [...ones.slice(1), '1'] }] }, '"1" is not a number'],
    ['a null among numbers', { inputs: [{ ...good, data: [...ones.slice(1), null] }] }, 'null is not a number'],
    ['an unknown output', { inputs: [good], outputs: [{ name: 'x' }] }, 'it has "scores"'],
    ['outputs that are no list', { inputs: [good], outputs: 'scores' }, 'outputs must be a list'],
    [
      'a number that float32 does not hold',
      { inputs: [{ ...good, data: [...ones.slice(1), 1e39] }] },
      '1e+39 is beyond',
    ],
    ['an output twice', { inputs: [good], outputs: [{ name: 'scores' }, { name: 'scores' }] }, 'asked for twice'],
    ['parameters that are a list', { inputs: [good], parameters: [] }, 'parameters must be an object'],
    ['a flag that is text', { inputs: [good], parameters: { binary_data_output: 'yes' } }, 'must be true or false'],
    ['shared memory', { inputs: [{ ...good, parameters: { shared_memory_region: 'x' } }] }, 'not supported'],
    [
      'classification',
      { inputs: [good], outputs: [{ name: 'scores', parameters: { classification: 2 } }] },
      'not supported',
    ],
    [
      'binary without its header',
      { inputs: [{ ...good, data: undefined, parameters: { binary_data_size: 576 } }] },
      'needs the header',
    ],
    [
      'a number that no float holds',
      `{"inputs":[${JSON.stringify(good).replace('"data":[1', '"data":[1e999')}]}`,
      'an infinity can be sent as binary data',
    ],
    ['deep JSON', `{"inputs":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'each input must be an object'],
    [
      'deep data',
      `{"inputs":[${JSON.stringify(good).replace(/"data":.*\]/, `"data":${'['.repeat(50_000)}${']'.repeat(50_000)}`)}]}`,
      'nested data',
    ],
  ])('refuses %s', async (_, body, message) => {
    const { status, body: answer } = await infer(body);
    expect(answer.error).toContain(message);
    expect(status).toBe(400);
  });

  it.each<[string, string, number, Record<string, unknown>, string]>([
    ['a header that is text', 'abc', 0, {}, 'not a whole number'],
    ['a header beyond the body', '99999', 0, {}, 'and the body has'],
    ['a size that is too small', '', 576, { binary_data_size: 572 }, 'take 576 bytes, and there are 572'],
    ['a size beyond the body', '', 576, { binary_data_size: 577 }, 'does not fit the 576 bytes'],
    ['a negative size', '', 576, { binary_data_size: -1 }, 'does not fit'],
    ['bytes that belong to nothing', '', 580, { binary_data_size: 576 }, '4 bytes after the last'],
  ])('refuses binary tensors with %s', async (_, header, size, parameters, message) => {
    const head = JSON.stringify({ inputs: [{ ...good, data: undefined, parameters }] });
    const body = Buffer.concat([Buffer.from(head), Buffer.alloc(size)]);
    const headers = { 'inference-header-content-length': header || String(head.length) };
    const answer = await call(`${model}/infer`, { method: 'POST', headers, body });
    expect(answer.body.error).toContain(message);
    expect(answer.status).toBe(400);
  });

  it('refuses unknown places, large bodies, encodings, and what is not HTTP, always with {error}', async () => {
    const missing = await call(`${running.url}/v2/models/other`);
    expect(missing).toMatchObject({
      status: 404,
      body: { error: 'there is no model "other"; this server has "tiny"' },
    });
    expect((await call(`${model}/versions/2`)).status).toBe(404);
    for (const path of ['/', '/v2/../etc/passwd', '/v2/models/%2e%2e%2f', '/v2/models/tiny/infer', '/v2/%zz']) {
      const { status, body } = await call(`${running.url}${path}`);
      expect([400, 404], path).toContain(status);
      expect(typeof body.error, path).toBe('string');
    }
    const large = await infer(' '.repeat(1_000_001));
    expect(large.status).toBe(413);
    expect(typeof large.body.error).toBe('string');
    expect((await infer('{}', { ...json, 'content-encoding': 'compress' })).status).toBe(415);
    expect((await call(`${model}/infer`, { method: 'POST' })).body.error).toContain('not valid JSON');
    expect(await talk(running.port, 'NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400[\s\S]*\{"error":"/);
  });

  it('answers many at once, each its own', async () => {
    const requests = Array.from({ length: 40 }, (_, n) =>
      infer({ id: String(n), inputs: [{ ...good, data: ones.map(() => n / 40) }] }),
    );
    const answers = await Promise.all(requests);
    expect(answers.map(({ body }) => body.id)).toEqual(requests.map((_, n) => String(n)));
    const alone = await infer({ inputs: [{ ...good, data: ones.map(() => 39 / 40) }] });
    expect(answers[39]?.body.outputs).toEqual(alone.body.outputs);
  });

  it('logs requests without what is in them', () => {
    const lines = running.log().trim().split('\n');
    for (const line of lines) expect(() => JSON.parse(line)).not.toThrow();
    expect(running.log()).toContain('/v2/models/tiny/infer');
    expect(running.log()).not.toMatch(/1,1,1,1|"data"/);
  });
});

function talk(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe.skipIf(modules === undefined)('server of every element type', () => {
  let running: TestServer;
  let model: string;
  let replays: Replay[];
  const findings: Finding[] = [];
  const place = join(dir, 'types');

  beforeAll(async () => {
    const artifact = await makeArtifact(dir, everyType, everyTypeFeeds);
    running = await startServer(artifact, place, modules ?? '');
    model = `${running.url}/v2/models/types`;
    const manifest = parseManifest(await readFile(join(place, 'mlpack.json'), 'utf8'));
    replays = await replayHttp(running.url, manifest, await loadGolden(place, manifest), findings, {
      timeoutMs: 30_000,
    });
  });
  afterAll(async () => {
    running.child.kill('SIGKILL');
    await running.exit;
  });

  it('hands every type through, as JSON and as binary', () => {
    expect(findings).toEqual([]);
    expect(replays.map(({ how, ok, cases, maxAbs }) => ({ how, ok, cases, maxAbs }))).toEqual([
      { how: 'JSON over HTTP', ok: true, cases: 1, maxAbs: 0 },
      { how: 'binary tensors over HTTP', ok: true, cases: 1, maxAbs: 0 },
    ]);
  });

  const rows: Record<string, [string, unknown[]]> = {
    bool_in: ['BOOL', [true]],
    text_in: ['BYTES', ['x']],
    half_in: ['FP16', [0.1]],
    double_in: ['FP64', [0.1]],
    i8_in: ['INT8', [1]],
    i16_in: ['INT16', [1]],
    i32_in: ['INT32', [1]],
    i64_in: ['INT64', [1]],
    u8_in: ['UINT8', [1]],
    u16_in: ['UINT16', [1]],
    u32_in: ['UINT32', [1]],
    u64_in: ['UINT64', [1]],
    a: ['FP32', [1, 2]],
    b: ['FP32', [1, 2]],
  };

  function request(changes: Record<string, unknown[]>, outputs: unknown[] = [{ name: 'half_out' }]) {
    const inputs = Object.entries(rows).map(([name, [datatype, data]]) => {
      const values = changes[name] ?? data;
      const wide = name === 'a' || name === 'b';
      return { name, datatype, shape: wide ? [values.length / 2, 2] : [values.length], data: values };
    });
    return call(`${model}/infer`, { method: 'POST', headers: json, body: JSON.stringify({ inputs, outputs }) });
  }

  it('gives only the outputs that are asked for, in that order, halves rounded to nearest', async () => {
    const { body } = await request({}, [{ name: 'half_out' }, { name: 'bool_out' }]);
    expect(body.outputs).toEqual([
      { name: 'half_out', datatype: 'FP16', shape: [1], data: [0.0999755859375] },
      { name: 'bool_out', datatype: 'BOOL', shape: [1], data: [true] },
    ]);
  });

  it.each<[string, unknown[], string]>([
    ['bool_in', [1], '1 is neither true nor false'],
    ['text_in', [1], '1 is not a string'],
    ['i8_in', [128], 'from -128 to 127'],
    ['i32_in', [1.5], '1.5 is not a whole number'],
    ['u8_in', [-1], 'from 0 to 255'],
    ['i64_in', [2 ** 53], 'send it as binary data'],
    ['u64_in', [-1], 'not a whole number'],
    ['double_in', [{}], 'an object is not a number'],
    ['half_in', [65520], '65520 is beyond the largest number of FP16'],
  ])('refuses %s = %j', async (name, data, message) => {
    const { status, body } = await request({ [name]: data });
    expect(body.error).toContain(`input "${name}": `);
    expect(body.error).toContain(message);
    expect(status).toBe(400);
  });

  it('holds a shared dimension to one number', async () => {
    const { status, body } = await request({ b: [1, 2, 3, 4] });
    expect(status).toBe(400);
    expect(body.error).toBe('"n" is 1 in input "bool_in" and 2 in input "b"');
  });

  it('says that JSON cannot carry an infinity, and takes it as binary', async () => {
    const inputs = Object.entries(rows).map(([name, [datatype, data]]) => {
      const shape = name === 'a' || name === 'b' ? [1, 2] : [1];
      if (name === 'half_in') return { name, datatype, shape, parameters: { binary_data_size: 2 } };
      return { name, datatype, shape, data };
    });
    const head = JSON.stringify({ inputs, outputs: [{ name: 'half_out' }] });
    const text = await call(`${model}/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.length) },
      body: Buffer.concat([Buffer.from(head), Buffer.from([0x00, 0x7c])]),
    });
    expect(text.status).toBe(400);
    expect(text.body.error).toBe('output "half_out": Infinity has no form in JSON; ask for it with binary_data');
  });
});

describe.skipIf(modules === undefined)('server of a model that counts', () => {
  const counts = `<ir_version: 8, opset_import: ["" : 17]>
    counts (int64 n, float[1, 2] x) => (float[1, 2] y, int64 next) {
      times = Cast <to = 1> (n)
      y = Mul (x, times)
      one = Constant <value_int = 1> ()
      next = Add (n, one)
    }`;
  const feeds = [3n, 0n].map((n) => ({
    n: new ort.Tensor('int64', BigInt64Array.of(n), []),
    x: new ort.Tensor('float32', Float32Array.of(1, 2), [1, 2]),
  }));

  it('takes and gives numbers that have no dimension', async () => {
    const place = join(dir, 'counts');
    const running = await startServer(await makeArtifact(dir, counts, feeds), place, modules ?? '');
    try {
      const manifest = parseManifest(await readFile(join(place, 'mlpack.json'), 'utf8'));
      const findings: Finding[] = [];
      const golden = await loadGolden(place, manifest);
      const replays = await replayHttp(running.url, manifest, golden, findings, { timeoutMs: 30_000 });
      expect(findings).toEqual([]);
      expect(replays.map(({ ok, cases }) => [ok, cases])).toEqual([
        [true, 2],
        [true, 2],
      ]);
    } finally {
      running.child.kill('SIGKILL');
      await running.exit;
    }
  });
});

describe.skipIf(modules === undefined)('life of a server', () => {
  // Again where the machine has stalled for the half second in which another request of a connection is still taken.
  it('finishes what is running on SIGTERM, turns not ready, ends with 0', { retry: 2 }, async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const { url, child, exit, port } = await startServer(artifact, join(dir, 'drain'), modules ?? '');
    const body = JSON.stringify({ inputs: [good] });
    const head = `POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
    const socket = connect(port, '127.0.0.1', () => socket.write(head + body.slice(0, 100)));
    const slow = new Promise<string>((resolve) => {
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.on('close', () => resolve(answer));
    });
    await once(socket, 'connect');
    let twice = '';
    const again = connect(port, '127.0.0.1', () => again.write(head + body));
    again.on('data', (chunk) => (twice += chunk.toString()));
    again.on('error', () => {});
    const ended = new Promise((resolve) => again.once('close', resolve));
    // The server, which takes connections in their order, has both then.
    await expect.poll(() => twice, { interval: 5 }).toContain('"model_name":"tiny"');
    child.kill('SIGTERM');
    const listens = (): Promise<boolean> =>
      fetch(`${url}/v2/health/live`).then(
        () => true,
        () => false,
      );
    await expect.poll(listens, { interval: 5 }).toBe(false);
    again.write(head + body);
    socket.write(body.slice(100));
    await ended;
    expect(twice).toMatch(
      /^HTTP\/1\.1 200[\s\S]*HTTP\/1\.1 200[\s\S]*\r\nconnection: close\r\n[\s\S]*"model_name":"tiny"/i,
    );
    expect(await slow).toMatch(/^HTTP\/1\.1 200[\s\S]*"model_name":"tiny"/);
    expect(await exit).toBe(0);
  });

  it('does not serve a model that was changed', async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const place = join(dir, 'tampered');
    const first = await startServer(artifact, place, modules ?? '');
    first.child.kill('SIGTERM');
    expect(await first.exit).toBe(0);
    const file = join(place, 'model/model.onnx');
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const second = await startServer(artifact, place, modules ?? '', { ready: false });
    expect(await second.exit).toBe(2);
    expect(second.log()).toContain('model/model.onnx is not the file that mlpack.json describes');
  });

  it('refuses settings that make no sense', async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const place = join(dir, 'settings');
    const start = async (env: Record<string, string>): Promise<string> => {
      const { exit, log } = await startServer(artifact, place, modules ?? '', { env, ready: false });
      expect(await exit).toBe(2);
      return log();
    };
    const [line = '', ...others] = (await start({ PORT: '99999' })).split('\n');
    expect([JSON.parse(line).msg, others]).toEqual([
      'PORT must be a whole number from 0 to 65535, and is "99999"',
      [''],
    ]);
    expect(await start({ LOG_LEVEL: 'loud' })).toContain('LOG_LEVEL must be one of fatal,');
  });
});
