/** The scripts of action.yml, run as the runner runs them: bash -e, inputs as variables. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Report } from '../../src/report/report.ts';
import { sampleReport } from '../reports/sample.ts';
import { distBin } from './support.ts';

interface Step {
  readonly name: string;
  readonly run: string;
  readonly env: Readonly<Record<string, string>>;
}
const action = parse(readFileSync(new URL('../../action.yml', import.meta.url), 'utf8')) as {
  readonly inputs: Readonly<Record<string, { readonly description: string; readonly default: string }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly using: string; readonly steps: readonly Step[] };
};
const root = mkdtempSync(join(tmpdir(), 'mlpack-action-'));
afterAll(() => rmSync(root, { recursive: true }));
const hasBash = process.platform !== 'win32' && spawnSync('bash', ['-c', 'true']).status === 0;

/** A workspace with mlpack among its packages. */
function workspace(report: Report): string {
  const cwd = mkdtempSync(join(root, 'run-'));
  mkdirSync(join(cwd, 'node_modules/.bin'), { recursive: true });
  const bin = join(cwd, 'node_modules/.bin/mlpack');
  writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" "${distBin}" "$@"\n`);
  chmodSync(bin, 0o755);
  mkdirSync(join(cwd, 'build'));
  writeFileSync(join(cwd, 'build/report.json'), JSON.stringify(report));
  return cwd;
}

function runStep(
  name: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): { code: number | null; stdout: string } {
  const step = action.runs.steps.find((one) => one.name === name)!;
  const declared = Object.fromEntries(Object.keys(step.env).map((key) => [key, '']));
  const files = { GITHUB_OUTPUT: join(cwd, 'output'), GITHUB_STEP_SUMMARY: join(cwd, 'summary.md') };
  const done = spawnSync('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', step.run], {
    cwd,
    env: { PATH: process.env.PATH, ...declared, ...files, ...env },
    encoding: 'utf8',
  });
  return { code: done.status, stdout: done.stdout };
}

describe('action.yml', () => {
  it('is a composite action whose expressions name what is there, none of them inside a script', () => {
    expect(action.runs.using).toBe('composite');
    const text = [
      ...action.runs.steps.flatMap(({ env }) => Object.values(env)),
      ...Object.values(action.outputs).map(({ value }) => value),
    ];
    for (const [, input = ''] of text.join(' ').matchAll(/inputs\.(\w+)/g)) expect(action.inputs).toHaveProperty(input);
    for (const { run } of action.runs.steps) expect(run).not.toContain('${{');
    for (const { description } of Object.values(action.inputs)) expect(description).not.toBe('');
  });

  it.skipIf(!hasBash)(
    'gate: annotations, summary and files; its exit code is that of the step',
    () => {
      const cwd = workspace(sampleReport);
      expect(runStep('report', cwd, { OUT: 'build' }).code).toBe(0);
      expect(readFileSync(join(cwd, 'output'), 'utf8')).toBe('path=build/report.json\nfolder=build\n');
      const env = { REPORT: 'build/report.json', FOLDER: 'build' };
      expect(runStep('gate', cwd, env)).toEqual({ code: 0, stdout: '' });
      const bad = runStep('gate', cwd, { ...env, FLAGS: '--variant int4' });
      expect(bad.code).toBe(1);
      expect(bad.stdout).toMatch(/^::error file=models\/digits\/model\.onnx,title=mlpack gate%3A verdict::/);
      expect(readFileSync(join(cwd, 'summary.md'), 'utf8').match(/^## mlpack gate: (passed|failed)$/gm)).toEqual([
        '## mlpack gate: passed',
        '## mlpack gate: failed',
      ]);
      for (const file of ['gate.sarif', 'gate.xml', 'gate.md']) expect(existsSync(join(cwd, 'build', file))).toBe(true);
      expect(runStep('gate', cwd, { ...env, BASELINE: 'none.json' }).code).toBe(2);
    },
    60_000,
  );

  it.skipIf(!hasBash)(
    'optimize: faults fail the step, and an input is no command',
    () => {
      const cwd = workspace(sampleReport);
      expect(runStep('optimize', cwd, { MODEL: '$(touch pwned).onnx; touch pwned', OUT: 'o' }).code).toBe(1);
      expect(existsSync(join(cwd, 'pwned'))).toBe(false);
      expect(execFileSync('bash', ['-nc', action.runs.steps[0]!.run]).length).toBe(0);
    },
    60_000,
  );
});
