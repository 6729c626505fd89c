/** Connections of the server bundle as bytes: what is read by its own short way, what goes to node:http, and that clients see no difference. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { literalPath } from '../../src/target/literal.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { startServer, type TestServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const { plainHead } = (await import(literalPath('server', 'lib/head.mjs'))) as {
  plainHead(text: string): { url: string; headers: Record<string, string> } | undefined;
};

describe('heads', () => {
  const head = (...lines: string[]): string => ['POST /v2/models/m/infer HTTP/1.1', 'Host: x', ...lines].join('\r\n');

  it('are read where they have one meaning', () => {
    const read = plainHead(head('Content-Length:  12 ', 'X-Request-Id: a b', 'Accept:'));
    expect({ ...read?.headers }).toEqual({ host: 'x', 'content-length': '12', 'x-request-id': 'a b', accept: '' });
    expect(read?.url).toBe('/v2/models/m/infer');
  });

  it.each([
    ['no length', head()],
    ['two lengths', head('Content-Length: 1', 'content-length: 1')],
    ['a length that is no number', head('Content-Length: 1,1')],
    ['a signed length', head('Content-Length: +1')],
    ['chunks', head('Content-Length: 1', 'Transfer-Encoding: chunked')],
    ['space before the colon', head('Content-Length : 1')],
    ['a folded line', head('Content-Length: 1', ' 2')],
    ['a bare line feed', head('Content-Length: 1\nX: 2')],
    ['a control character', head('Content-Length: 1', 'X: a\0b')],
    ['another way to go on', head('Content-Length: 1', 'Connection: close')],
    ['an expectation', head('Content-Length: 1', 'Expect: 100-continue')],
    ['HTTP/1.0', head('Content-Length: 1').replace('1.1', '1.0')],
    ['no host', head('Content-Length: 1').replace('Host', 'Hose')],
    ['another method', head('Content-Length: 1').replace('POST', 'PUT')],
  ])('are left to node:http with %s', (_what, text) => {
    expect(plainHead(text)).toBeUndefined();
  });
});

const modules = installedModules() ?? '';
const dir = await tempDir();
const path = '/v2/models/tiny/infer';
const inputs = [{ name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: Array(144).fill(1) }];
const body = (id: string): string => JSON.stringify({ id, inputs });
const ask = (text: string, url = path, more = ''): string =>
  `POST ${url} HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n${more}\r\n${text}`;
const health = 'GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n';

/** A connection and all that has come back on it. */
class Line {
  readonly socket: Socket;
  text = '';
  closed = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1').setNoDelay(true);
    this.socket.on('data', (chunk) => (this.text += chunk.toString('latin1')));
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.closed = true));
  }

  async until(what: (line: this) => boolean): Promise<string> {
    for (let i = 0; i < 3000 && !what(this); i++) await sleep(10);
    expect(what(this), this.text).toBe(true);
    return this.text;
  }
}

