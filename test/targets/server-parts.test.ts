/** The parts of the server bundle that can be tested without a model. */
import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { literalPath } from '../../src/target/literal.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

async function load<T>(name: string): Promise<T> {
  return (await import(literalPath('server', `lib/${name}.mjs`))) as T;
}

interface Feed {
  readonly name: string;
  readonly dtype: string;
  readonly shape: number[];
  readonly data: Float32Array;
}
type Results = Record<string, { dims: number[]; data: Float32Array }>;

/** A pool of which the test decides when a run ends; doubles its input. */
class FakePool {
  onIdle = (): void => {};
  readonly size = 1;
  readonly runs: { feeds: Feed[]; settle: (error?: Error) => void }[] = [];
  idle = 1;
  run(feeds: Feed[]): Promise<Results> {
    this.idle--;
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        this.idle++;
        const [{ shape, data }] = feeds as [Feed];
        if (error) reject(error);
        else resolve({ y: { dims: shape, data: data.map((value) => value * 2) } });
        this.onIdle();
      };
      this.runs.push({ feeds, settle });
    });
  }
}

describe('queue in front of the sessions', async () => {
  interface BatcherLike {
    readonly waiting: number;
    submit(
      feeds: Feed[],
      outputs: string[],
      whenGone?: (act: () => void) => void,
    ): Promise<{ results: Results; batchRows: number }>;
    retryAfter(): number;
  }
  const { Batcher } = await load<{ Batcher: new (pool: FakePool, limits: object) => BatcherLike }>('batcher');
  const { RunError } = await load<{ RunError: new (message: string, lost?: boolean) => Error }>('pool');
  const limits = {
    maxRows: 4,
    countsRows: true,
    delayMs: 0,
    queueLimit: 100,
    queueBytes: 1e6,
    queueTimeoutMs: 1e6,
    onRun: () => {},
  };
  const feed = (values: number[], width = 1): Feed[] => [
    { name: 'x', dtype: 'float32', shape: [values.length / width, width], data: Float32Array.from(values) },
  ];
  const make = (change: object = {}): { pool: FakePool; batcher: BatcherLike } => {
    const pool = new FakePool();
    return { pool, batcher: new Batcher(pool, { ...limits, ...change }) };
  };
  const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('runs the first at once and what came meanwhile together, each getting its own rows', async () => {
    const { pool, batcher } = make();
    const answers = [feed([1]), feed([2, 3]), feed([4]), feed([5])].map((one) => batcher.submit(one, ['y']));
    expect(pool.runs.map(({ feeds }) => feeds[0]?.shape)).toEqual([[1, 1]]);
    pool.runs[0]?.settle();
    await tick();
    expect(pool.runs[1]?.feeds[0]).toMatchObject({ shape: [4, 1], data: Float32Array.of(2, 3, 4, 5) });
    pool.runs[1]?.settle();
    const results = await Promise.all(answers);
    expect(results.map(({ results: { y } }) => [y?.dims, [...(y?.data ?? [])]])).toEqual([
      [[1, 1], [2]],
      [
        [2, 1],
        [4, 6],
      ],
      [[1, 1], [8]],
      [[1, 1], [10]],
    ]);
  });

  it('counts the rows of requests that run alone too', async () => {
    const rows: number[] = [];
    const onRun = (run: { rows: number }): void => void rows.push(run.rows);
    for (const countsRows of [true, false]) {
      const { pool, batcher } = make({ maxRows: 1, countsRows, onRun });
      const answer = batcher.submit(feed([1, 2, 3, 4]), ['y']);
      pool.runs[0]?.settle();
      expect((await answer).batchRows).toBe(countsRows ? 4 : 1);
    }
    expect(rows).toEqual([4, 1]);
  });

  it('puts only equal shapes into one run, the oldest first, and none beyond the limit', async () => {
    const { pool, batcher } = make();
    const ask = (one: Feed[]): void => void batcher.submit(one, ['y']).catch(() => {});
    for (const one of [feed([0]), feed([1, 1], 2), feed([2]), feed([3, 3], 2), feed([4, 4, 4, 4]), feed([5])]) ask(one);
    for (let i = 0; i < 4; i++) {
      pool.runs[i]?.settle();
      await tick();
    }
    expect(pool.runs.map(({ feeds }) => [...(feeds[0]?.data ?? [])])).toEqual([
      [0],
      [1, 1, 3, 3],
      [2, 5],
      [4, 4, 4, 4],
    ]);
  });

  it('answers each alone when one of a run cannot be run, and fails all when the session is lost', async () => {
    const { pool, batcher } = make();
    const settled = (list: Promise<unknown>[]): Promise<string[]> =>
      Promise.allSettled(list).then((all) => all.map(({ status }) => status));
    const first = batcher.submit(feed([0]), ['y']);
    const pair = [batcher.submit(feed([1]), ['y']), batcher.submit(feed([2]), ['y'])];
    const outcome = settled(pair);
    pool.runs[0]?.settle();
    await first;
    pool.runs[1]?.settle(new RunError('bad index'));
    await tick();
    pool.runs[2]?.settle(new RunError('bad index'));
    await tick();
    pool.runs[3]?.settle();
    expect(await outcome).toEqual(['rejected', 'fulfilled']);
    const lost = make();
    const all = [feed([0]), feed([1]), feed([2])].map((one) => lost.batcher.submit(one, ['y']));
    lost.pool.runs[0]?.settle();
    await tick();
    lost.pool.runs[1]?.settle(new RunError('gone', true));
    expect(await settled(all)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(lost.pool.runs).toHaveLength(2);
  });

  it('refuses with 503 and a time what the queue cannot hold, by number, bytes and age', async () => {
    const { pool, batcher } = make({ queueLimit: 2 });
    const asked = [0, 1, 2, 3].map((value) => batcher.submit(feed([value]), ['y']));
    await expect(asked[3]).rejects.toMatchObject({ status: 503, retryAfter: 1, reason: 'REJECTED' });
    expect(batcher.waiting).toBe(2);
    pool.runs[0]?.settle();
    await tick();
    pool.runs[1]?.settle();
    await Promise.all(asked.slice(0, 3));
    const small = make({ queueBytes: 6 });
    void small.batcher.submit(feed([0]), ['y']);
    void small.batcher.submit(feed([0]), ['y']);
    await expect(small.batcher.submit(feed([0]), ['y'])).rejects.toMatchObject({ status: 503 });
    const late = make({ queueTimeoutMs: 1 });
    void late.batcher.submit(feed([0]), ['y']);
    const old = expect(late.batcher.submit(feed([1]), ['y'])).rejects.toMatchObject({ status: 503 });
    await new Promise((resolve) => setTimeout(resolve, 10));
    late.pool.runs[0]?.settle();
    await old;
  });

  it('tells who waits for a session that hangs, and takes nothing once it is closed', async () => {
    const { batcher } = make({ queueTimeoutMs: 20 });
    void batcher.submit(feed([0]), ['y']);
    await expect(batcher.submit(feed([1]), ['y'])).rejects.toMatchObject({ status: 503 });
    const gone = make();
    (gone.batcher as unknown as { close(error: Error): void }).close(new Error('no longer served'));
    await expect(gone.batcher.submit(feed([0]), ['y'])).rejects.toThrow('no longer served');
    expect(gone.pool.runs).toHaveLength(0);
  });

  it('runs requests alone whose inputs have different numbers of rows: behind each other they would meet others', async () => {
    const { pool, batcher } = make();
    const two = (a: number[], b: number[]): Feed[] => [...feed(a), ...feed(b).map((one) => ({ ...one, name: 'z' }))];
    void batcher.submit(feed([0]), ['y']);
    for (const one of [two([1], [2, 3]), two([4, 5], [6]), two([7], [8]), two([9], [10])])
      void batcher.submit(one, ['y']).catch(() => {});
    for (let i = 0; i < 3; i++) {
      pool.runs[i]?.settle();
      await tick();
    }
    expect(pool.runs.map(({ feeds }) => feeds.map(({ data }) => [...data]))).toEqual([
      [[0]],
      [[1], [2, 3]],
      [[4, 5], [6]],
      [
        [7, 9],
        [8, 10],
      ],
    ]);
  });

  it('drops a request whose client has gone', async () => {
    const { pool, batcher } = make();
    let leave = (): void => {};
    void batcher.submit(feed([0]), ['y']);
    const dropped = batcher.submit(feed([1]), ['y'], (act) => (leave = act));
    leave();
    await expect(dropped).rejects.toMatchObject({ status: 499, reason: 'CANCELED' });
    pool.runs[0]?.settle();
    await tick();
    expect(pool.runs).toHaveLength(1);
  });
});

describe('circuit breaker', async () => {
  const { Breaker } = await load<{
    Breaker: new (
      options: object,
    ) => {
      open: boolean;
      retryAfter: number;
      allows(): boolean;
      failed(): void;
      succeeded(): void;
      undecided(): void;
    };
  }>('breaker');

  it('opens after failures in a row, lets one try at a time through, closes on success', () => {
    let now = 0;
    const breaker = new Breaker({ failures: 2, resetMs: 5000, now: () => now });
    breaker.failed();
    breaker.succeeded();
    breaker.failed();
    expect(breaker.open).toBe(false);
    breaker.failed();
    expect([breaker.open, breaker.allows(), breaker.retryAfter]).toEqual([true, false, 5]);
    now = 5000;
    expect([breaker.allows(), breaker.allows()]).toEqual([true, false]);
    breaker.undecided();
    expect(breaker.allows()).toBe(true);
    breaker.failed();
    expect(breaker.allows()).toBe(false);
    now = 10_000;
    expect(breaker.allows()).toBe(true);
    breaker.succeeded();
    expect([breaker.open, breaker.allows()]).toEqual([false, true]);
  });

  it('lets no request through to a version that cannot stand in: it would wait for its end for ever', async () => {
    const { Inference } = await load<{ Inference: new (services: object) => Answering }>('inference');
    interface Answering {
      answer(served: object, feeds: object[], outputs: string[], request: object): Promise<unknown>;
    }
    let now = 0;
    const failed = (): InstanceType<typeof Breaker> => {
      const breaker = new Breaker({ failures: 1, resetMs: 5000, now: () => now });
      breaker.failed();
      return breaker;
    };
    const version = (name: string): { info: object; breaker: InstanceType<typeof Breaker> } => ({
      info: { name: 'm', version: name, inputs: [], outputs: [name] },
      breaker: failed(),
    });
    const [two, one] = [version('2'), version('1')];
    const inference = new Inference({ models: { fallbackFor: () => one }, metrics: {}, monitor: {} });
    now = 4999;
    await expect(inference.answer(two, [], [], {})).rejects.toMatchObject({ status: 503 });
    now = 5000;
    two.breaker.allows();
    await expect(inference.answer(two, [], [], {})).rejects.toMatchObject({ status: 503 });
    expect(one.breaker.allows()).toBe(true);
  });
});

describe('settings', async () => {
  const { readConfig } = await load<{ readConfig(env: Record<string, string>): { vertex: object } }>('config');

  it('take a route that ends in a slash for the one without, which the router has already', () => {
    const env = { AIP_HEALTH_ROUTE: '/ping/', AIP_PREDICT_ROUTE: '/' };
    expect(readConfig(env).vertex).toEqual({ health: '/ping', predict: '/' });
  });
});

describe('keys and rates', async () => {
  const { makeAuth, makeRateLimit } = await load<{
    makeAuth(keys: object[]): (headers: object) => string | undefined;
    makeRateLimit(limits: object): (caller: string) => void;
  }>('auth');

  it('takes a key as bearer token or as header, and no other', () => {
    const identify = makeAuth([
      { label: 'a', key: 'k'.repeat(16) },
      { label: 'b', key: 'l'.repeat(16) },
    ]);
    expect(identify({ authorization: `Bearer ${'l'.repeat(16)}` })).toBe('b');
    expect(identify({ 'x-api-key': 'k'.repeat(16) })).toBe('a');
    for (const headers of [{}, { authorization: 'Bearer x' }, { authorization: `Basic ${'k'.repeat(16)}` }]) {
      expect(() => identify(headers)).toThrow(expect.objectContaining({ status: 401 }));
    }
    expect(makeAuth([])({})).toBeUndefined();
  });

  it('gives each caller its own bucket, and says when the next request may come', () => {
    let now = 0;
    const limit = makeRateLimit({ perSecond: 2, burst: 3, now: () => now });
    for (let i = 0; i < 3; i++) limit('a');
    expect(() => limit('a')).toThrow(expect.objectContaining({ status: 429, retryAfter: 1 }));
    limit('b');
    now = 500;
    limit('a');
    expect(() => limit('a')).toThrow('more than 2 requests a second');
  });
});

describe('what the container allows', async () => {
  const { cpuLimit, memoryLimit, sessionPlan } = await load<{
    cpuLimit(root: string, offered: number): number;
    memoryLimit(root: string, offered: number): number;
    sessionPlan(wanted: object, limits: object): { workers: number; threads: number };
  }>('cpu');
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(join(dir, path, '..'), { recursive: true });
    await writeFile(join(dir, path), text);
  };

  it('reads cgroup v2, its own group and those above, v1, and nothing', async () => {
    await write('v2/proc/self/cgroup', '0::/pod/container\n');
    await write('v2/sys/fs/cgroup/pod/container/cpu.max', 'max 100000\n');
    await write('v2/sys/fs/cgroup/pod/cpu.max', '150000 100000\n');
    await write('v2/sys/fs/cgroup/pod/memory.max', '1000\n');
    expect([cpuLimit(join(dir, 'v2'), 8), memoryLimit(join(dir, 'v2'), 5000)]).toEqual([1.5, 1000]);
    await write('v1/sys/fs/cgroup/cpu/cpu.cfs_quota_us', '300000');
    await write('v1/sys/fs/cgroup/cpu/cpu.cfs_period_us', '100000');
    expect(cpuLimit(join(dir, 'v1'), 8)).toBe(3);
    await write('none/sys/fs/cgroup/cpu/cpu.cfs_quota_us', '-1');
    await write('none/sys/fs/cgroup/cpu/cpu.cfs_period_us', '100000');
    expect([cpuLimit(join(dir, 'none'), 8), memoryLimit(join(dir, 'none'), 7)]).toEqual([8, 7]);
  });

  it.each([
    [
      { workers: 0, threads: 0 },
      { cpus: 4, memory: 1e9, modelBytes: 1e6 },
      { workers: 4, threads: 1 },
    ],
    [
      { workers: 0, threads: 0 },
      { cpus: 0.5, memory: 1e9, modelBytes: 1e6 },
      { workers: 1, threads: 1 },
    ],
    [
      { workers: 0, threads: 0 },
      { cpus: 8, memory: 1e9, modelBytes: 125e6 },
      { workers: 2, threads: 4 },
    ],
    [
      { workers: 0, threads: 0 },
      { cpus: 8, memory: 1e9, modelBytes: 9e9 },
      { workers: 1, threads: 8 },
    ],
    [
      { workers: 0, threads: 4 },
      { cpus: 8, memory: 1e9, modelBytes: 1e6 },
      { workers: 2, threads: 4 },
    ],
    [
      { workers: 3, threads: 0 },
      { cpus: 8, memory: 1e9, modelBytes: 1e6 },
      { workers: 3, threads: 2 },
    ],
  ])('plans sessions: %j on %j', (wanted, limits, plan) => {
    expect(sessionPlan(wanted, limits)).toEqual(plan);
  });
});

