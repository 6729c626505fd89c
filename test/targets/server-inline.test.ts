/** Runs in the thread that speaks HTTP: which models may, and what else has to go on as before. */
import { once } from 'node:events';
import { cp, mkdir, rename } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { literalPath } from '../../src/target/literal.ts';
import { server } from '../../targets/server/index.ts';
import { loopNotes } from '../../targets/server/mixing.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { startServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const modules = installedModules() ?? '';

interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | null)[] | null;
}
interface Info {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly loops?: string;
}
const tensor = (shape: Tensor['shape'], dtype = 'float32'): Tensor => ({ name: 'x', dtype, shape });
const infoOf = (input: Tensor, output = tensor(['n', 4])): Info => ({ inputs: [input], outputs: [output] });

describe('a run in the thread that speaks HTTP', async () => {
  const { arrive, afterArrivals } = (await import(literalPath('server', 'lib/arrivals.mjs'))) as {
    arrive(): void;
    afterArrivals(go: () => void): void;
  };
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

  it('begins at once where nobody has come, and after those who come turn by turn', async () => {
    let begun = 0;
    const go = () => begun++;
    afterArrivals(go);
    expect(begun).toBe(1);
    arrive();
    afterArrivals(go);
    for (let turn = 0; turn < 20; turn++) {
      expect(begun).toBe(1);
      arrive();
      await nextTurn();
    }
    await nextTurn();
    await nextTurn();
    expect(begun).toBe(2);
  });

  /** Servers of this process on ports of their own, as the bundle's packages and Node.js make them. */
  const servers: Record<string, () => Promise<{ port: number; close: () => void }>> = {
    async HTTP() {
      const made = createServer().listen(0, '127.0.0.1');
      await once(made, 'listening');
      return { port: (made.address() as AddressInfo).port, close: () => made.close() };
    },
    async gRPC() {
      const { Server, ServerCredentials } = createRequire(join(modules, 'x.js'))('@grpc/grpc-js');
      const made = new Server();
      const port = await new Promise<number>((resolve, reject) => {
        const bound = (error: Error | null, at: number): void => (error === null ? resolve(at) : reject(error));
        made.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), bound);
      });
      return { port, close: () => made.forceShutdown() };
    },
  };

  it.skipIf(modules === '').each(Object.entries(servers))('waits for clients of %s', async (_, open) => {
    const { port, close } = await open();
    afterArrivals(() => {});
    await nextTurn();
    await nextTurn();
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    // The server has it a few turns after the client.
    const begunAtOnce = () => {
      let begun = false;
      afterArrivals(() => (begun = true));
      return begun;
    };
    let turns = 0;
    for (; begunAtOnce() && turns < 200; turns++) await sleep(5);
    expect(turns).toBeLessThan(200);
    client.destroy();
    close();
    // What waits for the turn after has it.
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  });

  it('is not held up for ever by connections without end', async () => {
    let begun = false;
    arrive();
    afterArrivals(() => {
      begun = true;
    });
    let turns = 0;
    for (; !begun && turns < 1000; turns++) {
      arrive();
      await nextTurn();
    }
    expect(turns).toBeGreaterThan(100);
    expect(turns).toBeLessThan(400);
  });
});

