import { describe, expect, it } from 'vitest';
import { pairAccuracy } from '../../src/cli/optimize/paired.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import { checkBaseline } from '../../src/report/gate/baseline.ts';
import type { Finding } from '../../src/report/gate/finding.ts';
import { type GateOptions, gate } from '../../src/report/gate/gate.ts';
import { checkGateRules, type GateRules } from '../../src/report/gate/rules.ts';
import type { Accuracy, Report, VariantResult } from '../../src/report/report.ts';
import { sampleReport, syntheticReport } from './sample.ts';
import { rightScores } from './sample-evidence.ts';

/** Only the rules named, about one variant. */
function judge(rules: GateRules, report: Report = sampleReport, options: GateOptions = {}): readonly Finding[] {
  return gate(report, { verdict: 'off', accuracy: 'off', ...rules }, options).findings;
}

function change(name: string, part: Partial<VariantResult>, report: Report = sampleReport): Report {
  return { ...report, variants: report.variants.map((one) => (one.name === name ? { ...one, ...part } : one)) };
}

const int8 = sampleReport.variants.find(({ name }) => name === 'int8') as VariantResult;
const withAccuracy = (part: Partial<Accuracy>): Report =>
  change('int8', { accuracy: { ...(int8.accuracy as Accuracy), ...part } });
const withRatio = (ratioToBase: number, ratioCi: [number, number]): Report =>
  change('int8', { latency: { ...int8.latency, cpu: { ...int8.latency.cpu!, ratioToBase, ratioCi } } });

