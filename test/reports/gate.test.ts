import { describe, expect, it } from 'vitest';
import { githubAnnotations } from '../../reports/gate/github.ts';
import { junitXml } from '../../reports/gate/junit.ts';
import { gateMarkdown } from '../../reports/gate/markdown.ts';
import { pairAccuracy } from '../../src/cli/optimize/paired.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import { checkBaseline, type GateOptions, gate } from '../../src/report/gate.ts';
import type { Finding } from '../../src/report/gate-judge.ts';
import { checkGateRules, type GateRules } from '../../src/report/gate-rules.ts';
import type { Accuracy, Report, VariantResult } from '../../src/report/report.ts';
import { hostileName, sampleReport, syntheticReport } from './sample.ts';

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
    const slower = change('int8', { latency: { ...int8.latency, cpu: { ...int8.latency.cpu!, p50: 0.63 } } });
    expect(status(slower, sampleReport)).toEqual(['ok', 'failed']);
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
    [{ accuracy: { maxDrop: -1 } }, /maxDrop of the rule accuracy takes a number from 0, not -1/],
    [{ accuracy: { on: 'edge' } }, /on of the rule accuracy takes "point" or "bound", not "edge"/],
    [{ accuracy: 0.01 }, /the rule accuracy takes "off" or \{ maxDrop, on, level \}, not 0\.01/],
    [{ agreement: {} }, /the rule agreement needs min: a number from 0 to 1/],
    [{ size: { max: '80' } }, /max of the rule size takes a number from 0, or a share such as "80%", not "80"/],
    [{ size: { max: 80, of: 'base' } }, /the limit 80 is none; write it as "80%"/],
    [{ size: { max: '80%', of: 'main' } }, /of of the rule size takes "base" or "baseline", not "main"/],
    [{ size: { max: 1, level: 'off' } }, /level of the rule size takes "warn" or "error", not "off"/],
    [[], /gate takes rules by name/],
  ])('refuses %j', (rules, message) => {
    expect(() => checkGateRules(rules, 'x')).toThrow(message);
  });
});

describe('renderers', () => {
  const nasty = change('int8', { name: `${hostileName}\n::error::100 %, "a":b|c@d` });
  const named = {
    ...nasty,
    recommendations: nasty.recommendations.map((one) => ({ ...one, variant: nasty.variants[3]!.name })),
  };
  const result = gate(named, {
    accuracy: { maxDrop: 0 },
    size: { max: 1, level: 'warn' },
    'latency.p50.cuda': { max: 1 },
  });

  it('JUnit: well-formed, counted, nothing of a name becomes markup', () => {
    const xml = junitXml(result);
    expect(xml).toContain('tests="4" failures="1" errors="0" skipped="1"');
    expect(xml.match(/<testcase /g)).toHaveLength(4);
    expect(xml.match(/<failure message="/g)).toHaveLength(1);
    expect(xml.match(/<skipped message="/g)).toHaveLength(1);
    expect(xml).toContain('<system-out>warning: ');
    const tags = [...xml.matchAll(/<\/?([\w-]+)/g)].map(([, tag]) => tag);
    expect(new Set(tags)).toEqual(new Set(['testsuites', 'testsuite', 'testcase', 'failure', 'skipped', 'system-out']));
    expect(xml).toContain('&lt;script&gt;');
  });

  it('GitHub: one line a finding that is not ok, with what commands would read escaped', () => {
    const lines = githubAnnotations(result).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => /^::(\w+) title=([^:]*)::/.exec(line)?.slice(1))).toEqual([
      ['error', 'mlpack gate%3A accuracy'],
      ['warning', 'mlpack gate%3A size'],
      ['notice', 'mlpack gate%3A latency.p50.cuda'],
    ]);
    expect(lines[0]).toContain('%0A::error::100 %25, ');
    expect(githubAnnotations(gate(sampleReport, {}))).toBe('');
  });

  it('Markdown: what fails first, no markup out of names', () => {
    const lines = gateMarkdown(result).trimEnd().split('\n');
    expect(lines[0]).toBe('## mlpack gate: failed');
    const rows = lines.filter((line) => line.startsWith('| `'));
    expect(rows.map((row) => row.split(' | ').slice(0, 2))).toEqual([
      ['| `accuracy`', '❌ failed'],
      ['| `size`', '⚠️ warning'],
      ['| `latency.p50.cuda`', '❔ undecided'],
      ['| `verdict`', '✅ ok'],
    ]);
    expect(rows[0]).toContain('\\<script\\>');
    expect(rows.every((row) => row.match(/(?<!\\)\|/g)?.length === 4)).toBe(true);
  });
});