describe('where a session runs', async () => {
  const { threadBySignature, threadByTiming, rowsAtOnce } = (await import(
    literalPath('server', 'lib/placing.mjs')
  )) as {
    threadBySignature(config: object, plan: object, info: Info): string | undefined;
    threadByTiming(config: object, runMs: number | undefined, mixed?: string): string | undefined;
    rowsAtOnce(msPerRow: number): number;
  };
  const auto = { inline: 'auto' };
  const one = { cpus: 1, workers: 1, threads: 1, modelBytes: 1e6 };

  it('hangs on the CPUs, and on whether every run takes about as long as the one that was timed', () => {
    const rows = infoOf(tensor(['n', 3, 8, 8]));
    expect(threadBySignature(auto, one, rows)).toBeUndefined();
    expect(threadBySignature(auto, one, infoOf(tensor([1, 3, 8, 8]), tensor([1, 4])))).toBeUndefined();
    expect(threadBySignature(auto, { ...one, cpus: 1.5 }, rows)).toContain('1.5 CPUs');
    expect(threadBySignature(auto, { ...one, threads: 2 }, rows)).toContain('INTRA_OP_THREADS');
    expect(threadBySignature(auto, one, infoOf(tensor(['n', 'length'])))).toContain('any size');
    expect(threadBySignature(auto, { ...one, modelBytes: 2e8 }, rows)).toContain('to be opened');
    // Rows that do not count for all tensors cannot be run in parts.
    expect(threadBySignature(auto, one, infoOf(tensor(['n', 3]), tensor([4])))).toContain('any size');
    expect(threadBySignature(auto, one, infoOf(tensor(null)))).toContain('any size');
    expect(threadBySignature(auto, one, infoOf(tensor(['n', 1], 'string')))).toContain('any size');
    expect(threadBySignature(auto, one, { ...rows, loops: 'it loops' })).toBe('it loops');
    expect(threadBySignature({ inline: 'off' }, one, rows)).toContain('INLINE');
    expect(threadBySignature({ inline: 'on' }, { ...one, cpus: 8 }, infoOf(tensor(null)))).toBeUndefined();
  });

  it('hangs on how long that was', () => {
    expect(threadByTiming(auto, 19)).toBeUndefined();
    expect(threadByTiming(auto, 21)).toContain('21.0 ms');
    expect(threadByTiming(auto, undefined)).toContain('golden');
    expect(threadByTiming(auto, 1, 'rows depend')).toContain('rows depend');
    expect(threadByTiming({ inline: 'on' }, 100, 'rows depend')).toBeUndefined();
    expect([rowsAtOnce(0.5), rowsAtOnce(30)]).toEqual([40, 1]);
  });

  it('is a thread of its own for a model with Loop, by its bundle', async () => {
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    expect(loopNotes(artifact)).toEqual([]);
    const notes = loopNotes({ ...artifact, ops: { ...artifact.ops, Loop: 1 } });
    const { describeModel } = (await import(literalPath('server', 'lib/model.mjs'))) as {
      describeModel(manifest: object): Info;
    };
    const manifest = { model: { name: 'm', sha256: '', files: [] }, files: [], options: {}, inputs: [], outputs: [] };
    expect(describeModel({ ...manifest, notes }).loops).toContain('Loop');
    expect(describeModel({ ...manifest, notes: [] }).loops).toBeUndefined();
  });
});

describe('many rows in parts', async () => {
  type Results = Record<string, { dims: number[]; data: Float32Array | string[] }>;
  type Feeds = { name: string; dtype: string; shape: number[]; data: Float32Array | string[] }[];
  const { inParts } = (await import(literalPath('server', 'lib/rows.mjs'))) as {
    inParts(run: (feeds: Feeds) => Promise<Results>, feeds: Feeds, most: number): Promise<Results>;
  };

  it('are those of one run, in order, with the memory of none', async () => {
    const sizes: number[] = [];
    const run = async (feeds: Feeds): Promise<Results> => {
      const [numbers, words] = feeds as [Feeds[0], Feeds[0]];
      sizes.push(numbers.shape[0] ?? -1);
      const twice = Float32Array.from(numbers.data as Float32Array, (value) => value * 2);
      return { y: { dims: [...numbers.shape], data: twice }, z: { dims: [...words.shape], data: words.data } };
    };
    const given = (rows: number): Feeds => [
      { name: 'x', dtype: 'float32', shape: [rows, 2], data: Float32Array.from({ length: rows * 2 }, (_, i) => i) },
      { name: 's', dtype: 'string', shape: [rows], data: Array.from({ length: rows }, (_, i) => `${i}`) },
    ];
    for (const rows of [0, 1, 3, 4, 7]) {
      sizes.length = 0;
      const { y, z } = await inParts(run, given(rows), 3);
      expect(sizes).toEqual({ 0: [0], 1: [1], 3: [3], 4: [3, 1], 7: [3, 3, 1] }[rows]);
      expect([y?.dims, [...(y?.data ?? [])]]).toEqual([[rows, 2], Array.from({ length: rows * 2 }, (_, i) => 2 * i)]);
      expect([z?.dims, z?.data]).toEqual([[rows], Array.from({ length: rows }, (_, i) => `${i}`)]);
    }
  });

  it('are one run where they have no elements, however many somebody writes down', async () => {
    let runs = 0;
    const run = async ([x]: Feeds): Promise<Results> => {
      if (++runs > 1) throw new Error('in parts');
      return { y: { dims: x?.shape ?? [], data: new Float32Array() } };
    };
    const feeds = [{ name: 'x', dtype: 'float32', shape: [2 ** 52, 0], data: new Float32Array() }];
    expect((await inParts(run, feeds, 3)).y?.dims).toEqual([2 ** 52, 0]);
  });
});