describe('gate', () => {
  it('judges verdict and accuracy of the recommended variant where nothing else is said', () => {
    const { ok, model, findings } = gate(sampleReport, {});
    expect(ok).toBe(true);
    expect(model).toBe('models/digits/model.onnx');
    expect(findings.map(({ rule, status, variant }) => [rule, status, variant])).toEqual([
      ['verdict', 'ok', null],
      ['accuracy', 'ok', 'int8'],
    ]);
    // Two targets, one variant: said once.
    expect(findings[1]).toMatchObject({ targets: ['server', 'browser'], value: 0.002, limit: 0.01, level: 'error' });
  });

  it('takes a rule that is undefined for one that is not there, and not for "off"', () => {
    const { findings } = gate(sampleReport, { accuracy: undefined, verdict: undefined });
    expect(findings.map(({ rule }) => rule).sort()).toEqual(['accuracy', 'verdict']);
  });

  it('takes providers with their options', () => {
    const name = 'latency.p50.cpu:threads=1';
    expect(() => checkGateRules({ [name]: { max: 1 }, 'agreement.cuda:device=1': { min: 1 } }, 'x')).not.toThrow();
    const report = change('int8', { latency: { 'cpu:threads=1': int8.latency.cpu! } });
    expect(judge({ [name]: { max: 0.5 } }, report)).toMatchObject([{ status: 'failed', value: 0.565 }]);
  });

  it('fails for the verdict of the report, or of the variant asked for', () => {
    const bad: Report = { ...sampleReport, verdict: { ok: false, reasons: ['nothing fits the browser'] } };
    expect(gate(bad, {}).ok).toBe(false);
    expect(gate(bad, {}).findings[0]?.sentence).toBe('Nothing fits the browser.');
    expect(gate(bad, { verdict: { level: 'warn' } }).ok).toBe(true);
    expect(gate(bad, { verdict: 'off' }).findings.map(({ rule }) => rule)).toEqual(['accuracy']);
    const [verdict, accuracy] = gate(sampleReport, {}, { variant: 'int4' }).findings;
    expect(verdict).toMatchObject({ status: 'failed', variant: 'int4' });
    expect(accuracy).toMatchObject({ status: 'failed', value: 0.043, limit: 0.01 });
    expect(accuracy?.sentence).toMatch(/^int4: top1 93\.1 % .*−4\.3 points.* on 500 samples, where a drop of 1 point/);
    expect(() => gate(sampleReport, {}, { variant: 'int9' })).toThrow(/no variant "int9" \(did you mean "int8"\?\)/);
  });

  it('judges the drop as measured, or the worse end of its interval', () => {
    // int8 drops by 0.002, interval −0.007 to 0.014.
    expect(judge({ accuracy: { maxDrop: 0.01, on: 'point' } })[0]).toMatchObject({ status: 'ok', value: 0.002 });
    const [bound] = judge({ accuracy: { maxDrop: 0.01, on: 'bound' } });
    expect(bound).toMatchObject({ status: 'failed', limit: 0.01 });
    expect(bound?.value).toBeCloseTo(0.014, 12);
    expect(bound?.sentence).toMatch(/a larger drop cannot be excluded.*about 785 samples would tell/);
    expect(judge({ accuracy: { maxDrop: 0.0141, on: 'bound' } })[0]?.status).toBe('ok');
    expect(judge({ accuracy: { maxDrop: 0.001, on: 'bound' } })[0]?.sentence).not.toMatch(/excluded/);
    expect(judge({ accuracy: { maxDrop: 0.001 } })[0]?.sentence).toMatch(/it may be chance; about 785 samples/);
    expect(
      judge({ accuracy: { maxDrop: 0.001 } }, withAccuracy({ dropCi: [0.0015, 0.0025] }))[0]?.sentence,
    ).not.toMatch(/chance/);
  });

  it('does not take base for worse than itself', () => {
    expect(judge({ accuracy: { maxDrop: 0, on: 'bound' } }, sampleReport, { variant: 'base' })[0]?.status).toBe('ok');
  });

  it('fails without a finite number, and is undecided without a measurement or an interval', () => {
    expect(judge({ accuracy: {} }, withAccuracy({ value: null, drop: null }))[0]?.status).toBe('failed');
    const { dropCi: _, ...old } = int8.accuracy as Accuracy;
    expect(judge({ accuracy: { on: 'bound' } }, change('int8', { accuracy: old }))[0]?.status).toBe('undecided');
    expect(judge({ accuracy: { on: 'point' } }, change('int8', { accuracy: old }))[0]?.status).toBe('ok');
    const synthetic = gate(syntheticReport, { verdict: 'off' });
    expect(synthetic).toMatchObject({ ok: true, findings: [{ rule: 'accuracy', status: 'undecided', fails: false }] });
    expect(synthetic.findings[0]?.sentence).toMatch(/labelled data with --data/);
    expect(gate(syntheticReport, { verdict: 'off' }, { strict: true }).ok).toBe(false);
    expect(gate(syntheticReport, { accuracy: { level: 'warn' }, verdict: 'off' }, { strict: true }).ok).toBe(true);
  });

  it.each<[GateRules, Finding['status'], number | null, number | null]>([
    [{ agreement: { min: 0.99 } }, 'ok', 0.994, 0.99],
    [{ agreement: { min: 0.995 } }, 'failed', 0.994, 0.995],
    [{ size: { max: 178_920 } }, 'ok', 178_920, 178_920],
    [{ size: { max: 178_919 } }, 'failed', 178_920, 178_919],
    // 178,920 of 678,169 is 26.38 %.
    [{ size: { max: '26.4%', of: 'base' } }, 'ok', 178_920, expect.closeTo(179_036.6, 1) as number],
    [{ size: { max: '26.3%' } }, 'failed', 178_920, expect.closeTo(178_358.4, 1) as number],
    [{ compressed: { max: '25%' } }, 'ok', 151_300, expect.closeTo(153_000.75, 2) as number],
    [{ session: { max: 9.3 } }, 'ok', 9.3, 9.3],
    [{ session: { max: 9.2 } }, 'failed', 9.3, 9.2],
    [{ rss: { max: '99%' } }, 'failed', 92_000_000, 91_080_000],
    [{ 'audit.leftoverQdq': { max: 3 } }, 'ok', 3, 3],
    [{ 'audit.leftoverQdq': { max: 2 } }, 'failed', 3, 2],
    // Base has none left over: any share of none is none.
    [{ 'audit.leftoverQdq': { max: '100%' } }, 'failed', 3, 0],
    [{ 'latency.p50.cpu': { max: 0.565 } }, 'ok', 0.565, 0.565],
    [{ 'latency.p50.web-wasm': { max: 2 } }, 'failed', 2.05, 2],
    // cpu: 0.465, interval 0.451 to 0.479.
    [{ 'latency.p50.cpu': { max: '48%' } }, 'ok', 0.465, 0.48],
    [{ 'latency.p50.cpu': { max: '45%' } }, 'failed', 0.465, 0.45],
    [{ 'latency.p50.cpu': { max: '47%' } }, 'undecided', 0.465, 0.47],
    [{ 'latency.p50.cuda': { max: '80%' } }, 'undecided', null, null],
    [{ 'latency.p95.cpu': { max: 0.66 } }, 'ok', 0.565 * 1.16, 0.66],
    [{ first: { max: 3.8 } }, 'ok', 3.8, 3.8],
    [{ 'audit.floatNodes': { max: 1 } }, 'failed', 2, 1],
    [{ 'audit.insertedCasts': { max: '100%', of: 'base' } }, 'ok', 0, 0],
    // On another provider than the CPU; one does not work at all.
    [{ 'agreement.web-wasm': { min: 1 } }, 'ok', 1, 1],
    [{ 'agreement.web-webgpu': { min: 0.99 } }, 'failed', 0.984, 0.99],
    [{ 'agreement.web-webgpu': { min: 0.98, minSqnrDb: 45 } }, 'failed', 0.984, 0.98],
    [{ 'agreement.web-webgpu': { minSqnrDb: 40 } }, 'ok', 41.2, 40],
    [{ 'agreement.webgpu': { min: 0.9 } }, 'failed', null, null],
    [{ 'latency.p50.webgpu': { max: 5 } }, 'failed', null, null],
    [{ 'agreement.cuda': { min: 0.9 } }, 'undecided', null, null],
    [{ fused: { minShare: 0.8 } }, 'ok', 0.8, 0.8],
    [{ fused: { minShare: 0.81 } }, 'failed', 0.8, 0.81],
    [{ fused: { ops: { DynamicQuantizeMatMul: 6, 'com.microsoft:MatMulIntegerToFloat': 2 } } }, 'ok', null, null],
    [{ fused: { minShare: 0.5, ops: { DynamicQuantizeMatMul: 7 } } }, 'failed', 0.8, 0.5],
    [{ fused: { ops: { 'ai.onnx:DynamicQuantizeMatMul': 6 } } }, 'failed', null, null],
  ])('%j: %s', (rules, status, value, limit) => {
    const [finding, ...others] = judge(rules);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ rule: Object.keys(rules)[0], variant: 'int8', status, value, limit });
  });

  it('takes latency on the provider that decided for each target', () => {
    expect(judge({ 'latency.p50': { max: 1 } }).map(({ targets, value, status }) => [targets, value, status])).toEqual([
      [['server'], 0.565, 'ok'],
      [['browser'], 2.05, 'failed'],
    ]);
    expect(judge({ 'latency.p90': { max: '60%', of: 'base' } }, sampleReport, { variant: 'int8' })[0]).toMatchObject({
      status: 'ok',
      value: 0.565 * 1.08,
    });
  });

  it('says that a slowdown within the noise is not decided, and one beyond it is', () => {
    const rules: GateRules = { 'latency.p50.cpu': { max: '100%', of: 'base' } };
    expect(judge(rules, withRatio(1.02, [0.97, 1.06]))[0]).toMatchObject({ status: 'undecided', fails: false });
    expect(judge(rules, withRatio(1.1, [1.04, 1.16]))[0]).toMatchObject({ status: 'failed', fails: true });
    expect(judge(rules, withRatio(0.9, [0.85, 0.96]))[0]).toMatchObject({ status: 'ok' });
    expect(judge(rules, withRatio(1.02, [0.97, 1.06]))[0]?.sentence).toMatch(/measure longer with --seconds/);
  });

  it('takes MLPerf presets and shares of what base reaches', () => {
    // 0.002 lost of 0.974: 0.205 %.
    const drop = (rule: GateRules['accuracy']): Finding['status'] | undefined => judge({ accuracy: rule })[0]?.status;
    expect(drop({ preset: 'mlperf-99' })).toBe('ok');
    expect(drop({ preset: 'mlperf-99.9' })).toBe('failed');
    expect(drop({ maxDrop: '0.2%' })).toBe('failed');
    expect(drop({ maxDrop: '0.21%' })).toBe('ok');
    expect(judge({ accuracy: { preset: 'mlperf-99.9' } })[0]?.sentence).toMatch(
      /where a drop of 0\.0974 points \(0\.1 % of base, mlperf-99\.9\) is allowed/,
    );
    // As `mlpack eval --preset` has it: error rates by what they are not.
    const wer = withAccuracy({ metric: 'wer', value: 0.055, base: 0.05, drop: 0.005 });
    expect(judge({ accuracy: { preset: 'mlperf-99' } }, wer)[0]).toMatchObject({ status: 'ok', limit: 0.0095 });
  });

  it('with the interval: kept, broken or undecided', () => {
    // −0.007 to 0.014.
    const status = (maxDrop: number, report?: Report): Finding['status'] | undefined =>
      judge({ accuracy: { maxDrop, on: 'interval' } }, report)[0]?.status;
    expect(status(0.015)).toBe('ok');
    expect(status(0.01)).toBe('undecided');
    expect(status(0.001, withAccuracy({ dropCi: [0.0015, 0.0025] }))).toBe('failed');
  });

  it('judges classes one by one, and takes chance for chance', () => {
    const rule = (part: object): readonly Finding[] => judge({ 'accuracy.classes': { maxDrop: 0.05, ...part } });
    // "8" lost 6 of 50 and gained none: one of 64, which among ten classes is no proof.
    expect(rule({})[0]).toMatchObject({ status: 'undecided', value: expect.closeTo(0.12, 9) as number, limit: 0.05 });
    expect(rule({})[0]?.sentence).toMatch(/"8" \(94 % to 82 % on 50 samples\) of 10 classes .* may be chance/);
    expect(rule({ on: 'point' })[0]?.status).toBe('failed');
    expect(rule({ maxDrop: 0.13 })[0]?.status).toBe('ok');
    expect(rule({ minSamples: 51 })[0]?.status).toBe('undecided');
    const { classes = [] } = int8.accuracy as Accuracy;
    const worse = classes.map((one) => (one.name === '8' ? { ...one, lost: 12, gained: 0, p: 10 * 2 ** -12 } : one));
    const [sure] = judge({ 'accuracy.classes': { maxDrop: 0.05 } }, withAccuracy({ classes: worse }));
    expect(sure).toMatchObject({ status: 'failed', fails: true });
    expect(judge({ 'accuracy.classes': { maxDrop: 0.05 } }, sampleReport, { variant: 'int4' })[0]?.status).toBe(
      'undecided',
    );
  });

  it('a rule of level off is left out', () => {
    expect(judge({ size: { max: 1, level: 'off' } })).toEqual([]);
  });

  it('has nothing to judge where nothing is recommended', () => {
    const none: Report = { ...sampleReport, recommendations: [], bundles: [] };
    expect(judge({ size: { max: 1 } }, none)).toMatchObject([{ status: 'undecided', variant: null }]);
  });
});

