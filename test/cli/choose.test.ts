import { describe, expect, it } from 'vitest';
import { choose, type TargetNeed } from '../../src/cli/optimize/choose.ts';
import type { Measured } from '../../src/cli/optimize/measured.ts';
import { measured } from './measured.ts';

const variant = (name: string, over: Partial<Measured> = {}): Measured =>
  measured(name, { latency: { cpu: latency(1, 0.98, 1.02) }, ...over });

function latency(ratioToBase: number, low: number, high: number): Measured['latency'][string] {
  return { p50: ratioToBase, p90: ratioToBase, p99: ratioToBase, samples: 100, ratioToBase, ratioCi: [low, high] };
}
const floors = { maxDrop: 0.01, minSqnrDb: 30 };
const server: TargetNeed = { id: 'server', providers: () => ['cpu'], refuses: () => undefined };
/** Where blocks go to WebGPU first and integers to WebAssembly only, as in targets/browser. */
const browser: TargetNeed = {
  id: 'browser',
  providers: ({ name }) => (name.startsWith('int8') ? ['web-wasm'] : ['web-webgpu', 'web-wasm']),
  refuses: () => undefined,
};
const base = variant('base');
const onBoth = (cpu: number, wasm: number): Measured['latency'] => ({
  cpu: latency(cpu, cpu - 0.01, cpu + 0.01),
  'web-wasm': latency(wasm, wasm - 0.01, wasm + 0.01),
});
const baseOnBoth = variant('base', { latency: onBoth(1, 1) });
const int4 = (over: Partial<Measured> = {}): Measured =>
  variant('int4', { bytes: 100, compressedBytes: 90, latency: onBoth(0.5, 11.2), ...over });