describe('cache', async () => {
  const cache = await load<{
    cacheKey(info: object, feeds: object[], outputs: string[]): string;
    packResults(info: object, results: Results): Buffer;
    unpackResults(info: object, bytes: Buffer, names: string[]): Results | undefined;
    RedisStore: new (
      client: object,
      ttlSeconds: number,
      now: () => number,
    ) => { get(key: string): Promise<Buffer | undefined>; set(key: string, value: Buffer): Promise<unknown> };
    MemoryStore: new (
      options: object,
    ) => {
      get(key: string): Promise<Buffer | undefined>;
      set(key: string, value: Buffer): Promise<void>;
    };
  }>('cache');
  const tensors = ['a', 'b'].map((name) => ({ name, datatype: 'FP32' }));
  const info = { digest: 'm', inputs: tensors, outputs: tensors };
  const feed = (name: string, value: number): object => ({
    name,
    dtype: 'float32',
    shape: [1],
    data: Float32Array.of(value),
  });

  it('has one key for one question, in whatever order', () => {
    const key = cache.cacheKey(info, [feed('a', 1), feed('b', 2)], ['a']);
    expect(cache.cacheKey(info, [feed('b', 2), feed('a', 1)], ['a'])).toBe(key);
    const others = [
      cache.cacheKey(info, [feed('a', 2), feed('b', 1)], ['a']),
      cache.cacheKey(info, [feed('a', 1), feed('b', 2)], ['b']),
      cache.cacheKey({ ...info, digest: 'n' }, [feed('a', 1), feed('b', 2)], ['a']),
    ];
    expect(new Set([key, ...others]).size).toBe(4);
  });

  it('gives back what was put in, and nothing from bytes that are not whole', () => {
    const results = { a: { dims: [1, 2], data: Float32Array.of(1, -0) }, b: { dims: [], data: Float32Array.of(7) } };
    const bytes = cache.packResults(info, results);
    const names = ['a', 'b'];
    expect(cache.unpackResults(info, bytes, names)).toEqual(results);
    expect(cache.unpackResults(info, Buffer.alloc(2), names)).toBeUndefined();
    // Whatever may stand in a Redis that others write to, too: a miss, never an error of the request.
    const { b: _left, ...less } = results;
    const damaged = [
      cache.packResults(info, less),
      Buffer.concat([Buffer.from([2, 0, 0, 0]), Buffer.from('{}')]),
      Buffer.concat([Buffer.from([2, 0, 0, 0]), Buffer.from('{"')]),
      Buffer.from(bytes.toString('latin1').replace('"FP32"', '"FP99"'), 'latin1'),
      Buffer.from(bytes.toString('latin1').replace('[1,2]', '[1,3]'), 'latin1'),
      bytes.subarray(0, bytes.length - 1),
    ];
    for (const one of damaged) expect(cache.unpackResults(info, one, names)).toBeUndefined();
  });

  it('asks a Redis that does not answer once in five seconds, and waits for it once', async () => {
    let now = 0;
    let asked = 0;
    let answers = false;
    const client = {
      getBuffer: async () => {
        asked++;
        if (!answers) throw new Error('Command timed out');
        return Buffer.from('kept');
      },
    };
    const store = new cache.RedisStore(client, 10, () => now);
    await expect(store.get('a')).rejects.toThrow('timed out');
    for (let i = 0; i < 10; i++) expect(await store.get('a')).toBeUndefined();
    expect(asked).toBe(1);
    now = 5001;
    answers = true;
    // One tries, the others do not wait for it.
    expect((await Promise.all(['a', 'a', 'a'].map((key) => store.get(key)))).map((value) => value?.toString())).toEqual(
      ['kept', undefined, undefined],
    );
    expect((await store.get('a'))?.toString()).toBe('kept');
    expect(asked).toBe(3);
  });

  it('forgets the least recently used beyond its bytes, and what is too old', async () => {
    let now = 0;
    const store = new cache.MemoryStore({ bytes: 20, ttlSeconds: 10, now: () => now });
    await store.set('a', Buffer.alloc(8));
    await store.set('b', Buffer.alloc(8));
    await store.get('a');
    await store.set('c', Buffer.alloc(8));
    await store.set('large', Buffer.alloc(21));
    const has = async (): Promise<boolean[]> =>
      Promise.all(['a', 'b', 'c', 'large'].map(async (key) => (await store.get(key)) !== undefined));
    expect(await has()).toEqual([true, false, true, false]);
    now = 10_001;
    expect(await has()).toEqual([false, false, false, false]);
  });
});

