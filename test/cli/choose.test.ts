import { describe, expect, it } from 'vitest';
import { choose, type Measured, type TargetNeed } from '../../src/cli/optimize/choose.ts';

function variant(name: string, over: Partial<Measured> = {}): Measured {
  return {
    name,
    steps: [],
    file: `variants/${name}/model.onnx`,
    sha256: 'x',
    bytes: 1000,
    compressedBytes: 900,
    parameters: 10,
    nodes: 3,
    ops: {},
    fidelity: { sqnrDb: 60, cosine: 1, maxAbs: 0, samples: 8, agreement: 1 },
    accuracy: { metric: 'top1', value: 0.95, base: 0.95, drop: 0, samples: 500 },
    latency: { cpu: latency(1, 0.98, 1.02) },
    sessionMs: 10,
    peakRssBytes: 1e8,
    audit: null,
    blockers: [],
    ...over,
  };
}
function latency(ratioToBase: number, low: number, high: number): Measured['latency'][string] {
  return { p50: ratioToBase, p90: ratioToBase, p99: ratioToBase, samples: 100, ratioToBase, ratioCi: [low, high] };
}
const floors = { maxDrop: 0.01, minSqnrDb: 30 };
const server: TargetNeed = { id: 'server', providers: ['cpu'], refuses: () => undefined };
const base = variant('base');

describe('choose', () => {
  it('recommends the smallest times fastest that keeps the floor', () => {
    const small = variant('small', { bytes: 300, compressedBytes: 250 });
    const fast = variant('fast', { bytes: 400, compressedBytes: 350, latency: { cpu: latency(0.5, 0.48, 0.52) } });
    const { recommendations, variants } = choose([base, small, fast], floors, [server]);
    expect(recommendations).toHaveLength(1);
    expect(recommendations[0]).toMatchObject({ target: 'server', provider: 'cpu', variant: 'fast' });
    expect(recommendations[0]?.because).toContain('2.00 times as fast on cpu');
    expect(variants.map((one) => [one.name, one.verdict])).toEqual([
      ['base', 'accepted'],
      ['small', 'accepted'],
      ['fast', 'recommended'],
    ]);
  });

  it('rejects what drops too far, with both figures', () => {
    const poor = variant('poor', {
      bytes: 100,
      accuracy: { metric: 'top1', value: 0.93, base: 0.95, drop: 0.02, samples: 500 },
    });
    const { variants, recommendations } = choose([base, poor], floors, [server]);
    expect(variants[1]?.verdict).toBe('rejected');
    expect(variants[1]?.reasons[0]).toBe(
      'top1 falls from 0.9500 to 0.9300 on 500 samples, a drop of 0.0200 where 0.01 is allowed',
    );
    expect(recommendations[0]?.variant).toBe('base');
  });

  it('rejects NaN accuracy', () => {
    const broken = variant('broken', {
      accuracy: { metric: 'top1', value: Number.NaN, base: 0.95, drop: Number.NaN, samples: 500 },
    });
    expect(choose([base, broken], floors, [server]).variants[1]?.verdict).toBe('rejected');
  });

  it.each([
    ['certainly slower', latency(1.3, 1.2, 1.4)],
    ['slower than the slack, in noise', latency(1.1, 0.9, 1.3)],
  ])('rejects what is %s than base', (_, cpu) => {
    const slow = variant('slow', { bytes: 100, compressedBytes: 90, latency: { cpu } });
    const { variants, recommendations } = choose([base, slow], floors, [server]);
    expect(variants[1]?.verdict).toBe('rejected');
    expect(variants[1]?.reasons[0]).toMatch(/^slower than base on cpu: ×1\.\d+ of its latency/);
    expect(recommendations[0]?.variant).toBe('base');
  });

  it('takes equal speed within noise when the file is smaller', () => {
    const half = variant('half', { bytes: 500, compressedBytes: 450, latency: { cpu: latency(1.01, 0.97, 1.05) } });
    const { recommendations } = choose([base, half], floors, [server]);
    expect(recommendations[0]).toMatchObject({ variant: 'half' });
    expect(recommendations[0]?.because).toContain('same speed on cpu within noise');
  });

  it('rejects what is neither smaller nor faster', () => {
    const same = variant('same');
    expect(choose([base, same], floors, [server]).variants[1]?.reasons).toEqual([
      'neither smaller nor measurably faster than base',
    ]);
  });

  it('judges by decibels where there are no labels, and says what would help', () => {
    const weak = variant('weak', {
      bytes: 100,
      accuracy: null,
      fidelity: { sqnrDb: 20, cosine: 0.9, maxAbs: 1, samples: 8, agreement: null },
    });
    const { variants } = choose([{ ...base, accuracy: null }, weak], floors, [server]);
    expect(variants[1]?.reasons[0]).toContain('20.0 dB');
    expect(variants[1]?.reasons[0]).toContain('--data');
  });

  it('keeps blockers as the reason', () => {
    const broken = variant('broken', {
      blockers: ['ONNX Runtime does not load it: …'],
      latency: {},
      accuracy: null,
      fidelity: null,
    });
    expect(choose([base, broken], floors, [server]).variants[1]).toMatchObject({
      verdict: 'rejected',
      reasons: ['ONNX Runtime does not load it: …'],
    });
  });

  it('gives each target its own', () => {
    const int4 = variant('int4', { bytes: 100, compressedBytes: 90 });
    const fp16 = variant('fp16', { bytes: 500, compressedBytes: 450 });
    const browser: TargetNeed = {
      id: 'browser',
      providers: ['web-wasm'],
      refuses: (one) => (one.name === 'int4' ? 'MatMulNBits is slow on WASM' : undefined),
    };
    const { recommendations, variants } = choose([base, int4, fp16], floors, [server, browser]);
    expect(recommendations.map((one) => [one.target, one.variant])).toEqual([
      ['server', 'int4'],
      ['browser', 'fp16'],
    ]);
    expect(recommendations[1]?.because).toContain('latency on web-wasm was not measured here');
    expect(variants.every((one) => one.name === 'base' || one.verdict === 'recommended')).toBe(true);
  });
});
