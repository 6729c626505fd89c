/** Drift, labels that come back, and a version in the shadow. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { literalPath } from '../../src/target/literal.ts';
import type { Artifact, Reference } from '../../src/target/target.ts';
import { server } from '../../targets/server/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { startServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

interface Feature {
  readonly name: string;
  readonly kind: string;
  readonly values: readonly number[];
}
const drift = (await import(literalPath('server', 'lib/drift.mjs'))) as {
  rowFeatures(name: string, dims: number[], data: ArrayLike<number>, isOutput: boolean): Feature[];
  binOf(edges: number[], value: number): number;
  stabilityIndex(a: number[], b: number[]): number;
  kolmogorovSmirnov(a: number[], b: number[]): { distance: number; p: number };
  chiSquared(a: number[], b: number[]): { statistic: number; p: number };
  shiftOf(a: number[], b: number[]): number;
  Drift: new (
    reference: object,
    options: { rows: number; report: (name: string, kind: string, result: object) => void },
  ) => { sawOutputs(results: object): void };
};
const modules = installedModules() ?? '';
const dir = await tempDir();

describe('labels that come back', () => {
  it('are held against the class of half-precision scores, not of their bits', async () => {
    const { Monitor } = (await import(literalPath('server', 'lib/monitor.mjs'))) as {
      Monitor: new (
        services: object,
      ) => {
        after(served: object, watched: object, results: object, id: string): void;
        feedback(id: string, labels: number[]): object | undefined;
      };
    };
    const models = { other: () => undefined };
    const monitor = new Monitor({ config: { feedbackRequests: 10 }, models, metrics: { labelled: () => {} } });
    const served = { info: { name: 'm', version: '1', outputs: [{ name: 'y', datatype: 'FP16' }] } };
    // -1 and 1, twice.
    const scores = Uint16Array.of(0xbc_00, 0x3c_00, 0x3c_00, 0xbc_00);
    monitor.after(served, {}, { y: { dims: [2, 2], data: scores } }, 'a');
    expect(monitor.feedback('a', [1, 0])).toEqual({ right: 2, rows: 2 });
  });

  it('are remembered for so many rows in all, under ids that somebody can ask for', async () => {
    const { Monitor } = (await import(literalPath('server', 'lib/monitor.mjs'))) as {
      Monitor: new (
        services: object,
      ) => {
        cached(served: object, feeds: object[], results: object, id: string): void;
        feedback(id: string, labels: number[]): object | undefined;
      };
    };
    const models = { other: () => undefined };
    const monitor = new Monitor({ config: { feedbackRequests: 100 }, models, metrics: { labelled: () => {} } });
    const served = { info: { name: 'm', version: '1', outputs: [{ name: 'y', datatype: 'FP32' }] } };
    const answer = (id: string, rows: number): void =>
      monitor.cached(served, [], { y: { dims: [rows, 2], data: new Float32Array(2 * rows) } }, id);
    const rows = 900_000;
    for (const id of ['a', 'b', 'c', 'b']) answer(id, rows);
    const labels = Array<number>(rows).fill(0);
    expect(monitor.feedback('a', labels)).toBeUndefined();
    expect(monitor.feedback('b', labels)).toEqual({ right: rows, rows });
    expect(monitor.feedback('c', labels)).toEqual({ right: rows, rows });
    answer('x'.repeat(1000), 1);
    expect(monitor.feedback('x'.repeat(1000), [0])).toBeUndefined();
  });
});

describe('statistics of drift', () => {
  it('agree with scipy', () => {
    const { statistic, p } = drift.chiSquared([50, 50, 100, 0], [30, 80, 90, 0]);
    expect(statistic).toBeCloseTo(12.449392712550607, 9);
    expect(p).toBeCloseTo(0.0019799, 7);
    expect(drift.chiSquared([1, 1], [1, 1]).p).toBe(1);
    // stats.kstwobign.sf(1.36) = 0.04948587
    const size = Math.sqrt(500);
    const distance = 1.36 / (size + 0.12 + 0.11 / size);
    const shifted = drift.kolmogorovSmirnov([500, 500], [500 - 1000 * distance, 500 + 1000 * distance]);
    expect(shifted.distance).toBeCloseTo(distance, 12);
    expect(shifted.p).toBeCloseTo(0.04948587, 6);
  });

  it('are nothing for equal counts, and grow with what moved', () => {
    const same = [10, 20, 30];
    expect(drift.stabilityIndex(same, same)).toBe(0);
    expect(drift.kolmogorovSmirnov(same, same)).toEqual({ distance: 0, p: 1 });
    expect(drift.shiftOf([50, 50], [60, 40])).toBeCloseTo(0.1, 12);
    expect(drift.stabilityIndex([100, 100, 0], [0, 100, 100])).toBeGreaterThan(1);
  });

  it('look at elements, at means of large rows, and at the class of scores', () => {
    expect(drift.rowFeatures('x', [2, 2], Float32Array.of(1, 2, 3, 4), false)).toEqual([
      { name: 'x[0]', kind: 'number', values: [1, 3] },
      { name: 'x[1]', kind: 'number', values: [2, 4] },
    ]);
    const large = drift.rowFeatures(
      'x',
      [1, 100],
      Float32Array.from({ length: 100 }, (_, i) => i % 2),
      false,
    );
    expect(large.map(({ name, values }) => [name, values])).toEqual([
      ['x.mean', [0.5]],
      ['x.deviation', [0.5]],
    ]);
    // Large, and little between them: deviation 0.5 of 1e9 and 1e9 + 1.
    const far = Array.from({ length: 100 }, (_, i) => 1e9 + (i % 2));
    expect(drift.rowFeatures('t', [1, 100], Float64Array.from(far), false).map(({ values }) => values)).toEqual([
      [1e9 + 0.5],
      [0.5],
    ]);
    expect(drift.rowFeatures('y', [2, 3], Float32Array.of(0, 5, 1, 9, 0, 0), true)).toMatchObject([
      { name: 'y.class', kind: 'class', values: [1, 0] },
    ]);
    const broken = Float32Array.of(Number.NaN, 1, 3, Number.NaN, Number.NaN, Number.NaN);
    expect(drift.rowFeatures('y', [2, 3], broken, true)[0]?.values).toEqual([2, -1]);
    const reported: unknown[] = [];
    const watch = new drift.Drift(
      { features: [{ name: 'y.class', kind: 'class', side: 'output', counts: [5, 5, 5] }] },
      { rows: 2, report: (...what) => reported.push(what) },
    );
    watch.sawOutputs({ y: { dims: [2, 3], data: broken } });
    expect(reported).toEqual([['y.class', 'class', expect.objectContaining({ shift: expect.closeTo(2 / 3, 9) })]]);
    expect(drift.rowFeatures('y', [0, 3], new Float32Array(), true)).toEqual([]);
    expect([-1, 0, 0.5, 1, 2, Number.NaN].map((value) => drift.binOf([0, 1], value))).toEqual([0, 0, 1, 1, 2, 2]);
  });
});

/** Pictures of one brightness each, from 0 to 1. */
const brightness = (n: number): number => (n % 50) / 50;