describe.skipIf(modules === '')('a server that runs its model between requests', () => {
  it('answers many rows as single ones, takes a new version over, and ends when it is told to', async () => {
    const models = join(dir, 'models');
    await mkdir(join(models, 'tiny'), { recursive: true });
    const artifact = { ...(await makeArtifact(dir, classifier, classifierFeeds)), name: 'tiny' };
    const env = { INLINE: 'on', MODELS_DIR: models, RELOAD_SECONDS: '1' };
    const running = await startServer(artifact, join(dir, 'inline'), modules, { env });
    const ask = async (data: number[]): Promise<{ model_version: string; outputs: [{ data: number[] }] }> => {
      const inputs = [{ name: 'image', datatype: 'FP32', shape: [data.length / 144, 1, 12, 12], data }];
      const body = JSON.stringify({ inputs });
      const response = await fetch(`${running.url}/v2/models/tiny/infer`, { method: 'POST', body });
      expect(response.status).toBe(200);
      return response.json() as never;
    };
    const pictures = Array.from({ length: 5000 }, (_, row) =>
      Array.from({ length: 144 }, (_, i) => ((i * 7 + row * 13) % 97) / 97),
    );
    const many = (await ask(pictures.flat())).outputs[0].data;
    expect(many).toHaveLength(20_000);
    for (const row of [0, 1, 2499, 4999]) {
      const [first] = (await ask(pictures[row] as number[])).outputs;
      const want = many.slice(row * 4, row * 4 + 4);
      for (const [i, value] of first.data.entries()) expect(value).toBeCloseTo(want[i] as number, 5);
    }
    await buildBundle(server, artifact, {}, join(dir, 'next'));
    await cp(join(dir, 'next'), join(models, 'tiny/.2'), { recursive: true });
    await rename(join(models, 'tiny/.2'), join(models, 'tiny/2'));
    for (let tries = 0; (await ask(pictures[0] as number[])).model_version !== '2'; tries++) {
      if (tries > 400) throw new Error(running.log());
      await sleep(25);
    }
    const metrics = await (await fetch(`${running.url}/metrics`)).text();
    expect(metrics.match(/^mlpack_session_inline\{.*\} 1$/gm)).toHaveLength(2);
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(running.log().match(/"inline":true/g)).toHaveLength(2);
  }, 30_000);

  it("answers with nobody else's numbers where an answer takes its time after the run", async () => {
    const width = 2048;
    const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[n,${width}] x) => (float[n,${width}] y) { y = Relu (x) }`;
    const x = new ort.Tensor('float32', new Float32Array(width).fill(1), [1, width]);
    const artifact = { ...(await makeArtifact(dir, text, [{ x }])), name: 'wide', labels: undefined };
    const running = await startServer(artifact, join(dir, 'wide'), modules, {
      // On a busy machine the queue that the server gives itself may be shorter than there are clients.
      env: { INLINE: 'on', BATCH_MAX: '1', QUEUE_LIMIT: '64' },
    });
    const client = async (id: number): Promise<number> => {
      let wrong = 0;
      for (let turn = 0; turn < 10; turn++) {
        const values = Float32Array.from({ length: width }, (_, i) => id * 100 + turn + (i % 7) / 8);
        const parameters = { binary_data_size: values.byteLength };
        const json = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, width], parameters }] });
        const response = await fetch(`${running.url}/v2/models/wide/infer`, {
          method: 'POST',
          // Compressing goes on in a thread, while the next request is read.
          headers: { 'accept-encoding': 'gzip', 'inference-header-content-length': String(json.length) },
          body: Buffer.concat([Buffer.from(json), Buffer.from(values.buffer)]),
        });
        const { outputs } = (await response.json()) as { outputs: [{ data: number[] }] };
        if (outputs[0].data.some((value, i) => value !== values[i])) wrong++;
      }
      return wrong;
    };
    const wrong = await Promise.all(Array.from({ length: 24 }, (_, id) => client(id)));
    expect(wrong.reduce((sum, one) => sum + one, 0)).toBe(0);
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  }, 30_000);
});