describe('baseline', () => {
  const rules: GateRules = {
    size: { max: '100%', of: 'baseline' },
    'latency.p50.cpu': { max: '110%', of: 'baseline' },
  };
  const status = (report: Report, baseline?: Report): string[] =>
    judge(rules, report, baseline && { baseline }).map((one) => one.status);

  it('compares with what was stored', () => {
    expect(status(sampleReport, sampleReport)).toEqual(['ok', 'ok']);
    const larger = change('int8', { bytes: 178_921 });
    expect(status(larger, sampleReport)).toEqual(['failed', 'ok']);
    expect(status(sampleReport, larger)).toEqual(['ok', 'ok']);
    const slower = withRatio(0.55, [0.54, 0.56]);
    expect(status(slower, sampleReport)).toEqual(['ok', 'failed']);
    // 0.465 then, 0.5 now: 107 %, and the two intervals together reach over 110 %.
    expect(status(withRatio(0.5, [0.485, 0.515]), sampleReport)).toEqual(['ok', 'undecided']);
  });

  it('takes what was shipped for the target then, under whatever name', () => {
    const before: Report = {
      ...sampleReport,
      recommendations: sampleReport.recommendations.map((one) => ({ ...one, variant: 'int4' })),
    };
    const [size] = judge(rules, sampleReport, { baseline: before });
    expect(size).toMatchObject({ status: 'failed', value: 178_920, limit: 121_000 });
    expect(judge(rules, sampleReport, { baseline: before, variant: 'int8' })[0]?.status).toBe('ok');
  });

  it('never compares times of another machine', () => {
    for (const part of [{ cpu: 'Another CPU' }, { cores: 64 }, { ort: '1.31.0' }]) {
      const baseline = { ...sampleReport, host: { ...sampleReport.host, ...part } };
      const [size, latency] = judge(rules, sampleReport, { baseline });
      expect(size?.status).toBe('ok');
      expect(latency?.status).toBe('undecided');
      expect(latency?.sentence).toContain(String(Object.values(part)[0]));
    }
    const node = { ...sampleReport, host: { ...sampleReport.host, node: '99.0.0' } };
    expect(status(sampleReport, node)).toEqual(['ok', 'ok']);
  });

  it('compares accuracy sample by sample where both reports carry scores', () => {
    // 14 of 500 wrong now; 10 more lost beside the baseline, none gained.
    const before = withAccuracy({ value: 0.992, base: 0.974, drop: -0.018, scores: rightScores(500, [0, 1, 2, 3]) });
    const [finding] = judge({ accuracy: { of: 'baseline', maxDrop: 0.01, on: 'bound' } }, sampleReport, {
      baseline: before,
    });
    expect(finding).toMatchObject({ status: 'failed', limit: 0.01 });
    expect(finding?.sentence).toMatch(
      /the baseline 99\.2 %: −2 points; 95 % interval −3\.6\d points to −1\.0\d points/,
    );
    const unpaired = judge({ accuracy: { of: 'baseline', maxDrop: 0.03 } }, sampleReport, {
      baseline: change('int8', { accuracy: { ...before.variants[3]!.accuracy!, scores: undefined } }, before),
    });
    expect(unpaired[0]).toMatchObject({ status: 'ok', value: expect.closeTo(0.02, 9) as number });
    expect(unpaired[0]?.sentence).not.toMatch(/interval/);
  });

  it('holds a new model against what was shipped, too, unless told of what', () => {
    const good = withAccuracy({ value: 0.992, base: 0.992, drop: 0, scores: rightScores(500, [0, 1, 2, 3]) });
    const shipped = { ...good, input: { ...good.input, sha256: 'a'.repeat(64) } };
    const said = (accuracy: GateRules['accuracy'], baseline: Report): Finding | undefined =>
      judge({ accuracy }, sampleReport, { baseline })[0];
    expect(said({}, good)).toMatchObject({ status: 'ok', value: 0.002 });
    expect(said({}, shipped)).toMatchObject({ status: 'failed', value: expect.closeTo(0.02, 9) as number });
    expect(said({}, shipped)?.sentence).toMatch(/the baseline 99\.2 %: −2 points/);
    expect(said({ of: 'base' }, shipped)).toMatchObject({ status: 'ok', value: 0.002 });
    // Other weights in the same graph make another model, too.
    const tuned = { ...good.input, externalData: [{ ...good.input.externalData![0]!, sha256: '7'.repeat(64) }] };
    expect(said({}, { ...good, input: tuned })).toMatchObject({ status: 'failed', value: expect.closeTo(0.02, 9) });
    const elsewhere = { ...shipped, data: { ...shipped.data!, sha256: '7'.repeat(64) } };
    expect(said({}, elsewhere)).toMatchObject({ status: 'ok', value: 0.002 });
    expect(said({}, elsewhere)?.sentence).toMatch(/base .*; beside the baseline, of another model: .*other data/);
  });

  it('does not compare accuracy on other data, by another metric, or without a baseline', () => {
    const said = (baseline?: Report): string | undefined => {
      const [finding] = judge({ accuracy: { of: 'baseline' } }, sampleReport, baseline && { baseline });
      expect(finding?.status).toBe('undecided');
      return finding?.sentence;
    };
    expect(said({ ...sampleReport, data: { ...sampleReport.data!, sha256: '7'.repeat(64) } })).toMatch(
      /other data \(SHA-256 777777777777… there, 515151515151… here\)/,
    );
    expect(said({ ...sampleReport, data: { ...sampleReport.data!, samples: 400, sha256: undefined } })).toMatch(
      /on 400 samples, this report on 500/,
    );
    expect(said(withAccuracy({ metric: 'top5' }))).toMatch(/judged by top5, this report by top1/);
    expect(said()).toMatch(/no baseline/);
    expect(said(syntheticReport)).toMatch(/not judged by the task metric/);
  });

  it('knows a metric of which less is better, also where nothing in the reports tells', () => {
    // A model that was trained anew and got worse; base alone is recommended, whose drop against itself is 0.
    const about = (value: number, part: Partial<Accuracy>): Report =>
      withAccuracy({
        ...{ metric: 'wer', value, base: value, drop: 0, samples: 500, dropCi: undefined, scores: undefined },
        ...{ discordant: undefined, classes: undefined, higherIsBetter: undefined, ...part },
      });
    const [then, now] = [0.1, 0.3].map((value) => (part: Partial<Accuracy>) => {
      const report = about(value, part);
      return { ...report, variants: report.variants.filter(({ name }) => name === 'int8') };
    });
    const rules: GateRules = { accuracy: { of: 'baseline', maxDrop: 0.01 } };
    const judged = (part: Partial<Accuracy>) => judge(rules, now!(part), { baseline: then!(part) })[0];
    expect(judged({ higherIsBetter: false })).toMatchObject({ status: 'failed', value: expect.closeTo(0.2, 9) });
    expect(judged({ higherIsBetter: true })).toMatchObject({ status: 'ok', value: expect.closeTo(-0.2, 9) });
    expect(judged({})).toMatchObject({
      status: 'undecided',
      sentence: expect.stringContaining('neither report says whether more or less wer is better'),
    });
  });

  it('is undecided without one', () => {
    expect(status(sampleReport)).toEqual(['undecided', 'undecided']);
  });

  it('is refused when it is about another model', () => {
    const other = { ...sampleReport, input: { ...sampleReport.input, sha256: 'f'.repeat(64), bytes: 5 } };
    expect(() => checkBaseline(sampleReport, other, '"main.json"')).toThrow(
      /"main\.json" is about another model: "models\/digits\/model\.onnx" of 5 bytes, SHA-256 ffffffffffff… and 9e9e9e9e9e9e…; .* a3f9a3f9a3f9…/,
    );
    // The same graph with other weights in its external data is another model.
    const [data] = sampleReport.input.externalData!;
    const tuned = { ...sampleReport.input, externalData: [{ ...data!, sha256: '7'.repeat(64) }] };
    expect(() => checkBaseline(sampleReport, { ...sampleReport, input: tuned }, 'x')).toThrow(/777777777777…/);
    expect(() => checkBaseline(sampleReport, sampleReport, 'x')).not.toThrow();
  });
});

