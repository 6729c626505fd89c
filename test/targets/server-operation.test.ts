/** A server in operation: versions that come and go, keys, limits, caches, platforms' own routes, metrics. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, rmSync } from 'node:fs';
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import type { Artifact } from '../../src/target/target.ts';
import { server } from '../../targets/server/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { reachable } from './support/brokers.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { startServer, type TestServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules() ?? '';
const dir = await tempDir();
const ones = Array(144).fill(1);
const good = { name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: ones };
const key = 'a-key-that-is-long-enough';
const adminKey = 'another-key-for-operators';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(url, { method: 'POST', body: text, headers });
  const answer = await response.text();
  const parsed = answer === '' ? {} : (JSON.parse(answer) as Record<string, unknown>);
  return { status: response.status, headers: response.headers, body: parsed };
}

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1200; i++) {
    if (await what()) return;
    await sleep(25);
  }
  throw new Error('it does not come about');
}

async function end({ child, exit }: TestServer): Promise<number | null> {
  child.kill('SIGTERM');
  return exit;
}

/** The classifier with its last bias changed: the same signature, other answers. */
const other = classifier.replace('random(3, -0.1, 0.1)', 'random(9, -5, 5)');

describe.skipIf(modules === '')('versions', () => {
  const models = join(dir, 'models');
  let running: TestServer;
  let second: Artifact;
  const auth = { authorization: `Bearer ${adminKey}` };
  const version = async (): Promise<unknown> =>
    (await post(`${running.url}/v2/models/tiny/infer`, { inputs: [good] })).body.model_version;

  beforeAll(async () => {
    await mkdir(models);
    await mkdir(join(dir, 'other'));
    second = { ...(await makeArtifact(join(dir, 'other'), other, classifierFeeds)), name: 'tiny' };
    running = await startServer(await makeArtifact(dir, classifier, classifierFeeds), join(dir, 'versions'), modules, {
      env: { MODELS_DIR: models, RELOAD_SECONDS: '1', ADMIN_KEYS: adminKey },
    });
  });
  afterAll(() => end(running));

  it('takes a new version over while it serves, keeps the one before, and goes back', async () => {
    expect(await version()).toBe('1');
    await buildBundle(server, second, {}, join(models, 'tiny/2'));
    await until(async () => (await version()) === '2');
    const answers = await Promise.all(
      ['1', '2'].map((one) => post(`${running.url}/v2/models/tiny/versions/${one}/infer`, { inputs: [good] })),
    );
    expect(answers.map(({ status, body }) => [status, body.model_version])).toEqual([
      [200, '1'],
      [200, '2'],
    ]);
    expect(answers[0]?.body.outputs).not.toEqual(answers[1]?.body.outputs);
    const rollback = `${running.url}/v2/repository/models/tiny/rollback`;
    expect((await post(rollback, '')).status).toBe(401);
    expect((await post(rollback, '', { authorization: `Bearer ${key}` })).status).toBe(401);
    expect(await post(rollback, '', auth)).toMatchObject({ status: 200, body: { version: '1' } });
    expect(await version()).toBe('1');
    expect(await post(rollback, '', auth)).toMatchObject({ status: 409 });
    expect(await post(rollback, { version: '2' }, auth)).toMatchObject({ status: 200 });
    expect(await version()).toBe('2');
    await writeFile(join(models, 'tiny/default-version'), '1\n');
    await until(async () => (await version()) === '1');
    await writeFile(join(models, 'tiny/default-version'), '7\n');
    await until(async () => (await version()) === '2');
    await until(async () => running.log().includes('names no version that is served here'));
    expect(running.log()).toMatch(/"asked":"7","version":"2"/);
    rmSync(join(models, 'tiny/default-version'));
    await until(async () => (await version()) === '2');
  });

  it('takes a version whose folder is a link', async () => {
    await symlink(join(models, 'tiny/2'), join(models, 'tiny/4'));
    await until(async () => (await version()) === '4');
    rmSync(join(models, 'tiny/4'));
    await until(async () => (await version()) === '2');
  });

  it('stays with what it has when a new version is damaged, and says why', async () => {
    cpSync(join(models, 'tiny/2'), join(models, 'tiny/.3'), { recursive: true });
    const file = join(models, 'tiny/.3/model/model.onnx');
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(file, bytes);
    // Whole at once: half a copy is a failure of its own.
    await rename(join(models, 'tiny/.3'), join(models, 'tiny/3'));
    await until(async () => (await metric(running.url, 'mlpack_model_load_failures_total')) === 1);
    const { body } = await post(`${running.url}/v2/repository/index`, '');
    expect(body).toContainEqual(expect.objectContaining({ name: 'tiny', version: '3', state: 'UNAVAILABLE' }));
    expect(JSON.stringify(body)).toContain('is not the file that mlpack.json describes');
    expect(await version()).toBe('2');
  });

  it('looks through the other models where the folder of one cannot be used', async () => {
    await mkdir(join(models, 'a/1/mlpack.json'), { recursive: true });
    await mkdir(join(models, 'b/default-version'), { recursive: true });
    await mkdir(join(models, 'c/1'), { recursive: true });
    // Nobody writes to it: who reads it waits for ever.
    execFileSync('mkfifo', [join(models, 'c/1/mlpack.json')]);
    cpSync(join(models, 'tiny/2'), join(models, 'tiny/.5'), { recursive: true });
    await rename(join(models, 'tiny/.5'), join(models, 'tiny/5'));
    await until(async () => (await version()) === '5');
    const { body } = await post(`${running.url}/v2/repository/index`, '');
    const reasons = ['a/1/mlpack.json is a folder', 'c/1/mlpack.json is no plain file'];
    for (const reason of reasons)
      expect(body).toContainEqual(expect.objectContaining({ reason: expect.stringContaining(reason) }));
    expect(running.log().split('a model could not be looked through; the others go on')).toHaveLength(2);
    for (const name of ['a', 'b', 'c', 'tiny/5']) rmSync(join(models, name), { recursive: true });
    await until(async () => (await version()) === '2');
  });

  it('does not take a version that answers its golden cases differently', async () => {
    const wrong = {
      ...second,
      golden: second.golden.map(({ outputs, ...rest }) => ({
        ...rest,
        outputs: outputs.map((tensor) => ({ ...tensor, bytes: new Uint8Array(tensor.bytes.length) })),
      })),
    };
    const failures = (): Promise<number> => metric(running.url, 'mlpack_model_load_failures_total');
    const before = await failures();
    await buildBundle(server, wrong, {}, join(models, 'tiny/4'));
    await until(async () => (await failures()) === before + 1);
    await until(async () => running.log().includes('golden case 0 comes out differently'));
    expect(await version()).toBe('2');
  });

  it('goes on with its own version where a folder has its number', async () => {
    const url = `${running.url}/v2/models/tiny/versions/1/infer`;
    const before = await post(url, { inputs: [good] });
    const reload = (): Promise<unknown> => post(`${running.url}/v2/repository/models/tiny/load`, '', auth);
    const states = async (): Promise<string[]> => {
      const { body } = await post(`${running.url}/v2/repository/index`, '');
      const rows = body as unknown as { name: string; version: string; state: string; reason: string }[];
      return rows.filter((row) => row.name === 'tiny' && row.version === '1').map((row) => row.state + row.reason);
    };
    cpSync(join(dir, 'versions'), join(models, 'tiny/1'), { recursive: true });
    await reload();
    expect(await states()).toEqual(['READY']);
    rmSync(join(models, 'tiny/1'), { recursive: true });
    await buildBundle(server, second, {}, join(models, 'tiny/1'));
    await reload();
    expect(await states()).toEqual(['READY', expect.stringContaining("is the one in this server's own bundle")]);
    expect((await post(url, { inputs: [good] })).body).toEqual(before.body);
    rmSync(join(models, 'tiny/1'), { recursive: true });
    await reload();
    expect(await states()).toEqual(['READY']);
    expect((await post(url, { inputs: [good] })).body).toEqual(before.body);
  });

  it('serves another model beside it, and lets go of what is removed', async () => {
    const beside = { ...second, name: 'beside' };
    await buildBundle(server, beside, {}, join(models, 'beside/7'));
    const url = `${running.url}/v2/models/beside`;
    await until(async () => (await fetch(`${url}/ready`)).status === 200);
    expect((await post(`${url}/infer`, { inputs: [good] })).body).toMatchObject({
      model_name: 'beside',
      model_version: '7',
    });
    rmSync(join(models, 'beside'), { recursive: true });
    await until(async () => (await fetch(`${url}/ready`)).status === 404);
    rmSync(join(models, 'tiny'), { recursive: true });
    await until(async () => (await version()) === '1');
  });
});