const statuses = ({ text }: { text: string }): string[] => text.match(/(?<=HTTP\/1\.1 )\d+/g) ?? [];
const ids = (text: string): string[] => text.match(/(?<="id":")\w+/g) ?? [];

/** The front alone, with as much of a server behind it as is given. */
async function frontAlone(services: object): Promise<{ port: number; close(): Promise<unknown> }> {
  type Open = (server: Server, services: object, refuse: () => void) => { close(): void };
  const { openFront } = (await import(literalPath('server', 'lib/front.mjs'))) as { openFront: Open };
  const server = createServer((_request, response) => response.writeHead(204).end());
  const config = { bodyLimit: 1000, compressMin: 0, logRequests: false };
  const log = { error() {} };
  const front = openFront(server, { config, state: { ready: true, draining: false }, log, ...services }, () => {});
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => (front.close(), new Promise((done) => server.close(done))),
  };
}

it('is taken by plain requests, without node:http', async () => {
  const refusal = Object.assign(new Error('full'), { status: 503 });
  const admission = {
    admit() {
      throw refusal;
    },
    release() {},
  };
  const front = await frontAlone({ admission });
  const line = new Line(front.port);
  line.socket.write(ask('{}', '/v2/models/m/infer') + health);
  const text = await line.until((one) => statuses(one).length === 2);
  expect(statuses({ text })).toEqual(['500', '204']);
  line.socket.destroy();
  await front.close();
});

// Again where the machine has stalled for the half second.
it('answers what comes within half a second after it was told to close', { retry: 3 }, async () => {
  const admission = {
    admit() {
      throw new Error('as an answer');
    },
    release() {},
  };
  const front = await frontAlone({ admission });
  const line = new Line(front.port);
  line.socket.write(ask('{}'));
  await line.until((one) => statuses(one).length === 1);
  const idle = new Line(front.port);
  idle.socket.write(ask('{}'));
  await idle.until((one) => statuses(one).length === 1);
  const closed = front.close();
  await sleep(50);
  line.socket.write(ask('{}'));
  expect(statuses({ text: await line.until((one) => one.closed || statuses(one).length === 2) })).toEqual([
    '500',
    '500',
  ]);
  await idle.until((one) => one.closed);
  line.socket.destroy();
  await closed;
});

it('answers a client that ends its half with the request; one that ends it later has gone', async () => {
  const left: string[] = [];
  const asked: string[] = [];
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const inference = {
    async serve(_served: unknown, _read: unknown, { whenGone, requestId }: Asked) {
      asked.push(requestId);
      whenGone(() => left.push(requestId));
      await answered;
      throw new Error('as an answer');
    },
  };
  interface Asked {
    readonly requestId: string;
    whenGone(act: () => void): void;
  }
  const front = await frontAlone({
    inference,
    admission: { admit() {}, release() {} },
    models: { find: () => ({}) },
    buffers: { take: (bytes: number) => new ArrayBuffer(bytes), give() {} },
  });
  const [half, late] = [new Line(front.port), new Line(front.port)];
  const request = (id: string): string => ask('{}', path, `X-Request-Id: ${id}\r\n`);
  half.socket.end(request('one') + request('two'));
  late.socket.write(request('three'));
  await expect.poll(() => asked.toSorted()).toEqual(['one', 'three']);
  // Long enough that its end does not belong to the request.
  await sleep(200);
  late.socket.end();
  await expect.poll(() => left).toEqual(['three']);
  answer();
  expect(statuses({ text: await half.until((line) => line.closed) })).toEqual(['500', '500']);
  expect([await late.until((line) => line.closed), left]).toEqual(['', ['three']]);
  await front.close();
});

describe.skipIf(modules === '')('connections', () => {
  let running: TestServer;
  beforeAll(async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const env = { LOG_LEVEL: 'error', REQUEST_TIMEOUT_MS: '1500', BODY_LIMIT_BYTES: '100000' };
    running = await startServer(artifact, join(dir, 'bundle'), modules, { env });
  });
  afterAll(async () => {
    const { port, child, exit, log } = running;
    const idle = new Line(port);
    idle.socket.write(ask(body('last')));
    await idle.until((line) => ids(line.text).length === 1);
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    await idle.until((line) => line.closed);
    expect(log()).toBe('');
  });

  it('carry requests that come byte by byte', async () => {
    const line = new Line(running.port);
    for (const byte of ask(body('slow'))) line.socket.write(byte);
    expect(ids(await line.until((one) => ids(one.text).length === 1))).toEqual(['slow']);
    line.socket.destroy();
  });

  it('answer requests that come all at once, in order, also where they change to another way', async () => {
    const line = new Line(running.port);
    const chunked = `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const piece = body('chunks');
    line.socket.write(ask(body('one')) + ask('{', path) + ask(body('two')) + health);
    line.socket.write(`${chunked}${piece.length.toString(16)}\r\n${piece}\r\n0\r\n\r\n${ask(body('three'))}`);
    const text = await line.until((one) => ids(one.text).length === 4);
    expect(statuses({ text })).toEqual(['200', '400', '200', '200', '200', '200']);
    expect(ids(text)).toEqual(['one', 'two', 'chunks', 'three']);
    line.socket.destroy();
  });

  it('have no "100 Continue" within an answer, where one to an earlier request is still to come', async () => {
    const line = new Line(running.port);
    const piece = body('first');
    const chunked = `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${piece.length.toString(16)}\r\n${piece}\r\n0\r\n\r\n`;
    line.socket.write(chunked + ask(body('a'), '/v2/models/nobody/infer', 'Expect: 100-continue\r\n'));
    const text = await line.until((one) => one.text.includes('no model'));
    expect(text).toMatch(/HTTP\/1\.1 200 [\s\S]*"id":"first"[\s\S]*HTTP\/1\.1 404 [^{]*\r\n\r\n\{"error"/);
    expect(text.slice(text.indexOf('HTTP/1.1 404'))).not.toContain('100 Continue');
    line.socket.destroy();
  });

  it('answer "Expect: 100-continue" before the body comes', async () => {
    const line = new Line(running.port);
    const [head = '', rest = ''] = ask(body('a'), path, 'Expect: 100-continue\r\n').split(/(?<=\r\n\r\n)/);
    line.socket.write(head);
    await line.until((one) => statuses(one).length === 1);
    line.socket.write(rest);
    expect(statuses({ text: await line.until((one) => ids(one.text).length === 1) })).toEqual(['100', '200']);
    line.socket.destroy();
  });

  it('go on after a refusal, whose body is thrown away', async () => {
    const line = new Line(running.port);
    line.socket.write(ask(body('a'), '/v2/models/nobody/infer') + ask(body('b')));
    const text = await line.until((one) => statuses(one).length === 2);
    expect(statuses({ text })).toEqual(['404', '200']);
    line.socket.destroy();
  });

  it('end with 408 where a request does not come, with 400 where it is cut off', async () => {
    const [head, part, cut] = [new Line(running.port), new Line(running.port), new Line(running.port)];
    head.socket.write('POST /v2/models/ti');
    part.socket.write(ask(body('a')).slice(0, -5));
    cut.socket.end(ask(body('a')).slice(0, -5));
    expect(statuses({ text: await cut.until((one) => one.closed) })).toEqual(['400']);
    expect(statuses({ text: await part.until((one) => one.closed) })).toEqual(['408']);
    expect(await head.until((one) => one.closed)).toMatch(
      /^HTTP\/1\.1 408[\s\S]*\{"error":"the request took too long"\}$/,
    );
  });

  it('answer a client that ends its half with its request, whatever it asks for', async () => {
    const piece = body('half');
    const chunked = `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${piece.length.toString(16)}\r\n${piece}\r\n0\r\n\r\n`;
    for (const asked of [ask(piece), health, health.replace('/v2/health/live', '/metrics'), chunked]) {
      const line = new Line(running.port);
      line.socket.end(asked);
      expect(statuses({ text: await line.until((one) => one.closed) }), asked.slice(0, 60)).toEqual(['200']);
    }
  });

  it('end with 408 where a request comes byte by byte for too long, whatever it is', async () => {
    const slow = {
      'a body that is read here': ask(body('a')).slice(0, -90),
      'another body': ask(body('a'), '/v2/feedback').slice(0, -90),
      'a chunked body': `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n`,
      'another head': 'GET /v2/health/live HTTP/1.1\r\nX: ',
    };
    const ends = Object.entries(slow).map(async ([name, begun]) => {
      const line = new Line(running.port);
      line.socket.write(begun);
      const timer = setInterval(() => line.socket.write('1'), 300);
      const asked = performance.now();
      while (!line.closed && performance.now() - asked < 15_000) await sleep(50);
      clearInterval(timer);
      line.socket.destroy();
      return [name, line.closed, statuses(line)];
    });
    expect(await Promise.all(ends)).toEqual(Object.keys(slow).map((name) => [name, true, ['408']]));
  }, 30_000);

  it.each([
    ['read here', path],
    ['left to node:http', `${path}/`],
  ])(
    '%s end where answers are not taken, and not where they are slowly',
    // Again where the machine has stalled for as long as the server waits.
    { timeout: 60_000, retry: 2 },
    async (_what, url) => {
      const [text, times] = [ask(body('x'.repeat(90_000)), url), 200];
      const [never, slowly] = [new Line(running.port), new Line(running.port)];
      never.socket.pause();
      slowly.socket.on('data', () => {
        slowly.socket.pause();
        setTimeout(() => slowly.socket.resume(), 20);
      });
      for (const line of [never, slowly]) line.socket.write(text.repeat(times));
      // Requests that the server has not read yet cannot be sent any more: that ends it here.
      while (!never.closed) await sleep(50);
      expect([slowly.closed, never.text]).toEqual([false, '']);
      slowly.socket.destroy();
    },
  );

  it('end with 431 where heads are too large', async () => {
    const line = new Line(running.port);
    line.socket.write(`GET /v2 HTTP/1.1\r\nHost: x\r\nX-Large: ${'a'.repeat(40_000)}\r\n\r\n`);
    expect(await line.until((one) => one.closed)).toMatch(
      /^HTTP\/1\.1 431[\s\S]*\{"error":"the headers of the request are too large"\}$/,
    );
  });

  it.each([
    ['an answer', body('x'), {}],
    ['a binary answer', JSON.stringify({ inputs, parameters: { binary_data_output: true } }), {}],
    ['a compressed answer', JSON.stringify({ id: 'x'.repeat(4000), inputs }), { 'accept-encoding': 'gzip' }],
    ['a refusal', '{"inputs":[]}', {}],
    ['bytes that are not JSON', '\u0001', {}],
  ])('give %s as the way through the web framework does', async (_what, text, headers) => {
    const seen = async (url: string): Promise<unknown> => {
      const init = { method: 'POST', body: text, headers: { ...headers, 'x-request-id': 'same' } };
      const response = await fetch(`${running.url}${url}`, init);
      const rest = Object.fromEntries([...response.headers].filter(([name]) => name !== 'date'));
      expect(response.headers.get('date')).toMatch(/GMT$/);
      return { status: response.status, rest, text: await response.text() };
    };
    expect(await seen(path)).toEqual(await seen(`${path}/`));
  });
});