describe('memory that is used again', async () => {
  interface BuffersLike {
    take(bytes: number): ArrayBuffer;
    give(buffer: ArrayBuffer): void;
  }
  const { Buffers, garbageCounter } = await load<{
    Buffers: new (limit: number) => BuffersLike;
    garbageCounter: (collect?: () => void) => (bytes: number) => void;
  }>('buffers');

  it('hands out what was given back, once, for requests of about that size', () => {
    const buffers = new Buffers(1e6);
    const first = buffers.take(100_000);
    expect(first.byteLength).toBeGreaterThanOrEqual(100_000);
    expect(first.byteLength).toBeLessThan(112_500);
    buffers.give(first);
    buffers.give(first);
    expect(buffers.take(99_000)).toBe(first);
    expect(buffers.take(99_000)).not.toBe(first);
    expect(buffers.take(300_000)).not.toBe(first);
  });

  it('keeps nothing beyond its limit, nothing that went to a thread, nothing of other sizes', () => {
    const buffers = new Buffers(250_000);
    const three = [1, 2, 3].map(() => buffers.take(100_000));
    for (const one of three) buffers.give(one);
    const again = [1, 2, 3].map(() => buffers.take(100_000));
    expect(again.filter((one) => three.includes(one))).toHaveLength(2);
    const gone = buffers.take(100_000);
    structuredClone(gone, { transfer: [gone] });
    buffers.give(gone);
    buffers.give(new ArrayBuffer(100_001));
    expect(buffers.take(100_000).byteLength).toBeGreaterThanOrEqual(100_000);
  });

  it('keeps no memory that it did not hand out, and no size that is asked for no longer in the place of one that is', () => {
    const buffers = new Buffers(250_000);
    const { byteLength } = buffers.take(100_000);
    const back = new ArrayBuffer(byteLength);
    const strange = new ArrayBuffer(byteLength);
    // One came back, through a thread; the other was never handed out.
    for (const one of [back, strange]) buffers.give(one);
    expect([buffers.take(100_000), buffers.take(100_000)].map((one) => [back, strange].indexOf(one))).toEqual([0, -1]);
    buffers.give(buffers.take(240_000));
    const often = buffers.take(50_000);
    buffers.give(often);
    expect(buffers.take(50_000)).toBe(often);
  });

  /** Collections of the young generation that somebody asked for while `act` runs. */
  async function youngCollections(act: () => void): Promise<number> {
    let forced = 0;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { kind, flags } = Reflect.get(entry, 'detail') as { kind: number; flags: number };
        if (kind === constants.NODE_PERFORMANCE_GC_MINOR && (flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0)
          forced++;
      }
    });
    observer.observe({ entryTypes: ['gc'] });
    act();
    await new Promise((resolve) => setTimeout(resolve, 20));
    observer.disconnect();
    return forced;
  }

  it('collects after some megabytes of garbage, by what Node offers', async () => {
    let times = 0;
    const discarded = garbageCounter(() => times++);
    for (let i = 0; i < 100; i++) discarded(100_000);
    expect(times).toBe(2);
    expect(Reflect.get(globalThis, 'gc')).toBeUndefined();
    expect(await youngCollections(() => garbageCounter()(1e9))).toBeGreaterThan(0);
    // Asking for the collector does not leave it to everybody.
    expect(Reflect.get(globalThis, 'gc')).toBeUndefined();
  });
});