describe('choose', () => {
  it('does not let size alone choose what the table calls slower, where nothing is timed', () => {
    const untimed = { latency: {} };
    const { variants, recommendations } = choose(
      [variant('base', untimed), int4(untimed), variant('int8', { ...untimed, bytes: 300, compressedBytes: 280 })],
      floors,
      [{ ...browser, providers: () => ['web-wasm'] }],
    );
    expect(recommendations[0]?.variant).toBe('int8');
    expect(variants.find(({ name }) => name === 'int4')?.reasons.join()).toMatch(
      /not timed \(--no-bench\), and known to be slower than base on web-wasm: MatMulNBits is 11/,
    );
    expect(choose([variant('base', untimed), int4(untimed)], floors, [server]).recommendations[0]?.variant).toBe(
      'int4',
    );
  });

  it('takes what is slower than base where base cannot go into the bundle', () => {
    const slower = variant('fp32', { bytes: 1000, compressedBytes: 900, latency: { cpu: latency(1.08, 1.07, 1.09) } });
    const tensors: TargetNeed = {
      ...server,
      refuses: ({ name }) => (name === 'base' ? 'its scores are maps' : undefined),
    };
    expect(choose([base, slower], floors, [tensors]).recommendations[0]).toMatchObject({
      variant: 'fp32',
      because: ['100 % of the size', 'slower on cpu (×1.08)', 'top1 0.9500 (base 0.9500, 500 samples)'],
    });
    expect(choose([base, slower], floors, [server]).recommendations[0]?.variant).toBe('base');
  });

  it('keeps base when what could be gained is not worth a change', () => {
    const hardly = variant('hardly', { bytes: 995, compressedBytes: 896 });
    const { variants, recommendations } = choose([base, hardly], floors, [server]);
    expect(recommendations[0]?.variant).toBe('base');
    expect(variants[1]?.reasons).toEqual(['passes, and saves less than 1 % of base in download and latency']);
  });

  it('takes a larger file for no gain where it compresses a little better, timed or not', () => {
    for (const latency of [{}, base.latency]) {
      const larger = variant('fp16', { latency, bytes: 1020, compressedBytes: 850 });
      const sparse = variant('sparse', {
        latency,
        bytes: 1000,
        compressedBytes: 500,
        steps: [{ pass: 'prune-weights', changed: true } as never],
      });
      const start = variant('base', { latency, bytes: 1000, compressedBytes: 900 });
      const { variants, recommendations } = choose([start, larger], floors, [server]);
      expect(recommendations[0]?.variant).toBe('base');
      expect(variants[1]?.reasons).toEqual(['neither smaller nor measurably faster than base']);
      expect(choose([start, sparse], floors, [server]).recommendations[0]?.variant).toBe('sparse');
    }
  });

  it('gives up accuracy only for a gain that is worth it', () => {
    const lossy = (compressedBytes: number): Measured =>
      variant('pruned', {
        bytes: compressedBytes + 100,
        compressedBytes,
        accuracy: { metric: 'top1', value: 0.948, base: 0.95, drop: 0.002, samples: 500 },
      });
    const best = (...variants: Measured[]): string | undefined =>
      choose([base, ...variants], floors, [server]).recommendations[0]?.variant;
    expect(best(lossy(880))).toBe('base');
    expect(best(lossy(860))).toBe('pruned');
    expect(best(lossy(500), variant('true', { bytes: 600, compressedBytes: 510 }))).toBe('true');
    expect(best(lossy(500), variant('true', { bytes: 600, compressedBytes: 530 }))).toBe('pruned');
  });

  it('prefers what is truer to base among equals where there is no data', () => {
    const reaching = (name: string, sqnrDb: number, compressedBytes: number): Measured =>
      variant(name, {
        bytes: compressedBytes,
        compressedBytes,
        accuracy: null,
        fidelity: { sqnrDb, cosine: 1, maxAbs: 0, samples: 8, agreement: 1 },
      });
    const found = choose(
      [variant('base', { accuracy: null }), reaching('int8', 32, 500), reaching('fp16', 70, 510)],
      floors,
      [server],
    );
    expect(found.recommendations[0]?.variant).toBe('fp16');
  });

  it('does not let a metric at the level of chance pass what is unlike base', () => {
    const far = { fidelity: { sqnrDb: 9, cosine: 0.9, maxAbs: 1, samples: 8, agreement: 0.5 } };
    const pruned = variant('pruned', { bytes: 300, compressedBytes: 250, ...far });
    const halved = variant('fp16', { bytes: 500, compressedBytes: 450 });
    const found = choose([base, pruned, halved], { ...floors, noSkill: 'untrained' }, [server]);
    expect(found.recommendations[0]?.variant).toBe('fp16');
    expect(found.variants[1]?.reasons[0]).toMatch(
      /^on this data base scores no better than an answer that knows nothing of the inputs.*30 dB; this one reaches 9\.0 dB$/,
    );
    expect(choose([base, pruned, halved], floors, [server]).recommendations[0]?.variant).toBe('pruned');
  });

  it('holds nothing against a model that does not reproduce itself, and says so', () => {
    const noisy = { fidelity: { sqnrDb: 21, cosine: 0.9, maxAbs: 1, samples: 8, agreement: 0.5 }, accuracy: null };
    const small = variant('small', { bytes: 500, compressedBytes: 450, ...noisy });
    const { variants } = choose([variant('base', noisy), small], floors, [server]);
    expect(variants[1]?.reasons[0]).toMatch(
      /^the model does not reproduce itself: .*\(21\.0 dB; it draws random numbers\)/,
    );
  });

  it('counts a smaller download as smaller, and says what zeros did to the speed', () => {
    const step = {
      pass: 'prune-weights',
      options: {},
      changed: true,
      applied: {},
      skipped: [],
      nodesBefore: 3,
      nodesAfter: 3,
      ms: 1,
    };
    const sparse = variant('sparse', { compressedBytes: 540, steps: [step] });
    const { variants, recommendations } = choose([base, sparse], floors, [server]);
    expect(recommendations[0]?.variant).toBe('sparse');
    expect(variants[1]?.reasons).toEqual([
      '100 % of the size',
      '60 % of the download',
      'same speed on cpu (×1.00)',
      'top1 0.9500 (base 0.9500, 500 samples)',
      'no speed-up on cpu: ×1.000 of its latency (95 % interval 0.980–1.020); ONNX Runtime has no sparse kernels, the gain is the download',
    ]);
    const untouched = variant('untouched', { compressedBytes: 540, steps: [{ ...step, changed: false }] });
    expect(choose([base, untouched], floors, [server]).variants[1]?.reasons.join()).not.toContain('no speed-up');
    const fast = variant('fast', { steps: [step], latency: { cpu: latency(0.5, 0.48, 0.52) } });
    expect(choose([base, fast], floors, [server]).variants[1]?.reasons.join()).not.toContain('no speed-up');
  });

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
    const [low] = cpu.ratioCi;
    expect(variants[1]?.reasons[0]).toMatch(
      low > 1
        ? /^slower than base on cpu: ×1\.\d+ of its latency/
        : /^may be slower than base on cpu: ×1\.\d+ of its latency .*--seconds/,
    );
    expect(recommendations[0]?.variant).toBe('base');
  });

  it('does not call slower, and does not count as faster, what lies within the margin of the machine', () => {
    const doubtful = { ...latency(1.1, 1.05, 1.2), call: 'undecided' };
    const slower = choose([base, variant('a', { bytes: 500, latency: { cpu: doubtful } })], floors, [server]);
    expect(slower.variants[1]?.verdict).toBe('rejected');
    expect(slower.variants[1]?.reasons[0]).toMatch(/^may be slower than base on cpu/);
    const lucky = { ...latency(0.9, 0.85, 0.95), call: 'undecided' };
    const { variants } = choose([base, variant('b', { latency: { cpu: lucky } })], floors, [server]);
    expect(variants[1]?.reasons).toEqual(['neither smaller nor measurably faster than base']);
  });

  it('takes equal speed within noise when the file is smaller', () => {
    const half = variant('half', { bytes: 500, compressedBytes: 450, latency: { cpu: latency(1.01, 0.97, 1.05) } });
    const { recommendations } = choose([base, half], floors, [server]);
    expect(recommendations[0]).toMatchObject({ variant: 'half' });
    expect(recommendations[0]?.because).toContain('same speed on cpu (×1.01)');
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

  it.each([
    ['2 % more, however sure, is no difference', latency(1.02, 1.015, 1.025), 'recommended'],
    ['beyond that it is slower', latency(1.021, 1.015, 1.027), 'rejected'],
  ])('%s', (_, cpu, verdict) => {
    const half = variant('half', { bytes: 500, compressedBytes: 450, latency: { cpu } });
    expect(choose([base, half], floors, [server]).variants[1]?.verdict).toBe(verdict);
  });

  it('calls faster only what is surely 2 % faster', () => {
    const same = variant('same', { latency: { cpu: latency(0.975, 0.969, 0.985) } });
    expect(choose([base, same], floors, [server]).variants[1]?.verdict).toBe('rejected');
    const fast = variant('fast', { latency: { cpu: latency(0.97, 0.965, 0.975) } });
    const { recommendations } = choose([base, fast], floors, [server]);
    expect(recommendations[0]?.variant).toBe('fast');
    expect(recommendations[0]?.because).toContain('1.03 times as fast on cpu');
  });
});