describe.skipIf(modules === '')('many clients', () => {
  let running: TestServer;
  const headers = { 'x-api-key': key };
  beforeAll(async () => {
    running = await startServer(await makeArtifact(dir, classifier, classifierFeeds), join(dir, 'many'), modules, {
      env: {
        API_KEYS: `team:${key}`,
        BATCH_MAX: '8',
        BATCH_DELAY_MS: '20',
        WORKERS: '1',
        AIP_HEALTH_ROUTE: '/vertex/health',
        AIP_PREDICT_ROUTE: '/vertex/predict',
      },
    });
  });
  afterAll(() => end(running));
  const infer = `v2/models/tiny/infer`;

  it('asks for a key, except for health and metrics', async () => {
    expect((await post(`${running.url}/${infer}`, { inputs: [good] })).status).toBe(401);
    expect((await post(`${running.url}/nowhere`, '')).status).toBe(401);
    expect((await post(`${running.url}/${infer}`, { inputs: [good] }, headers)).status).toBe(200);
    for (const path of ['v2/health/live', 'v2/health/ready', 'metrics', 'ping', 'vertex/health']) {
      expect((await fetch(`${running.url}/${path}`)).status, path).toBe(200);
    }
  });

  it('runs requests together and gives each its own rows', async () => {
    const ask = (n: number): Promise<Answer> => {
      const rows = 1 + (n % 3);
      const data = Array.from({ length: rows * 144 }, (_, i) => ((i * 7 + n * 13) % 100) / 100);
      const inputs = [{ ...good, shape: [rows, 1, 12, 12], data }];
      return post(`${running.url}/${infer}`, { id: `${n}`, inputs }, headers);
    };
    const alone: Answer[] = [];
    for (let n = 0; n < 40; n++) alone.push(await ask(n));
    // How many arrive while a run is on depends on how fast this client asks, and so on what else the machine does.
    let together: Answer[] = [];
    const batches: number[] = [];
    while (batches.length < 4 && !batches.some((count) => count < 30)) {
      const runs = await metric(running.url, 'nv_inference_exec_count');
      together = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(n)));
      batches.push((await metric(running.url, 'nv_inference_exec_count')) - runs);
    }
    expect(Math.min(...batches)).toBeLessThan(30);
    for (const [n, { body }] of together.entries()) {
      expect(body.id).toBe(`${n}`);
      const [got] = body.outputs as { shape: number[]; data: number[] }[];
      const [want] = alone[n]?.body.outputs as { shape: number[]; data: number[] }[];
      expect(got?.shape).toEqual(want?.shape);
      for (const [i, value] of got?.data.entries() ?? []) expect(value).toBeCloseTo(want?.data[i] ?? Number.NaN, 4);
    }
  });

  it('answers in the words of SageMaker and Vertex AI', async () => {
    const rows = Array.from({ length: 12 }, () => Array(12).fill(1));
    const plain = await post(`${running.url}/${infer}`, { inputs: [good] }, headers);
    const [{ data }] = plain.body.outputs as [{ data: number[] }];
    for (const path of ['vertex/predict', 'invocations']) {
      for (const instance of [[rows], { image: [rows] }]) {
        const { status, body } = await post(`${running.url}/${path}`, { instances: [instance, instance] }, headers);
        expect([status, (body.predictions as number[][])[1]?.length], path).toEqual([200, 4]);
        expect((body.predictions as number[][])[1]?.[0]).toBeCloseTo(data[0] ?? 0, 5);
      }
    }
    expect((await post(`${running.url}/invocations`, { inputs: [good] }, headers)).body.outputs).toEqual(
      plain.body.outputs,
    );
    for (const [instances, why] of [
      [[], 'at least one entry'],
      ['x', 'must be a list'],
      [[{ picture: 1 }], 'not [1]'],
      [[[[1]]], 'has shape [batch, 1, 12, 12]'],
    ] as const) {
      const { status, body } = await post(`${running.url}/invocations`, { instances }, headers);
      expect([status, body.error]).toEqual([400, expect.stringContaining(why)]);
    }
    const raw = await fetch(`${running.url}/invocations`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/octet-stream' },
      body: new Uint8Array(Float32Array.from(ones).buffer),
    });
    expect(Number(raw.headers.get('inference-header-content-length'))).toBeGreaterThan(0);
    expect(await (await fetch(`${running.url}/execution-parameters`)).json()).toHaveProperty('MaxPayloadInMB', 64);
  });

  it('counts under the names of Triton, in a form that promtool takes', async ({ skip }) => {
    const text = await (await fetch(`${running.url}/metrics`)).text();
    for (const name of ['request_success', 'request_failure', 'count', 'exec_count', 'request_duration_us']) {
      expect(text).toMatch(new RegExp(`^nv_inference_${name}\\{.*model="tiny".*\\} \\d`, 'm'));
    }
    if (!has('promtool')) {
      note('no promtool on this machine (Debian: prometheus): the metrics are not parsed by it');
      return skip();
    }
    // What it prints are remarks on names; a text that it cannot parse ends with 1.
    const child = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
    let remarks = '';
    child.stderr.on('data', (chunk: Buffer) => (remarks += chunk.toString()));
    child.stdin.end(text);
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(remarks).not.toContain('error while linting');
    expect([0, 3]).toContain(code);
  });
});

