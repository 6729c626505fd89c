import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { sampleReport } from '../reports/sample.ts';
import { runCli } from './support.ts';

const root = mkdtempSync(join(tmpdir(), 'mlpack-gate-'));
afterAll(() => rmSync(root, { recursive: true }));
let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(root, 'run-'));
});

const write = (name: string, content: object): void => {
  writeFileSync(join(cwd, name), JSON.stringify(content));
};
const gate = (...argv: string[]): ReturnType<typeof runCli> => runCli(['gate', 'report.json', ...argv], { cwd });

describe('mlpack gate', () => {
  it('writes over and appends to no model', async () => {
    write('report.json', sampleReport);
    const model = Buffer.from([8, 7, 18, 7, 0, 1]);
    writeFileSync(join(cwd, 'm.onnx'), model);
    for (const argv of [
      ['--write', 'junit=m.onnx'],
      ['--summary', 'm.onnx'],
    ]) {
      const { code, stderr } = await gate(...argv);
      expect(stderr).toMatch(
        new RegExp(
          `^mlpack: "m\\.onnx" exists and is no text, so it is left alone; give ${argv[0]} another file\\.\n$`,
        ),
      );
      expect(code).toBe(2);
      expect(readFileSync(join(cwd, 'm.onnx'))).toEqual(model);
    }
    writeFileSync(join(cwd, 'summary.md'), 'before\n');
    expect((await gate('--summary', 'summary.md', '--write', 'junit=gate.xml', '--quiet')).code).toBe(0);
    expect((await gate('--write', 'junit=gate.xml')).code).toBe(0);
    expect(readFileSync(join(cwd, 'summary.md'), 'utf8')).toMatch(/^before\n./);
  });

  it('passes an unchanged model with exit code 0, and says why in sentences', async () => {
    write('report.json', sampleReport);
    write('main.json', sampleReport);
    const { code, stdout, stderr } = await gate('--baseline', 'main.json');
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^ok +verdict +\S/m);
    expect(stdout).toMatch(/^ok +accuracy +int8: top1 97\.2 %/m);
    expect(stdout).toMatch(/The gate passes\.\n$/);
  });

  it('fails a bad variant with exit code 1 and one sentence for each broken rule', async () => {
    write('report.json', {
      ...sampleReport,
      recommendations: sampleReport.recommendations.map((one) => ({ ...one, variant: 'int4' })),
    });
    write('mlpack.config.json', { gate: { size: { max: '10%' }, agreement: { min: 0.9 } } });
    const { code, stdout } = await gate();
    expect(code).toBe(1);
    expect(stdout.match(/^failed /gm)).toHaveLength(2);
    expect(stdout).toMatch(/^failed +accuracy +int4: top1 93\.1 % .*, where a drop of 1 point is allowed\.$/m);
    expect(stdout).toMatch(
      /^failed +size +int4: the file is 121 kB, 17\.84 % of base, where at most 10 % is allowed\.$/m,
    );
    expect(stdout).toMatch(/^ok +agreement +int4/m);
    expect(stdout).toMatch(/The gate fails: 2 rules broken\.\n$/);
  });

  it('prints one document for --json and --format json, the others as they are', async () => {
    write('report.json', sampleReport);
    const asJson = await gate('--json', '--variant', 'int4');
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      ok: false,
      findings: [{ rule: 'verdict' }, { rule: 'accuracy' }],
    });
    expect((await gate('--format', 'json', '--variant', 'int4')).stdout).toBe(asJson.stdout);
    expect((await gate('--format', 'junit')).stdout).toMatch(/^<\?xml/);
    expect((await gate('--format', 'github', '--variant', 'int4')).stdout).toMatch(
      /^::error file=models\/digits\/model\.onnx,title=mlpack gate%3A verdict::/,
    );
    expect((await gate('--format', 'md')).stdout).toMatch(/^## mlpack gate: passed/);
  });

  it('writes several forms at once, and appends the summary', async () => {
    write('report.json', sampleReport);
    writeFileSync(join(cwd, 'summary.md'), 'before\n');
    const run = await gate(
      '--write',
      'junit=out/gate.xml',
      '--write',
      'sarif=out/gate.sarif',
      '--summary',
      'summary.md',
    );
    expect(run.code).toBe(0);
    expect(readFileSync(join(cwd, 'out/gate.xml'), 'utf8')).toMatch(/^<\?xml/);
    expect(JSON.parse(readFileSync(join(cwd, 'out/gate.sarif'), 'utf8'))).toMatchObject({ version: '2.1.0' });
    expect(readFileSync(join(cwd, 'summary.md'), 'utf8')).toMatch(/^before\n## mlpack gate: passed/);
    const odd = await gate('--write', 'junitt=x.xml');
    expect(odd).toMatchObject({ code: 2, stderr: expect.stringMatching(/did you mean "junit"/) as string });
    expect(await gate('--write', 'junit')).toMatchObject({ code: 2 });
  });

  it('writes none of several forms where one of them cannot be, and stores no baseline over a folder', async () => {
    write('report.json', sampleReport);
    const run = await gate('--write', 'json=first.json', '--write', 'junit=.');
    expect([run.code, run.stdout, existsSync(join(cwd, 'first.json'))]).toEqual([2, '', false]);
    expect(await gate('--baseline', '.', '--update-baseline')).toMatchObject({ code: 2, stdout: '' });
  });

  it.each<[string, string, RegExp]>([
    ['--write', 'junit=summary.md/gate.xml', /summary\.md is a file; choose another --write/],
    ['--write', 'json=./report.json', /"\.\/report\.json" is the report that is judged; give --write another file/],
    ['--summary', 'report.json', /is the report that is judged; give --summary another file/],
    ['--write', 'junit=.', /is a folder where a file is expected/],
    ['--summary', 'nowhere/summary.md', /the folder of "nowhere\/summary\.md" does not exist/],
    // Node's mkdir with `recursive` never returns there; elsewhere there is no such folder to stumble over.
    ['--write', 'junit=/proc/nowhere/gate.xml', /nothing can be written in \//],
  ])('refuses a place that cannot be written, before anything is: %s %s', async (flag, value, sentence) => {
    if (value.includes('/proc/') && process.platform !== 'linux') return;
    write('report.json', sampleReport);
    writeFileSync(join(cwd, 'summary.md'), 'before\n');
    const { code, stdout, stderr } = await gate(flag, value, '--summary', flag === '--summary' ? value : 'summary.md');
    expect(stderr).toMatch(sentence);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(readFileSync(join(cwd, 'summary.md'), 'utf8')).toBe('before\n');
  });

  it('wraps sentences on a terminal, and lets no name drive it', async () => {
    const variants = sampleReport.variants.map((one) =>
      one.name === 'int8' ? { ...one, name: 'int8\u001b[2J' } : one,
    );
    const recommendations = sampleReport.recommendations.map((one) => ({ ...one, variant: 'int8\u001b[2J' }));
    write('report.json', { ...sampleReport, variants, recommendations, bundles: [] });
    for (const terminal of [40, 80, 200]) {
      const { stdout } = await runCli(['gate', 'report.json'], { cwd, terminal });
      const plain = stdout.replace(/\u001b\[[0-9;]*m/g, '');
      expect(plain).not.toContain('\u001b');
      for (const line of plain.split('\n')) expect(line.length).toBeLessThanOrEqual(terminal);
    }
    const { stdout } = await gate();
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain('int8\uFFFD[2J: top1');
  });

  it('takes the folder of a run for its report', async () => {
    write('report.json', sampleReport);
    expect((await runCli(['gate', '.'], { cwd })).code).toBe(0);
    const none = await runCli(['gate', 'nowhere'], { cwd });
    expect(none).toMatchObject({ code: 2, stderr: expect.stringMatching(/no report at "nowhere"/) as string });
  });

  it('counts undecided rules as failed with --strict only', async () => {
    write('report.json', sampleReport);
    write('mlpack.config.json', { gate: { 'latency.p50.cuda': { max: 5 } } });
    expect(await gate()).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/passes, 1 rule undecided/) as string,
    });
    expect(await gate('--strict')).toMatchObject({ code: 1 });
  });

  it('refuses a baseline of another model or schema with the difference, exit code 2', async () => {
    write('report.json', sampleReport);
    const { input } = sampleReport;
    write('other.json', { ...sampleReport, input: { ...input, sha256: 'e'.repeat(64) } });
    const other = await gate('--baseline', 'other.json');
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/"other\.json" is about another model: .*eeeeeeeeeeee….*a3f9a3f9a3f9…/);
    writeFileSync(join(cwd, 'old.json'), JSON.stringify({ ...sampleReport, schema: 'mlpack.report/0' }));
    const old = await gate('--baseline', 'old.json');
    expect(old.code).toBe(2);
    expect(old.stderr).toMatch(/the baseline "old\.json" has the schema "mlpack\.report\/0"/);
    const none = await gate('--baseline', 'none.json');
    expect(none.code).toBe(2);
    expect(none.stderr).toMatch(/no report at the baseline "none\.json"; store one with .*--update-baseline/);
    writeFileSync(join(cwd, 'cut.json'), JSON.stringify(sampleReport).slice(0, 5000));
    const cut = await gate('--baseline', 'cut.json');
    expect(cut).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/the baseline "cut\.json" is not JSON/) as string,
    });
    const allowed = await gate('--baseline', 'other.json', '--other-model');
    expect(allowed.code).toBe(0);
    expect(allowed.stderr).toMatch(/is about another model, as --other-model allows/);
  });

  it('stores the baseline when the report passes, over another model too, and keeps it when not', async () => {
    write('report.json', sampleReport);
    write('mlpack.config.json', { gate: { size: { max: '100%', of: 'baseline' } } });
    const first = await gate('--baseline', 'kept/main.json', '--update-baseline', '--strict');
    expect(first.code).toBe(0);
    const stored = join(cwd, 'kept/main.json');
    expect(readFileSync(stored, 'utf8')).toBe(readFileSync(join(cwd, 'report.json'), 'utf8'));
    expect(await gate('--baseline', 'kept/main.json', '--strict')).toMatchObject({ code: 0 });

    write('report.json', { ...sampleReport, input: { ...sampleReport.input, sha256: 'd'.repeat(64) } });
    expect((await gate('--baseline', 'kept/main.json')).code).toBe(2);
    expect((await gate('--baseline', 'kept/main.json', '--update-baseline')).code).toBe(0);
    write('notes.json', { mine: true });
    expect(await gate('--baseline', 'notes.json', '--update-baseline')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"notes.json" exists and is no report of mlpack') as string,
    });
    expect(readFileSync(join(cwd, 'notes.json'), 'utf8')).toBe('{"mine":true}');
    // More than a string can hold.
    writeFileSync(join(cwd, 'model.onnx'), '');
    truncateSync(join(cwd, 'model.onnx'), 600_000_000);
    expect(await gate('--baseline', 'model.onnx', '--update-baseline')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"model.onnx" exists and is no report of mlpack') as string,
    });
    expect(readFileSync(stored, 'utf8')).toContain('d'.repeat(64));

    write('report.json', { ...sampleReport, verdict: { ok: false, reasons: ['no'] } });
    const failed = await gate('--baseline', 'kept/main.json', '--update-baseline');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/stays as it is/);
    expect(readFileSync(stored, 'utf8')).toContain('d'.repeat(64));
    expect(await gate('--update-baseline')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/Give --baseline/) as string,
    });
  });

  it('names what is wrong with a rule, exit code 2', async () => {
    write('report.json', sampleReport);
    write('mlpack.config.json', { gate: { acuracy: { maxDrop: 0.01 } } });
    const { code, stderr } = await gate();
    expect(code).toBe(2);
    expect(stderr).toMatch(/mlpack\.config\.json": gate has no rule "acuracy" \(did you mean "accuracy"\?\)/);
  });
});

