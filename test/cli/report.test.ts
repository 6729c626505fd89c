import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../src/report/report.ts';
import { hostileName, sampleReport } from '../reports/sample.ts';
import { type RunResult, runCli } from './support.ts';

const root = mkdtempSync(join(tmpdir(), 'mlpack-report-'));
afterAll(() => rmSync(root, { recursive: true }));
let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(root, 'run-'));
  write('a.json', sampleReport);
});

function write(name: string, content: object): void {
  writeFileSync(join(cwd, name), JSON.stringify(content));
}

const report = (...argv: string[]): Promise<RunResult> => runCli(['report', ...argv], { cwd });

describe('mlpack report', () => {
  it.each([
    ['html', /^<!doctype html>/],
    ['md', /^## mlpack: Ship int8/],
    ['json', /^\{\n {2}"schema": "mlpack\.report\/1"/],
    [
      'junit',
      /^<\?xml version="1\.0"[\s\S]*<testcase classname="mlpack\.gate\.int4" name="variant" time="0"><skipped /,
    ],
    ['github', /^::notice file=models\/digits\/model\.onnx,title=mlpack gate%3A variant::/],
    ['sarif', /^\{\n {2}"\$schema": ".*sarif-schema-2\.1\.0\.json"/],
  ])('renders %s', async (format, form) => {
    const { code, stdout, stderr } = await report('a.json', '--format', format);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(form);
    const inside = await report('a.json', '--format', format, '--json');
    const parsed = JSON.parse(inside.stdout) as { text?: string };
    if (format !== 'json') expect(parsed.text).toBe(stdout);
  });

  it.each<[string, (text: string) => string, RegExp]>([
    [
      'another schema',
      (text) => text.replace('report/1', 'report/2'),
      /has the schema "mlpack\.report\/2", and this mlpack reads "mlpack\.report\/1"/,
    ],
    ['cut off', (text) => text.slice(0, text.length / 2), /"a\.json" is not JSON \(.*\); give the report\.json/],
    ['empty', () => '', /"a\.json" is not JSON/],
    ['an array', () => '[]', /"a\.json" is not a report of mlpack/],
    [
      'a number too large',
      (text) => text.replace('"bytes":678169', '"bytes":1e999'),
      /bytes must be a whole number, and is Infinity/,
    ],
    ['a negative size', (text) => text.replace('"bytes":678169', '"bytes":-5'), /bytes must be at least 0, and is -5/],
    [
      'a rejected verdict that is none',
      (text) => text.replace('"verdict":"rejected"', '"verdict":"perhaps"'),
      /verdict must be "recommended" or "accepted" or "rejected", and is "perhaps"/,
    ],
  ])('refuses a report that is %s in one sentence, exit code 2', async (_, damage, message) => {
    writeFileSync(join(cwd, 'a.json'), damage(JSON.stringify(sampleReport)));
    for (const argv of [
      ['report', 'a.json'],
      ['gate', 'a.json'],
      ['report', 'diff', 'a.json', 'a.json'],
    ]) {
      const { code, stdout, stderr } = await runCli(argv, { cwd });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr.trim()).toMatch(message);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
  });

  it('shows figures of any size without breaking', async () => {
    const variants = sampleReport.variants.map((one) => ({
      ...one,
      bytes: Number.MAX_SAFE_INTEGER,
      peakRssBytes: Number.MAX_SAFE_INTEGER,
      latency: Object.fromEntries(
        Object.entries(one.latency).map(([provider, latency]) => [
          provider,
          { ...latency, p50: 1e300, p99: 1e301, ratioToBase: 1e-300, ratioCi: [0, 1e300] },
        ]),
      ),
    }));
    write('a.json', { ...sampleReport, variants });
    for (const format of ['html', 'md', 'junit', 'github', 'sarif']) {
      const { code, stdout } = await report('a.json', '--format', format);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/NaN|undefined/);
    }
    expect((await runCli(['gate', 'a.json'], { cwd })).code).toBe(0);
    expect((await report('diff', 'a.json', 'a.json')).code).toBe(0);
  });
});

describe('mlpack report diff', () => {
  const later = (): Report => ({
    ...sampleReport,
    variants: sampleReport.variants.map((one) =>
      one.name === 'int8' ? { ...one, name: hostileName, bytes: (one.bytes ?? 0) + 1 } : one,
    ),
    recommendations: sampleReport.recommendations.map((one) => ({ ...one, variant: hostileName })),
    bundles: [],
  });

  it('prints what changed; as HTML, Markdown and JSON too', async () => {
    write('b.json', later());
    const { code, stdout } = await report('diff', 'a.json', 'b.json');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^For server, <\/script>.* is recommended instead of int8\./);
    expect(stdout).toMatch(/^fp16 +rejected$/m);
    expect(stdout).toMatch(/^ {2}file +338 kB +338 kB +same$/m);
    expect(JSON.parse((await report('diff', 'a.json', 'b.json', '--json')).stdout)).toMatchObject({
      recommendations: [{ target: 'server', before: 'int8', after: hostileName }, { target: 'browser' }],
    });
    expect((await report('diff', 'a.json', 'b.json', '--format', 'md')).stdout).toMatch(/^## mlpack: two runs/);
    const wrote = await report('diff', 'a.json', 'b.json', '--format', 'html', '-o', 'diff.html');
    expect(wrote).toMatchObject({ code: 0, stdout: '', stderr: 'wrote diff.html\n' });
    expect(readFileSync(join(cwd, 'diff.html'), 'utf8')).toMatch(/^<!doctype html>/);
    expect(await report('diff', 'a.json', 'b.json', '--format', 'html', '-o', 'diff.html')).toMatchObject({ code: 2 });
  });

  it('fits narrow terminals', async () => {
    write('b.json', later());
    for (const terminal of [40, 60, 100]) {
      const { stdout } = await runCli(['report', 'diff', 'a.json', 'b.json'], { cwd, terminal });
      for (const line of stdout.replace(/\u001b\[[0-9;]*m/g, '').split('\n'))
        expect(Array.from(line).length).toBeLessThanOrEqual(terminal);
    }
  });

  it('says which file is missing', async () => {
    const { code, stderr } = await report('diff', 'a.json', 'none.json');
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no report at "none\.json"/) as string,
    });
  });
});
