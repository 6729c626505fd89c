/** Bodies that are read to where their rows of a batch are: each answer is that of its own bytes, whoever else was slow, cut off or wrong. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { literalPath } from '../../src/target/literal.ts';
import { makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { startServer, type TestServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const width = 2048;
const rowBytes = width * 4;

interface Place {
  readonly bytes: Buffer;
  give(): void;
}
interface Feed {
  readonly name: string;
  readonly dtype: string;
  readonly shape: number[];
  readonly data: Float32Array;
}
interface Lent {
  readonly feeds: Feed[];
  back(buffers: ArrayBuffer[]): void;
  restore(): void;
}
interface SlabsLike {
  take(owner: object, ask: { rows: number; bytes: number; most: number }): Place | undefined;
  has(buffer: ArrayBufferLike): boolean;
  lend(requests: Feed[][]): Lent | undefined;
  forget(owner: object): void;
}

describe('rows side by side', async () => {
  const { Buffers } = (await import(literalPath('server', 'lib/buffers.mjs'))) as {
    Buffers: new (limit: number) => { take(bytes: number): ArrayBuffer };
  };
  const { Slabs } = (await import(literalPath('server', 'lib/slabs.mjs'))) as {
    Slabs: new (buffers: object, limit: number) => SlabsLike;
  };
  const make = (limit = 1e7): SlabsLike => new Slabs(new Buffers(1e8), limit);
  const owner = {};
  const ask = { rows: 1, bytes: rowBytes, most: 4 };
  const taken = (slabs: SlabsLike, rows = 1): Place => {
    const place = slabs.take(owner, { ...ask, rows, bytes: rows * rowBytes });
    if (place === undefined) throw new Error('there is no room');
    return place;
  };
  const feedOf = ({ bytes }: Place, value: number): Feed[] => {
    const data = new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / 4).fill(value);
    return [{ name: 'x', dtype: 'float32', shape: [data.length / width, width], data }];
  };

  it('go to a session as one, come back, and are each its own again', () => {
    const slabs = make();
    const places = [taken(slabs), taken(slabs, 2), taken(slabs)];
    const requests = places.map((place, i) => feedOf(place, i));
    const lent = slabs.lend(requests);
    expect(lent?.feeds[0]?.shape).toEqual([4, width]);
    const [whole] = lent?.feeds ?? [];
    expect([0, 1, 2, 3].map((row) => whole?.data[row * width])).toEqual([0, 1, 1, 2]);
    const away = structuredClone(whole?.data.buffer as ArrayBuffer, { transfer: [whole?.data.buffer as ArrayBuffer] });
    lent?.back([away]);
    lent?.restore();
    expect(requests.map(([feed]) => [feed?.data.length, feed?.data[0]])).toEqual([
      [width, 0],
      [2 * width, 1],
      [width, 2],
    ]);
    // What is back may go again.
    expect(slabs.lend(requests)?.feeds[0]?.data.buffer).toBe(away);
  });

  it('stay where one of them has not come, is given back, or is missing between the others', () => {
    const slabs = make();
    const places = [taken(slabs), taken(slabs), taken(slabs)];
    const [a, b, c] = places.map((place, i) => feedOf(place, i)) as [Feed[], Feed[], Feed[]];
    expect(slabs.lend([a, b])).toBeUndefined();
    expect(slabs.lend([b, a, c])).toBeUndefined();
    places[1]?.give();
    expect(slabs.lend([a, c])).toBeUndefined();
    places[0]?.give();
    places[0]?.give();
    expect(slabs.lend([c])?.feeds[0]?.data[0]).toBe(2);
  });

  it('are handed out anew only when nobody has any of them', () => {
    const slabs = make();
    const first = taken(slabs);
    const second = taken(slabs);
    first.give();
    expect(taken(slabs).bytes.byteOffset).toBe(2 * rowBytes);
    second.give();
    const other = make();
    const alone = taken(other);
    alone.give();
    expect(taken(other).bytes.byteOffset).toBe(0);
    expect(other.has(alone.bytes.buffer)).toBe(true);
    other.forget(owner);
  });

  it('are not for small rows, rows that are no multiple of 8 bytes, whole runs, and beyond the limit', () => {
    const slabs = make(4 * rowBytes);
    expect(slabs.take(owner, { ...ask, bytes: 2048 })).toBeUndefined();
    expect(slabs.take(owner, { ...ask, bytes: rowBytes + 4 })).toBeUndefined();
    expect(slabs.take(owner, { rows: 3, bytes: rowBytes, most: 4 })).toBeUndefined();
    expect(slabs.take(owner, { rows: 4, bytes: 4 * rowBytes, most: 4 })).toBeUndefined();
    expect(slabs.take(owner, { ...ask, most: 1 })).toBeUndefined();
    taken(slabs, 3);
    expect(slabs.take(owner, { ...ask, rows: 2, bytes: 2 * rowBytes })).toBeUndefined();
    expect(taken(slabs).bytes.byteOffset).toBe(3 * rowBytes);
  });
});

/** Twice its input; a row that begins with a number beyond 3 fails the run that it is in. */
const model = `<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,${width}] x) => (float[batch,${width}] y)
<float[1] two = {2}, float[4] table = {0, 0, 0, 0}, int64 zero = {0}, int64[1] one = {1}>
{
  doubled = Mul (x, two)
  first = Gather <axis = 1> (x, zero)
  index = Cast <to = 7> (first)
  nothing = Gather <axis = 0> (table, index)
  column = Unsqueeze (nothing, one)
  y = Add (doubled, column)
}`;