describe('mlpack init', () => {
  it('writes a config that loads, and does not write over one', async () => {
    const { code, stdout } = await runCli(['init'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^wrote mlpack\.config\.mjs/);
    write('report.json', sampleReport);
    expect((await gate()).code).toBe(0);
    writeFileSync(join(cwd, 'mlpack.config.mjs'), 'export default {}');
    const again = await runCli(['init'], { cwd });
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/"mlpack\.config\.mjs" exists.*--force/);
    expect(readFileSync(join(cwd, 'mlpack.config.mjs'), 'utf8')).toBe('export default {}');
    expect((await runCli(['init', '--force'], { cwd })).code).toBe(0);
    expect(readFileSync(join(cwd, 'mlpack.config.mjs'), 'utf8')).toMatch(/gate/);
  });

  it('does not stand beside another config', async () => {
    write('mlpack.config.json', {});
    const { code, stderr } = await runCli(['init', '--force'], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(/"mlpack\.config\.json"/);
    expect(existsSync(join(cwd, 'mlpack.config.mjs'))).toBe(false);
  });

  it('every example in it is valid, and every setting has one', async () => {
    const { template } = await import('../../src/cli/init.ts');
    const { validateConfig } = await import('../../src/config/validate.ts');
    const model = `it's "a" \\ model.onnx`;
    const [, body = ''] = template(model).split('export default');
    // Prose has a capital or stands above; code is what is left when prose goes.
    const code = body.replace(/^ {2}\/\/ [A-Z].*$/gm, '').replace(/^( *)\/\/ /gm, '$1');
    writeFileSync(join(cwd, 'all.mjs'), `export default ${code}`);
    const { default: config } = (await import(join(cwd, 'all.mjs'))) as { default: Record<string, unknown> };
    expect(validateConfig(config, 'all.mjs').model).toBe(model);
    const { configKeys } = await import('../../src/config/validate.ts');
    expect(Object.keys(config).sort()).toEqual([...configKeys].sort());
  });
});