describe.skipIf(modules === '')('too much', () => {
  it('limits the rate of each key and says when to come back', async () => {
    const running = await startServer(
      await makeArtifact(dir, classifier, classifierFeeds),
      join(dir, 'many'),
      modules,
      {
        env: { RATE_LIMIT: '1', RATE_BURST: '2', API_KEYS: `${key},${adminKey}` },
      },
    );
    const ask = (by: string): Promise<Answer> =>
      post(`${running.url}/v2/models/tiny/infer`, { inputs: [good] }, { 'x-api-key': by });
    // One more each second: on a machine that stalls the third may still be answered.
    const answers = [await ask(key), await ask(key)];
    while (answers.at(-1)?.status === 200 && answers.length < 50) answers.push(await ask(key));
    const refused = answers.pop();
    expect([refused?.status, refused?.headers.get('retry-after')]).toEqual([429, '1']);
    expect(answers.map(({ status }) => status).slice(0, 2)).toEqual([200, 200]);
    expect((await ask(adminKey)).status).toBe(200);
    expect(await end(running)).toBe(0);
  });

  it('tells the rest 503 and Retry-After when the queue is full, answers those that it took, and goes on', async () => {
    const running = await startServer(
      await makeArtifact(dir, classifier, classifierFeeds),
      join(dir, 'many'),
      modules,
      {
        env: { QUEUE_LIMIT: '4', WORKERS: '1', BATCH_MAX: '1' },
      },
    );
    const ask = (): Promise<Answer> => post(`${running.url}/v2/models/tiny/infer`, { inputs: [good] });
    const answers = await Promise.all(Array.from({ length: 100 }, ask));
    const by = (wanted: number): Answer[] => answers.filter(({ status }) => status === wanted);
    expect(by(200).length).toBeGreaterThan(0);
    expect(by(200).length + by(503).length).toBe(100);
    for (const { headers, body } of by(503)) {
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(body.error).toContain('try again later');
    }
    expect((await ask()).status).toBe(200);
    expect(await end(running)).toBe(0);
  });

  it('gives back the place of a client that goes away while its request is being answered', async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const env = { QUEUE_LIMIT: '4', WORKERS: '1', BATCH_MAX: '1' };
    const running = await startServer(artifact, join(dir, 'many'), modules, { env });
    const body = JSON.stringify({ inputs: [good] });
    const request = `POST /v2/models/tiny/infer HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    // Four at once, again and again: more than all places, were they lost.
    for (let turn = 0; turn < 20; turn++) {
      const gone = Array.from({ length: 4 }, async () => {
        const socket = connect(running.port, '127.0.0.1');
        await once(socket, 'connect');
        socket.write(request, () => socket.resetAndDestroy());
        await once(socket, 'close');
      });
      await Promise.all(gone);
    }
    // The last of them may not have been looked at yet; a place that is lost never comes back.
    const four = (): Promise<Answer[]> =>
      Promise.all(Array.from({ length: 4 }, () => post(`${running.url}/v2/models/tiny/infer`, { inputs: [good] })));
    await until(async () => (await four()).every(({ status }) => status === 200));
    expect(await end(running)).toBe(0);
  });

  it('remembers answers in memory, and in Redis for all servers', async ({ skip }) => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const start = (env: Record<string, string>): Promise<TestServer> =>
      startServer(artifact, join(dir, 'many'), modules, { env });
    const ask = ({ url }: TestServer, id: string, brightness = 1): Promise<Answer> =>
      post(`${url}/v2/models/tiny/infer`, { id, inputs: [{ ...good, data: Array(144).fill(brightness) }] });
    const hits = ({ url }: TestServer): Promise<number> => metric(url, 'nv_cache_num_hits_per_model');
    const twice = async (env: Record<string, string>): Promise<number> => {
      const running = await start(env);
      const first = await ask(running, 'a');
      const again = await ask(running, 'b');
      expect([first.status, again.status, again.body.id]).toEqual([200, 200, 'b']);
      expect(again.body.outputs).toEqual(first.body.outputs);
      const found = await hits(running);
      expect(await end(running)).toBe(0);
      return found;
    };
    expect(await twice({ CACHE_BYTES: '100000' })).toBe(1);
    // Nobody listens there: requests go on.
    expect(await twice({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })).toBe(0);
    if (!has('redis-server')) {
      note('no redis-server on this machine: the shared cache is not tested');
      return skip();
    }
    const port = await freePort();
    const redis = spawn('redis-server', ['--port', String(port), '--save', '', '--dir', dir], { stdio: 'ignore' });
    // What the store does not tell at once is a miss, and it may be connected a moment after the server is ready: asked until it is known.
    const untilKept = async (running: TestServer, brightness: number): Promise<void> => {
      const before = await hits(running);
      await until(async () => {
        await ask(running, 'kept', brightness);
        return (await hits(running)) > before;
      });
    };
    try {
      await reachable(port);
      const env = { REDIS_URL: `redis://127.0.0.1:${port}` };
      const shared = [0.1, 0.2, 0.3, 0.4];
      const one = await start(env);
      for (const brightness of shared) await untilKept(one, brightness);
      const answers = await Promise.all(shared.map((brightness) => ask(one, 'x', brightness)));
      expect(await end(one)).toBe(0);
      const another = await start(env);
      await untilKept(another, 0.9);
      const before = await hits(another);
      for (const [n, brightness] of shared.entries())
        expect((await ask(another, 'x', brightness)).body).toEqual(answers[n]?.body);
      expect(await hits(another)).toBeGreaterThan(before);
      expect(await end(another)).toBe(0);
    } finally {
      redis.kill();
    }
  });
});