const modules = installedModules() ?? '';

describe.skipIf(modules === '').each(['off', 'on'])('a server with clients of all kinds, INLINE=%s', async (inline) => {
  const dir = await tempDir();
  let running: TestServer;

  beforeAll(async () => {
    const x = new ort.Tensor('float32', new Float32Array(width).fill(1), [1, width]);
    const artifact = { ...(await makeArtifact(dir, model, [{ x }])), name: 'twice', labels: undefined };
    const env = { BATCH_MAX: '4', WORKERS: '1', INTRA_OP_THREADS: '1', BATCH_DELAY_MS: '5', INLINE: inline };
    running = await startServer(artifact, join(dir, 'bundle'), modules, { env });
  }, 60_000);
  afterAll(async () => {
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  });

  /** Elements of request `n`, which no other has; `bad`: it cannot be run. */
  const valuesOf = (n: number, rows: number, bad: boolean): Float32Array =>
    Float32Array.from({ length: rows * width }, (_, i) => (i % width === 0 ? (bad ? 9 : n % 4) : n + i / 8192));

  function bytesOf(values: Float32Array, rows: number): Buffer {
    const json = JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [rows, width], parameters: { binary_data_size: values.byteLength } },
      ],
    });
    const head = `POST /v2/models/twice/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: ${json.length}\r\nContent-Length: ${json.length + values.byteLength}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head + json), new Uint8Array(values.buffer)]);
  }

  /** Answers on a connection, one after the other. */
  function reader(socket: Socket): () => Promise<{ status: number; body: Buffer; json: number }> {
    let rest = Buffer.alloc(0);
    let wake = (): void => {};
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      wake();
    });
    return async () => {
      for (;;) {
        const end = rest.indexOf('\r\n\r\n');
        const head = rest.toString('latin1', 0, Math.max(0, end));
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
        if (end >= 0 && rest.length >= end + 4 + length) {
          const body = rest.subarray(end + 4, end + 4 + length);
          rest = rest.subarray(end + 4 + length);
          const json = Number(/^inference-header-content-length: (\d+)/im.exec(head)?.[1] ?? length);
          return { status: Number(head.slice(9, 12)), body, json };
        }
        await new Promise<void>((resolve) => (wake = resolve));
      }
    };
  }

  /** Requests one after the other, in pieces, with pauses where `slow`; checks that each answer is twice what it sent. */
  async function client(
    id: number,
    { times, slow, bad }: { times: number; slow: boolean; bad: boolean },
  ): Promise<void> {
    const socket = connect(running.port, '127.0.0.1');
    const next = reader(socket);
    for (let turn = 0; turn < times; turn++) {
      const n = id * 100 + turn;
      const rows = n % 5 === 0 ? 3 : 1;
      const fails = bad && turn % 2 === 1;
      const values = valuesOf(n, rows, fails);
      const bytes = bytesOf(values, rows);
      const piece = [bytes.length, 1000, 9000, 333][n % 4] ?? bytes.length;
      for (let at = 0; at < bytes.length; at += piece) {
        socket.write(bytes.subarray(at, at + piece));
        if (slow && at % (4 * piece) === 0) await sleep(1);
      }
      const { status, body, json } = await next();
      expect(status, body.toString('utf8', 0, 200)).toBe(fails ? 400 : 200);
      if (fails) continue;
      const got = new Float32Array(new Uint8Array(body.subarray(json)).buffer);
      expect(got.length).toBe(values.length);
      expect(got.findIndex((value, i) => value !== (values[i] ?? 0) * 2)).toBe(-1);
    }
    socket.end();
  }

  it('answers each with its own rows', async () => {
    const cutOff = Array.from({ length: 8 }, async (_, i) => {
      const socket = connect(running.port, '127.0.0.1').on('error', () => {});
      socket.write(bytesOf(valuesOf(i, 1, false), 1).subarray(0, 2000 + 900 * i));
      await sleep(20 * i);
      socket.destroy();
    });
    const kinds = Array.from({ length: 24 }, (_, id) => ({ times: 12, slow: id % 6 === 0, bad: id % 8 === 1 }));
    await Promise.all([...cutOff, ...kinds.map((kind, id) => client(id + 1, kind))]);
    await client(50, { times: 3, slow: false, bad: false });
    const metrics = await (await fetch(`${running.url}/metrics`)).text();
    const of = (name: string): number => Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
    // They did run together.
    expect(of('nv_inference_exec_count')).toBeLessThan(of('nv_inference_request_success'));
    expect(of('mlpack_session_inline')).toBe(inline === 'on' ? 1 : 0);
  }, 60_000);
});
