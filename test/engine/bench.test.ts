import { describe, expect, test } from 'vitest';
import { bench } from '../../src/engine/bench.ts';
import type { Session } from '../../src/engine/session.ts';
import { median, pairedRatio, relativeMad } from '../../src/engine/stats.ts';
import { quantile } from '../../src/kernels/bootstrap.ts';

/** A session whose inference takes `ms` of busy work. */
function busy(ms: number, calls: string[] = [], name = ''): Session {
  const infer = async (): Promise<void> => {
    calls.push(name);
    const end = performance.now() + ms;
    while (performance.now() < end);
  };
  return {
    provider: 'cpu',
    inputs: [],
    outputs: [],
    createMs: 7,
    run: async () => new Map(),
    bind: () => infer,
    dispose: async () => undefined,
  };
}

describe('bench', () => {
  test('times single inferences and finds the ratio of two subjects', async () => {
    const subjects = [
      { name: 'base', session: busy(1) },
      { name: 'slower', session: busy(1.25) },
    ];
    const progress: number[] = [];
    const { results } = await bench(subjects, new Map(), { timeMs: 300, onProgress: (done) => progress.push(done) });
    const [base, slower] = results;
    expect(base?.latency.p50).toBeGreaterThanOrEqual(1);
    expect(base?.latency.p50).toBeLessThan(1.1);
    expect(base?.latency.ratioToBase).toBe(1);
    expect(slower?.latency.ratioToBase).toBeGreaterThan(1.2);
    expect(slower?.latency.ratioToBase).toBeLessThan(1.3);
    expect(slower?.latency.ratioCi[0]).toBeGreaterThan(1);
    expect(slower?.latency.p99).toBeGreaterThanOrEqual(slower?.latency.p90 ?? 0);
    expect(base?.sessionMs).toBe(7);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
  });

  test('adds next to nothing to what a bare loop measures', async () => {
    const bare: number[] = [];
    const infer = busy(0.5).bind(new Map());
    const { results } = await bench([{ name: 'base', session: busy(0.5) }], new Map(), { timeMs: 200 });
    for (let run = 0; run < 200; run++) {
      const start = performance.now();
      await infer();
      bare.push(performance.now() - start);
    }
    expect(Math.abs((results[0]?.latency.p50 ?? 0) / median(bare) - 1)).toBeLessThan(0.02);
  });

  test('interleaves in an order that depends on the seed only', async () => {
    const order = async (seed: number): Promise<string> => {
      const calls: string[] = [];
      const subjects = ['a', 'b', 'c'].map((name) => ({ name, session: busy(20, calls, name) }));
      await bench(subjects, new Map(), { timeMs: 1, minRounds: 4, seed });
      return calls.slice(-12).join('');
    };
    const first = await order(1);
    expect(await order(1)).toBe(first);
    for (const round of first.match(/.{3}/g) ?? []) expect(new Set(round)).toEqual(new Set('abc'));
    expect(new Set([first, await order(2), await order(3), await order(4)]).size).toBeGreaterThan(1);
  });

  test('stops when asked to', async () => {
    const stop = new AbortController();
    const running = bench([{ name: 'base', session: busy(5) }], new Map(), {
      timeMs: 60_000,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(running).rejects.toThrow('aborted');
  });
});

describe('statistics', () => {
  test('quantiles interpolate as NumPy does', () => {
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(quantile([1, 2, 3, 4], 0.9)).toBeCloseTo(3.7, 12);
    expect(quantile([5], 0.99)).toBe(5);
    expect(median([3, 1, 2])).toBe(2);
    expect(relativeMad([1, 2, 3, 4, 100])).toBeCloseTo(1 / 3, 12);
  });

  test('the interval of a ratio holds the ratio and narrows with more pairs', () => {
    const noise = (index: number, k: number): number => 1 + 0.1 * Math.sin(index * k * 12.9898);
    const a = Array.from({ length: 400 }, (_, index) => 2 * noise(index, 1));
    const b = Array.from({ length: 400 }, (_, index) => noise(index, 3));
    const { ratio, interval } = pairedRatio(a, b, { seed: 1 });
    const [low, high] = interval;
    expect(ratio).toBeCloseTo(2, 1);
    expect(low).toBeLessThan(2);
    expect(high).toBeGreaterThan(2);
    const [fewLow, fewHigh] = pairedRatio(a.slice(0, 20), b.slice(0, 20), { seed: 1 }).interval;
    expect(high - low).toBeLessThan(fewHigh - fewLow);
    expect(pairedRatio(a, b, { seed: 1 }).interval).toEqual([low, high]);
  });

  test('two modes of a busy machine leave the ratio of pairs alone', () => {
    // Slow for the first of one and for the first of the other by turns: the medians fall into different modes.
    const b = Array.from({ length: 101 }, (_, index) => (index < 51 ? 8 : 2));
    const a = Array.from({ length: 101 }, (_, index) => (index < 50 ? 8 : 2));
    expect(median(a) / median(b)).toBe(0.25);
    expect(pairedRatio(a, b, { seed: 1 })).toEqual({ ratio: 1, interval: [1, 1] });
  });
});