it('catches a planted drop of one point on 10,000 samples, and passes an unchanged model (on: bound)', () => {
  const rules: GateRules = { accuracy: { maxDrop: 0.01, on: 'bound' } };
  const trial = (lost: number, gained: number, seed: number): boolean => {
    const random = randomNumbers(seed);
    const [base, candidate] = [[] as number[], [] as number[]];
    for (let sample = 0; sample < 10_000; sample++) {
      const before = random() < 0.9 ? 1 : 0;
      base.push(before);
      candidate.push(random() < (before === 1 ? lost / 0.9 : gained / 0.1) ? 1 - before : before);
    }
    const scored = (scores: number[]): Parameters<typeof pairAccuracy>[0] => ({
      metric: 'top1',
      higherIsBetter: true,
      value: scores.reduce((sum, score) => sum + score, 0) / scores.length,
      samples: scores.length,
      scores,
    });
    const accuracy = pairAccuracy(scored(base), scored(candidate), { seed, maxDrop: 0.01 });
    return judge(rules, change('int8', { accuracy }))[0]?.status === 'ok';
  };
  let caught = 0;
  let alarms = 0;
  for (let seed = 1; seed <= 100; seed++) {
    if (!trial(0.025, 0.015, seed)) caught++;
    if (!trial(0.02, 0.02, 1000 + seed)) alarms++;
  }
  expect(caught).toBeGreaterThanOrEqual(95);
  expect(alarms).toBeLessThanOrEqual(5);
});