/** For a process: "localhost" has two addresses there, whatever this machine's list of hosts says. */
const twoAddresses = `data:text/javascript,${encodeURIComponent(`
  import dns from 'node:dns';
  import promises from 'node:dns/promises';
  import { syncBuiltinESMExports } from 'node:module';
  const both = [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }];
  const usual = dns.lookup;
  promises.lookup = async () => both;
  dns.lookup = (host, options, done) => (options?.all ? done(null, both) : usual(host, options, done));
  syncBuiltinESMExports();`)}`;

describe.skipIf(modules === '')('TLS and traces', () => {
  it('speaks TLS with the files it is given, and sends one span for each request', async ({ skip }) => {
    if (!has('openssl')) return skip();
    const [cert, tlsKey] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
    const subject = ['-subj', '/CN=localhost', '-days', '1', '-nodes', '-newkey', 'rsa:2048'];
    execFileSync('openssl', ['req', '-x509', ...subject, '-keyout', tlsKey, '-out', cert], { stdio: 'ignore' });
    const spans: { name: string; traceId: string; parentSpanId?: string }[] = [];
    const { createServer } = await import('node:http');
    const collector = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        spans.push(...JSON.parse(text).resourceSpans[0].scopeSpans[0].spans);
        response.end('{}');
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const grpcPort = await freePort();
    const { port: collectorPort } = collector.address() as { port: number };
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const env = {
      HOST: 'localhost',
      NODE_OPTIONS: `--import ${twoAddresses}`,
      TLS_CERT_FILE: cert,
      TLS_KEY_FILE: tlsKey,
      GRPC_PORT: String(grpcPort),
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
    };
    const running = await startServer(artifact, join(dir, 'many'), modules, { env, ready: false });
    await until(async () => running.log().includes('"ready"'));
    const { request } = await import('node:https');
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const status = await new Promise((resolve, reject) => {
      const call = request(
        `https://127.0.0.1:${running.port}/v2/models/tiny`,
        { rejectUnauthorized: false, headers: { traceparent } },
        (response) => response.resume().on('end', () => resolve(response.statusCode)),
      );
      call.on('error', reject).end();
    });
    expect(status).toBe(200);
    // A certificate that is renewed in its files is that of the connections which come then, and one that is none changes nothing.
    const { connect: dial } = await import('node:tls');
    const serial = (at: number, host = '127.0.0.1'): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = dial({ port: at, host, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] }, () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    const { networkInterfaces } = await import('node:os');
    const loopbacks = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    // "localhost" has two addresses where there is IPv6, and both are doors of the same server.
    const second = loopbacks.some(({ address }) => address === '::1') ? [() => serial(running.port, '::1')] : [];
    const both = (): Promise<string[]> =>
      Promise.all([serial(running.port), serial(grpcPort), ...second.map((ask) => ask())]);
    const before = await both();
    await writeFile(cert, 'half');
    running.child.kill('SIGHUP');
    await until(async () => running.log().includes('the one before stays'));
    expect(await both()).toEqual(before);
    execFileSync('openssl', ['req', '-x509', ...subject, '-keyout', tlsKey, '-out', cert], { stdio: 'ignore' });
    running.child.kill('SIGHUP');
    await until(async () => running.log().includes('the certificate has been renewed'));
    const after = await both();
    expect(new Set(after).size).toBe(1);
    expect(after[0]).not.toBe(before[0]);
    expect(await end(running)).toBe(0);
    collector.close();
    expect(spans).toMatchObject([
      { name: 'GET /v2/models/:model', traceId: 'a'.repeat(32), parentSpanId: 'b'.repeat(16) },
    ]);
  });
});
