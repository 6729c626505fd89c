import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { githubAnnotations } from '../../reports/gate/github.ts';
import { junitXml } from '../../reports/gate/junit.ts';
import { gateMarkdown } from '../../reports/gate/markdown.ts';
import { gateSarif } from '../../reports/gate/sarif.ts';
import { gate } from '../../src/report/gate/gate.ts';
import { junitProblems } from './junit-schema.ts';
import { hostileName, sampleReport } from './sample.ts';
import sarifSchema from './sarif-2.1.0.json' with { type: 'json' };

const named = `${hostileName}\n::error::100 %, "a":b|c@d\u0007\u001b[31m`;
const nasty = {
  ...sampleReport,
  variants: sampleReport.variants.map((one) => (one.name === 'int8' ? { ...one, name: named } : one)),
  recommendations: sampleReport.recommendations.map((one) => ({ ...one, variant: named })),
};
const result = gate(nasty, {
  accuracy: { maxDrop: 0 },
  size: { max: 1, level: 'warn' },
  'latency.p50.cuda': { max: 1 },
});

describe('forms of the gate', () => {
  it('JUnit: valid by both common schemas, counted, nothing of a name becomes markup', () => {
    const xml = junitXml(result);
    expect(junitProblems(xml)).toEqual([]);
    expect(junitProblems(junitXml(gate({ ...sampleReport, createdAt: 'yesterday' }, {})))).toEqual([]);
    expect(xml).toContain('skipped="2" tests="4" failures="1" errors="0"');
    expect(xml.match(/<testcase /g)).toHaveLength(4);
    expect(xml.match(/<failure message="/g)).toHaveLength(1);
    expect(xml.match(/<skipped message="warning: /g)).toHaveLength(1);
    expect(xml).toContain('&lt;script&gt;');
    // What the check is worth: it finds what the schemas refuse.
    expect(junitProblems(xml.replace('<testsuites ', '<testsuites skipped="1" '))).toEqual([
      'testsuites may not have skipped',
    ]);
    expect(junitProblems(xml.replace(' name="verdict"', ''))).toEqual(['testcase needs name']);
    expect(junitProblems(xml.replace('<system-err></system-err>', ''))).toEqual(['testsuite needs system-err']);
  });

  it('SARIF: valid by the published schema; a result for what is broken or undecided, in the model file', () => {
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(sarifSchema);
    const log = JSON.parse(gateSarif(result, '1.2.3')) as Sarif;
    expect(validate(log) || validate.errors).toBe(true);
    const [run] = log.runs;
    expect(run.results.map(({ ruleId, level }) => [ruleId, level])).toEqual([
      ['accuracy', 'error'],
      ['size', 'warning'],
      ['latency.p50.cuda', 'note'],
    ]);
    expect(run.tool.driver.rules.map(({ id }) => id)).toEqual(['verdict', 'accuracy', 'size', 'latency.p50.cuda']);
    for (const { ruleId, ruleIndex } of run.results) expect(run.tool.driver.rules[ruleIndex]?.id).toBe(ruleId);
    expect(run.artifacts[0]).toMatchObject({
      location: { uri: 'models/digits/model.onnx', uriBaseId: '%SRCROOT%' },
      length: 678_169,
      hashes: { 'sha-256': sampleReport.input.sha256 },
    });
    expect(new Set(run.results.map((one) => one.partialFingerprints['mlpackGate/v1'])).size).toBe(3);
    expect(validate({ ...log, runs: [{ ...run, results: [{ ...run.results[0], severity: 1 }] }] })).toBe(false);
  });

  it.each([
    ['./a b/ä#1.onnx', { uri: 'a%20b/%C3%A4%231.onnx', uriBaseId: '%SRCROOT%' }],
    ['/srv/m 1.onnx', { uri: 'file:///srv/m%201.onnx' }],
    ['C:\\m\\x.onnx', { uri: 'file:///C:/m/x.onnx' }],
    ['\uD800.onnx', { uri: '%EF%BF%BD.onnx', uriBaseId: '%SRCROOT%' }],
  ])('SARIF: %j is the URI of a file', (path, location) => {
    const report = { ...sampleReport, input: { ...sampleReport.input, path } };
    const log = JSON.parse(gateSarif(gate(report, {}), '1')) as Sarif;
    expect(log.runs[0].artifacts[0]?.location).toEqual(location);
  });

  it('GitHub: one line a finding that is not ok, with what commands would read escaped', () => {
    const lines = githubAnnotations(result).split('\n');
    expect(lines.pop()).toBe('');
    expect(
      lines.map((line) => /^::(\w+) file=models\/digits\/model\.onnx,title=([^:]*)::/.exec(line)?.slice(1)),
    ).toEqual([
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
    expect(lines).toContain('<details><summary>1 kept</summary>');
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

interface Sarif {
  readonly runs: readonly [
    {
      readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
      readonly artifacts: readonly { readonly location: object }[];
      readonly results: readonly {
        readonly ruleId: string;
        readonly ruleIndex: number;
        readonly level: string;
        readonly partialFingerprints: Readonly<Record<string, string>>;
      }[];
    },
  ];
}
