import { describe, expect, it } from 'vitest';
import { reports } from '../../reports/index.ts';
import { json } from '../../reports/json.ts';
import { UserError } from '../../src/errors.ts';
import { parseReport } from '../../src/report/parse.ts';
import type { Report } from '../../src/report/report.ts';
import { keepReport, sampleReport, syntheticReport } from './sample.ts';

function failure(text: string): { code: string; message: string } {
  try {
    parseReport(text, 'r.json');
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return error as UserError;
  }
  throw new Error('accepted');
}
const changed = (part: Record<string, unknown>): string => JSON.stringify({ ...sampleReport, ...part });

describe('parseReport', () => {
  it.each([sampleReport, syntheticReport, keepReport])('gives back what was written', (report: Report) => {
    expect(parseReport(json.render(report))).toEqual(report);
  });

  it('names in it find nothing that objects have of themselves', () => {
    for (const provider of ['constructor', '__proto__', 'toString']) {
      const recommendations = sampleReport.recommendations.map((one) => ({ ...one, provider }));
      const report = parseReport(changed({ recommendations }));
      for (const { render } of reports) expect(render(report)).not.toBe('');
    }
  });

  it('keeps keys it does not know, and takes a byte order mark', () => {
    expect(parseReport(`\uFEFF${changed({ later: { a: 1 } })}`)).toMatchObject({ later: { a: 1 } });
  });

  it('takes a report without optional keys', () => {
    const { data: _, warnings: __, origins: ___, ...rest } = sampleReport;
    expect(parseReport(JSON.stringify(rest)).data).toBeUndefined();
  });

  it.each([
    ['', 'report.json', 'r.json is not JSON'],
    ['{"schema"', 'report.json', 'r.json is not JSON'],
    ['null', 'report.schema', 'r.json is not a report of mlpack: its "schema" should be "mlpack.report/1"'],
    ['[]', 'report.schema', 'is not a report of mlpack'],
    ['{"schema":"mlpack.dataset/1"}', 'report.schema', 'is not a report of mlpack'],
    [
      '{"schema":"mlpack.report/2"}',
      'report.schema',
      'has the schema "mlpack.report/2", and this mlpack reads "mlpack.report/1"',
    ],
    ['{"schema":"mlpack.report/1"}', 'report.shape', 'r.json is not a valid report: tool is missing.'],
    [changed({ seed: '7' }), 'report.shape', 'seed must be a finite number, and is "7".'],
    [changed({ verdict: { ok: 1, reasons: [] } }), 'report.shape', 'verdict.ok must be true or false, and is 1.'],
    [
      changed({ variants: [{ ...sampleReport.variants[0], verdict: 'great' }] }),
      'report.shape',
      'variants[0].verdict must be "recommended" or "accepted" or "rejected", and is "great".',
    ],
    [
      changed({ input: { ...sampleReport.input, opsets: { 'com.x': -1 } } }),
      'report.shape',
      'input.opsets["com.x"] must be at least 0, and is -1.',
    ],
    [
      changed({ input: { ...sampleReport.input, sha256: 'abc' } }),
      'report.shape',
      'input.sha256 must be text like ^[0-9a-f]{64}$, and is "abc".',
    ],
    [
      changed({ variants: [sampleReport.variants[0], sampleReport.variants[0]] }),
      'report.reference',
      'two variants "base": the second is variants[1]',
    ],
    [
      changed({ recommendations: [{ ...sampleReport.recommendations[0], variant: 'gone' }] }),
      'report.reference',
      'recommendations[0].variant is "gone", and there is no such variant',
    ],
  ])('refuses %.40s', (text, code, message) => {
    const error = failure(text);
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });
});