describe('choose for several targets', () => {
  it('judges each by its own provider: int4 for the server, never where it crawls', () => {
    const int8 = variant('int8', { bytes: 260, compressedBytes: 240, latency: onBoth(0.6, 0.8) });
    const { recommendations, variants } = choose([baseOnBoth, int4(), int8], floors, [server, browser]);
    expect(recommendations.map((one) => [one.target, one.variant, one.provider])).toEqual([
      ['server', 'int4', 'cpu'],
      ['browser', 'int8', 'web-wasm'],
    ]);
    expect(variants[1]?.verdict).toBe('recommended');
    expect(variants[1]?.reasons).toContain(
      'not for browser: slower than base on web-wasm: ×11.20 of its latency (95 % interval 11.19–11.21)',
    );
    expect(recommendations[1]?.because).toEqual([
      '26 % of the size',
      '1.25 times as fast on web-wasm',
      'gives up web-webgpu, which base could use and was not measured on here',
      'top1 0.9500 (base 0.9500, 500 samples)',
    ]);
  });

  it('rejects only what is out for every target', () => {
    const [, onServer] = choose([baseOnBoth, int4()], floors, [browser]).variants;
    expect(onServer).toMatchObject({
      verdict: 'rejected',
      reasons: ['slower than base on web-wasm: ×11.20 of its latency (95 % interval 11.19–11.21)'],
    });
    const slowOnCpu = variant('fp16', { bytes: 500, compressedBytes: 450, latency: onBoth(1.3, 1) });
    const { variants, recommendations } = choose([baseOnBoth, slowOnCpu], floors, [server, browser]);
    expect(recommendations.map((one) => [one.target, one.variant])).toEqual([
      ['server', 'base'],
      ['browser', 'fp16'],
    ]);
    expect(variants[1]?.reasons).toContain(
      'not for server: slower than base on cpu: ×1.30 of its latency (95 % interval 1.29–1.31)',
    );
  });

  it('what was measured counts for every provider the bundle runs on, not only the preferred one', () => {
    // int4 goes to WebGPU first, which was not timed; visitors without WebGPU would get the WebAssembly that was.
    const { recommendations } = choose([baseOnBoth, int4()], floors, [browser]);
    expect(recommendations[0]?.variant).toBe('base');
    const fp16 = variant('fp16', { bytes: 500, compressedBytes: 450, latency: onBoth(1, 1) });
    const [chosen] = choose([baseOnBoth, fp16], floors, [browser]).recommendations;
    expect(chosen).toMatchObject({ variant: 'fp16', provider: 'web-wasm' });
    expect(chosen?.because).toContain('latency on web-webgpu was not measured here');
  });

  it('what was not timed for a target never goes before what was', () => {
    const onGpu: TargetNeed = {
      ...browser,
      providers: ({ name }) => (name === 'int4' ? ['web-webgpu'] : ['web-wasm']),
    };
    expect(choose([baseOnBoth, int4()], floors, [onGpu]).recommendations[0]?.variant).toBe('base');
  });

  it('decides by size where nothing was timed for a target, and says so', () => {
    const half = variant('half', { bytes: 500, compressedBytes: 450 });
    const [chosen] = choose([base, half], floors, [browser]).recommendations;
    expect(chosen).toMatchObject({ variant: 'half', provider: 'web-webgpu' });
    expect(chosen?.because).toEqual(
      expect.arrayContaining([
        'latency on web-webgpu was not measured here',
        'latency on web-wasm was not measured here',
      ]),
    );
  });

  it('keeps a variant off the target where it does not work', () => {
    const why = 'gives other outputs on web-wasm than on the CPU: output "y" has 3 at element 0 instead of 1';
    const wrong = int4({ latency: { cpu: latency(0.5, 0.49, 0.51) }, failures: { 'web-wasm': why } });
    const both = choose([baseOnBoth, wrong], floors, [server, browser]);
    expect(both.recommendations.map((one) => one.variant)).toEqual(['int4', 'base']);
    expect(both.variants[1]?.reasons).toContain(`not for browser: ${why}`);
    expect(both.variants[1]?.failures).toEqual(wrong.failures);
    expect(both.variants[0]).not.toHaveProperty('failures');
    expect(choose([baseOnBoth, wrong], floors, [browser]).variants[1]).toMatchObject({
      verdict: 'rejected',
      reasons: [why],
    });
  });

  it('recommends nothing where base itself does not work and nothing else does', () => {
    const failures = { 'web-wasm': 'does not work on web-wasm: no kernel' };
    const broken = variant('base', { failures });
    const { recommendations, variants } = choose([broken, int4({ failures })], floors, [server, browser]);
    expect(recommendations.map((one) => one.target)).toEqual(['server']);
    expect(variants[0]).toMatchObject({
      verdict: 'accepted',
      reasons: ['the model as it came', 'not for browser: does not work on web-wasm: no kernel'],
    });
  });

  it('leaves out what a target refuses', () => {
    const picky: TargetNeed = {
      ...browser,
      refuses: ({ name }) => (name === 'int4' ? 'The model has 3 GB.' : undefined),
    };
    const small = int4({ latency: onBoth(0.5, 0.5) });
    const { recommendations, variants } = choose([baseOnBoth, small], floors, [picky]);
    expect(recommendations[0]?.variant).toBe('base');
    expect(variants[1]).toMatchObject({ verdict: 'rejected', reasons: ['not for browser: The model has 3 GB.'] });
    const also = choose([baseOnBoth, small], floors, [server, picky]).variants[1];
    expect(also?.reasons).toContain('not for browser: The model has 3 GB.');
  });
});