describe('checkGateRules', () => {
  it('takes what DESIGN shows, and every rule', () => {
    const rules: GateRules = {
      verdict: {},
      accuracy: { maxDrop: 0.01, on: 'bound', level: 'warn' },
      agreement: { min: 0.98 },
      size: { max: '30%', of: 'base' },
      compressed: { max: 1e6 },
      session: { max: 20 },
      rss: 'off',
      first: { max: '120%', of: 'baseline', level: 'off' },
      'accuracy.classes': { maxDrop: 0.05, minSamples: 20, on: 'point' },
      'agreement.web-webgpu': { min: 0.99, minSqnrDb: 20 },
      fused: { minShare: 0.8, ops: { 'com.microsoft:FusedConv': 8 } },
      'audit.insertedCasts': { max: 0 },
      'latency.p95': { max: '80%' },
      'audit.leftoverQdq': { max: 0 },
      'latency.p50': { max: '80%', of: 'base' },
      'latency.p99.web-wasm': { max: '105.5%', of: 'baseline' },
    };
    expect(() => checkGateRules(rules, 'x')).not.toThrow();
  });

  it.each([
    [{ acuracy: {} }, /x: gate has no rule "acuracy" \(did you mean "accuracy"\?\)/],
    [{ 'latency.p51': { max: 1 } }, /no rule "latency\.p51" \(did you mean "latency\.p50"\?\)/],
    [{ 'latency.p51.cpu': { max: 1 } }, /no rule "latency\.p51\.cpu"/],
    [{ constructor: {} }, /no rule "constructor"/],
    [{ accuracy: { maxdrop: 0.1 } }, /rule accuracy has no setting "maxdrop" \(did you mean "maxDrop"\?\)/],
    [
      { accuracy: { maxDrop: -1 } },
      /maxDrop of the rule accuracy takes a number from 0, in the unit of the metric, or a share such as "1%", not -1/,
    ],
    [{ accuracy: { on: 'edge' } }, /on of the rule accuracy takes "point", "bound" or "interval", not "edge"/],
    [{ accuracy: 0.01 }, /the rule accuracy takes "off" or \{ maxDrop, preset, of, on, level \}, not 0\.01/],
    [{ agreement: {} }, /the rule agreement needs min: a number from 0 to 1; or minSqnrDb/],
    [{ size: { max: '80' } }, /max of the rule size takes a number from 0, or a share such as "80%", not "80"/],
    [{ size: { max: 80, of: 'base' } }, /the limit 80 is none; write it as "80%"/],
    [{ size: { max: '80%', of: 'main' } }, /of of the rule size takes "base" or "baseline", not "main"/],
    [{ size: { max: 1, level: 'no' } }, /level of the rule size takes "off", "warn" or "error", not "no"/],
    [{ 'latency.p5O.cpu': { max: 1 } }, /no rule "latency\.p5O\.cpu" \(did you mean "latency\.p50\.cpu"\?\)/],
    [{ 'agrement.webgpu': { min: 1 } }, /no rule "agrement\.webgpu"/],
    [{ weight: { max: 1 } }, /no rule "weight"; docs\/ci\.md has the list/],
    [{ accuracy: { maxDrop: 0.1, preset: 'mlperf-99' } }, /accuracy has two limits, maxDrop and preset/],
    [{ accuracy: { preset: 'mlperf' } }, /preset of the rule accuracy takes "mlperf-99" or "mlperf-99\.9"/],
    [{ 'accuracy.classes': {} }, /accuracy\.classes needs maxDrop: a number from 0 to 1/],
    [{ 'accuracy.classes': { maxDrop: 0.1, minSamples: 0 } }, /minSamples of the rule .* takes a whole number from 1/],
    [{ 'agreement.webgpu': { max: 1 } }, /the rule agreement\.webgpu has no setting "max"/],
    [{ fused: {} }, /the rule fused needs minShare: a number from 0 to 1; or ops/],
    [{ fused: { ops: { FusedConv: -1 } } }, /ops of the rule fused takes counts by operator/],
    [{ size: { max: 'a'.repeat(500) } }, /not "a{60,80}…\.$/],
    [[], /gate takes rules by name/],
  ])('refuses %j', (rules, message) => {
    expect(() => checkGateRules(rules, 'x')).toThrow(message);
  });
});