describe('rows that pay', async () => {
  interface Trial {
    readonly rows: number;
    readonly why?: string;
  }
  const { usefulRows } = await load<{
    usefulRows: (run: (feeds: Feed[]) => Promise<Results>, about: object) => Promise<Trial>;
  }>('warm-up');
  const tensor = { name: 'x', dtype: 'float32', shape: [1, 1], bytes: new Uint8Array(4) };
  const about = {
    info: { inputs: [{ name: 'x', shape: ['n', 1] }], outputs: [{ name: 'y', shape: ['n', 1] }] },
    golden: [{ inputs: [tensor], outputs: [], tolerance: { rtol: 0, atol: 0 } }],
    limit: 0,
    budgetMs: 10_000,
  };
  /** Runs take no time but what the test says they take. */
  const choose = async (msOf: (rows: number) => number, more: object = {}): Promise<[Trial, number[]]> => {
    const { performance } = globalThis;
    let now = 0;
    const sizes: number[] = [];
    Object.defineProperty(globalThis, 'performance', { value: { now: () => now }, configurable: true });
    try {
      const run = async (feeds: Feed[]): Promise<Results> => {
        const [{ shape, data }] = feeds as [Feed];
        sizes.push(shape[0] ?? 0);
        now += msOf(shape[0] ?? 0);
        return { y: { dims: shape, data: data.slice() } };
      };
      return [await usefulRows(run, { ...about, ...more }), [...new Set(sizes)]];
    } finally {
      Object.defineProperty(globalThis, 'performance', { value: performance, configurable: true });
    }
  };

  it('takes the smallest that is as good as the best, and says where none is', async () => {
    expect((await choose((rows) => 10 + rows))[0].rows).toBe(64);
    expect((await choose((rows) => Math.max(10, rows)))[0].rows).toBe(16);
    expect((await choose((rows) => 40 * rows))[0]).toMatchObject({ rows: 1, why: expect.stringContaining('no more') });
  });

  it('counts what a run costs besides the model, which larger runs share', async () => {
    expect((await choose((rows) => 0.8 * rows))[0].rows).toBe(16);
    expect((await choose((rows) => 10 * rows))[0].rows).toBe(4);
    expect((await choose((rows) => 0.02 * rows))[0].rows).toBe(64);
  });

  it('keeps runs as short as they have to be', async () => {
    const here = { longestMs: 20 };
    expect((await choose((rows) => 0.8 * rows, here))[0].rows).toBe(16);
    expect((await choose((rows) => 30 + rows, here))[0].rows).toBe(1);
  });

  it('does not count the runs that allocate', async () => {
    const turns = new Map<number, number>();
    const slowAtFirst = (rows: number): number => {
      const turn = (turns.get(rows) ?? 0) + 1;
      turns.set(rows, turn);
      // A trial of rows that depend on each other has had its run of two.
      return turn <= (rows <= 2 ? 4 : 2) ? 1000 * rows : Math.max(10, rows);
    };
    expect((await choose(slowAtFirst, { budgetMs: 1e6 }))[0].rows).toBe(16);
  });

  it('tries eight early, and small steps where a model is slow', async () => {
    expect((await choose((rows) => 300 + rows))[1].slice(0, 3)).toEqual([1, 2, 8]);
    expect((await choose((rows) => 3000 * rows))[1]).toEqual([1, 2]);
  });

  it('tries no larger ones after one that gains nothing, which a start has no time for', async () => {
    // Two is the trial of rows that depend on each other.
    expect((await choose((rows) => Math.max(10, rows)))[1]).toEqual([1, 2, 8, 4, 16, 32]);
    expect((await choose((rows) => 40 * rows))[1]).toEqual([1, 2, 8, 4, 16]);
  });
});