function reference(): Reference {
  const edges = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
  const counts = edges.map(() => 0).concat(0);
  for (let n = 0; n < 500; n++) {
    const bin = drift.binOf(edges, brightness(n));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return {
    rows: 500,
    accuracy: 0.9,
    features: [
      { name: 'image.mean', side: 'input', kind: 'number', edges, counts },
      { name: 'scores.class', side: 'output', kind: 'class', counts: [125, 125, 125, 125] },
    ],
  };
}

describe.skipIf(modules === '')('a server that watches', () => {
  it('exports drift, accuracy by labels, and how a second version would have answered', async () => {
    const plain = await makeArtifact(dir, classifier, classifierFeeds);
    const workshop = { reference: async () => reference() } as unknown as NonNullable<Artifact['workshop']>;
    const models = join(dir, 'models');
    await mkdir(join(dir, 'other'));
    const changed = classifier.replace('random(3, -0.1, 0.1)', 'random(9, -5, 5)');
    const other = { ...(await makeArtifact(join(dir, 'other'), changed, classifierFeeds)), name: 'tiny' };
    await buildBundle(server, { ...other, workshop }, {}, join(models, 'tiny/2'));
    const { mkdir: make, writeFile } = await import('node:fs/promises');
    await make(join(models, 'tiny'), { recursive: true });
    await writeFile(join(models, 'tiny/default-version'), '1');
    const env = { DRIFT_ROWS: '100', MODELS_DIR: models, SHADOW_VERSION: '2' };
    const running = await startServer({ ...plain, workshop }, join(dir, 'bundle'), modules, { env });
    const infer = async (value: number, rows: number, id: string): Promise<number[]> => {
      const data = Array.from({ length: 144 * rows }, () => value);
      const inputs = [{ name: 'image', datatype: 'FP32', shape: [rows, 1, 12, 12], data }];
      const response = await fetch(`${running.url}/v2/models/tiny/infer`, {
        method: 'POST',
        body: JSON.stringify({ id, inputs }),
      });
      return ((await response.json()) as { outputs: { data: number[] }[] }).outputs[0]?.data ?? [];
    };
    const metric = async (name: string, more = ''): Promise<number> => {
      const text = await (await fetch(`${running.url}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) && line.includes(more));
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    };
    for (let n = 0; n < 100; n++) await infer(brightness(n), 1, `a-${n}`);
    expect(await metric('mlpack_drift_psi', 'feature="image.mean"')).toBeLessThan(0.2);
    expect(await metric('mlpack_drift_p_value', 'feature="image.mean"')).toBeGreaterThan(0.05);
    // Constant pictures all land in one class or two: far from a quarter each.
    expect(await metric('mlpack_prediction_shift')).toBeGreaterThan(0.1);
    for (let n = 0; n < 50; n++) await infer(0.95, 2, `b-${n}`);
    expect(await metric('mlpack_drift_windows_total', 'feature="image.mean"')).toBe(2);
    expect(await metric('mlpack_drift_psi', 'feature="image.mean"')).toBeGreaterThan(0.2);
    expect(await metric('mlpack_drift_p_value', 'feature="image.mean"')).toBeLessThan(0.05);
    expect(await metric('mlpack_reference_accuracy', 'version="1"')).toBe(0.9);
    const scores = await infer(0.5, 1, 'labelled');
    const best = scores.indexOf(Math.max(...scores));
    const feedback = async (body: unknown): Promise<[number, unknown]> => {
      const response = await fetch(`${running.url}/v2/feedback`, { method: 'POST', body: JSON.stringify(body) });
      return [response.status, await response.json()];
    };
    expect(await feedback({ id: 'labelled', labels: [best] })).toEqual([200, { right: 1, rows: 1 }]);
    expect((await feedback({ id: 'labelled', labels: [best] }))[0]).toBe(404);
    expect(await feedback({ id: 'b-1', labels: [9, 9] })).toEqual([200, { right: 0, rows: 2 }]);
    for (const wrong of [{}, { id: 1, labels: [1] }, { id: 'x', labels: [] }, { id: 'x', labels: [1.5] }, null]) {
      expect((await feedback(wrong))[0]).toBe(400);
    }
    expect([
      await metric('mlpack_feedback_total', 'right="true"'),
      await metric('mlpack_feedback_total', 'right="false"'),
    ]).toEqual([1, 2]);
    // The second version answers behind the first, when there is time.
    await expect.poll(() => metric('mlpack_shadow_total', 'outcome="different"')).toBeGreaterThan(0);
    expect(await metric('mlpack_shadow_total', 'outcome="failed"')).toBe(0);
    // What a version showed last is gone with it: an alert on it would never end.
    const ofSecond = async (): Promise<number> => {
      const text = await (await fetch(`${running.url}/metrics`)).text();
      const gauges = /^mlpack_(?:drift_psi|drift_p_value|prediction_shift|reference_accuracy)\{.*version="2"/gm;
      return text.match(gauges)?.length ?? 0;
    };
    const data = Array.from({ length: 144 * 100 }, () => 0.95);
    const inputs = [{ name: 'image', datatype: 'FP32', shape: [100, 1, 12, 12], data }];
    const infer2 = `${running.url}/v2/models/tiny/versions/2/infer`;
    expect((await fetch(infer2, { method: 'POST', body: JSON.stringify({ inputs }) })).status).toBe(200);
    expect(await ofSecond()).toBe(6);
    // Another model under its number has shown nothing yet; how right it is on the evaluation data is known.
    await mkdir(join(dir, 'third'));
    const again = classifier.replace('random(3, -0.1, 0.1)', 'random(11, -5, 5)');
    const third = { ...(await makeArtifact(join(dir, 'third'), again, classifierFeeds)), name: 'tiny' };
    await buildBundle(server, { ...third, workshop }, {}, join(models, 'tiny/.2'));
    await rename(join(models, 'tiny/2'), join(models, 'tiny/.before'));
    await rename(join(models, 'tiny/.2'), join(models, 'tiny/2'));
    running.child.kill('SIGHUP');
    await expect.poll(ofSecond, { timeout: 20_000 }).toBe(1);
    expect(await metric('mlpack_reference_accuracy', 'version="2"')).toBe(0.9);
    await rm(join(models, 'tiny/2'), { recursive: true });
    running.child.kill('SIGHUP');
    await expect.poll(ofSecond, { timeout: 5000 }).toBe(0);
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  });
});