describe('what is remembered of requests', async () => {
  interface RememberedLike {
    add(thing: { id: string; value: number }): void;
    get(id: string): { value: number } | undefined;
    forget(id: string): void;
  }
  const { Remembered } = await load<{ Remembered: new (limit: number) => RememberedLike }>('remembered');
  const values = (remembered: RememberedLike, ids: string): (number | undefined)[] =>
    ids.split('').map((id) => remembered.get(id)?.value);

  it.each([false, true])('are the last ones, the later of an id twice (asked before: %s)', (asked) => {
    const remembered = new Remembered(3);
    if (asked) remembered.get('a');
    for (const [value, id] of ['a', 'a', 'b', 'c', 'b', 'd'].entries()) remembered.add({ id, value });
    // The ring holds c, b, d: the first b went when the second was there already.
    expect(values(remembered, 'abcd')).toEqual([undefined, 4, 3, 5]);
    remembered.add({ id: 'e', value: 6 });
    expect(values(remembered, 'bcde')).toEqual([4, undefined, 5, 6]);
    remembered.forget('b');
    expect(remembered.get('b')).toBeUndefined();
    // Forgotten, and its place in the ring is taken by another.
    for (const id of 'bfg') remembered.add({ id, value: 7 });
    expect(values(remembered, 'bfgde')).toEqual([7, 7, 7, undefined, undefined]);
  });

  it('may be nothing', () => {
    const remembered = new Remembered(0);
    remembered.add({ id: 'a', value: 1 });
    expect(remembered.get('a')).toBeUndefined();
  });
});

describe('a session that is gone', async () => {
  interface PoolLike {
    open(count?: number): Promise<void>;
    grow(): Promise<void>;
    run(feeds: object[]): Promise<object>;
    readonly idle: number;
    close(): Promise<void>;
  }
  const { Pool } = await load<{ Pool: new (path: string, options: object) => PoolLike }>('pool');

  const text = `<ir_version: 8, opset_import: ["" : 17]>
    main (float[900,900] x) => (float[900,900] y)
    { a = MatMul (x, x) b = MatMul (a, x) c = MatMul (b, x) d = MatMul (c, x) y = MatMul (d, x) }`;
  const bytes = encodeModel(parseModel(text));
  const feed = (): object => ({
    name: 'x',
    dtype: 'float32',
    shape: [900, 900],
    data: new Float32Array(810_000),
  });

  it('is opened again, with pauses as long as that fails', async () => {
    const path = join(dir, 'slow.onnx');
    await writeFile(path, bytes);
    const errors: { message: string; at: number }[] = [];
    const log = { error: (_: object, message: string) => errors.push({ message, at: performance.now() }) };
    const pool = new Pool(path, { workers: 1, threads: 1, timeoutMs: 1, log });
    await pool.open();
    await rm(path);
    await expect(pool.run([feed()])).rejects.toThrow('did not answer in time');
    await expect.poll(() => errors.length, { timeout: 20_000 }).toBeGreaterThan(1);
    const [first, second] = errors.map(({ at }) => at);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(400);
    await writeFile(path, bytes);
    await expect.poll(() => pool.idle, { timeout: 20_000 }).toBe(1);
    for (const { message } of errors) expect(message).toBe('a session could not be opened');
    await pool.close();
  }, 60_000);

  it('writes nothing of what it was asked: ONNX Runtime would log the index that is out of range', async () => {
    const path = join(dir, 'lookup.onnx');
    const lookup = `<ir_version: 8, opset_import: ["" : 17]>
      main (int64[n] i) => (float[n] y) <float[4] t = {1, 2, 3, 4}> { y = Gather (t, i) }`;
    await writeFile(path, encodeModel(parseModel(lookup)));
    const script = `import { openSession } from ${JSON.stringify(literalPath('server', 'lib/session.mjs'))};
      const session = await openSession(${JSON.stringify(path)}, 1);
      const ask = (data) => session.run([{ name: 'i', dtype: 'int64', shape: [1], data: BigInt64Array.of(data) }]);
      console.log((await ask(2n)).y.data[0], await ask(987654n).catch(({ message }) => message.includes('987654')));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '3 true\n', stderr: '' });
  });

  it('is followed by the others once the first serves, also where one of them fails at first', async () => {
    const path = join(dir, 'grows.onnx');
    await writeFile(path, bytes);
    const errors: string[] = [];
    const log = { error: (_: object, message: string) => errors.push(message) };
    const pool = new Pool(path, { workers: 3, threads: 1, timeoutMs: 60_000, log });
    await pool.open(1);
    expect(pool.idle).toBe(1);
    await rm(path);
    const growing = pool.grow();
    await expect.poll(() => errors.length, { timeout: 20_000 }).toBeGreaterThan(0);
    await pool.run([feed()]);
    await writeFile(path, bytes);
    await growing;
    await expect.poll(() => pool.idle, { timeout: 20_000 }).toBe(3);
    await pool.grow();
    expect(pool.idle).toBe(3);
    await pool.close();
  }, 60_000);

  it('costs no more threads than there are sessions, and the process goes on', async () => {
    const path = join(dir, 'hangs.onnx');
    await writeFile(path, bytes);
    const pool = new Pool(path, { workers: 1, threads: 1, timeoutMs: 1, log: { error: () => {} } });
    await pool.open();
    for (const _ of [1, 2]) {
      await expect.poll(() => pool.idle, { timeout: 20_000 }).toBe(1);
      await expect(pool.run([feed()])).rejects.toThrow('did not answer in time');
    }
    // Two threads are at work: another session comes when one of them has ended.
    await expect.poll(() => pool.idle, { timeout: 20_000 }).toBe(1);
    await pool.close();
  }, 60_000);
});
