/** The gate as a pull request meets it: a scratch git repository, a stored baseline, an unchanged model, and planted regressions. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Report } from '../../src/report/report.ts';
import { junitProblems } from '../reports/junit-schema.ts';
import sarifSchema from '../reports/sarif-2.1.0.json' with { type: 'json' };
import { type RunResult, runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));
const repo = mkdtempSync(join(tmpdir(), 'mlpack-gate-repo-'));
afterAll(() => rmSync(repo, { recursive: true }));

const git = (...argv: string[]): string =>
  execFileSync('git', ['-c', 'user.name=ci', '-c', 'user.email=ci@example.org', ...argv], {
    cwd: repo,
    encoding: 'utf8',
  });

/** What the pull request may change: how the shipped variant is made. */
function configure(steps: readonly unknown[]): void {
  const config = {
    model: 'model.onnx',
    data: { path: 'eval' },
    variants: { shipped: steps },
    targets: { server: { from: 'shipped' } },
    // The gate judges; `optimize` itself is to let the damaged variant pass.
    maxDrop: 1,
    gate: {
      accuracy: { maxDrop: 0.01, of: 'baseline', on: 'interval' },
      'accuracy.classes': { maxDrop: 0.2, minSamples: 20 },
      agreement: { min: 0.98 },
      size: { max: '105%', of: 'baseline' },
      compressed: { max: '105%', of: 'baseline' },
      'latency.p50.cpu': { max: '110%', of: 'baseline' },
    },
  };
  writeFileSync(join(repo, 'mlpack.config.json'), JSON.stringify(config, null, 2));
}

const good = ['simplify', 'fuse', 'quantize-dynamic'];
const damaged = ['simplify', 'fuse', { pass: 'prune-weights', sparsity: 0.9 }, 'quantize-dynamic'];

/** What the job of CI runs, with --no-bench: latency has tests of its own. */
async function job(...argv: string[]): Promise<RunResult> {
  const optimized = await runCli(['optimize', '-o', 'build', '--force', '--no-bench', '-q'], { cwd: repo });
  expect(optimized).toMatchObject({ code: 0 });
  const forms = ['--write', 'junit=gate.xml', '--write', 'sarif=gate.sarif', '--summary', 'summary.md'];
  return runCli(
    ['gate', 'build/report.json', '--baseline', 'ci/baseline.json', '--format', 'github', ...forms, ...argv],
    { cwd: repo },
  );
}

function files(): { junit: string; sarif: { runs: { results: { ruleId: string; level: string }[] }[] } } {
  const junit = readFileSync(join(repo, 'gate.xml'), 'utf8');
  const sarif = JSON.parse(readFileSync(join(repo, 'gate.sarif'), 'utf8')) as ReturnType<typeof files>['sarif'];
  expect(junitProblems(junit)).toEqual([]);
  const validate = new Ajv({ strict: false, validateFormats: false }).compile(sarifSchema);
  expect(validate(sarif) || validate.errors).toBe(true);
  return { junit, sarif };
}

beforeAll(async () => {
  git('init', '-q', '-b', 'main');
  cpSync(digits, repo, { recursive: true });
  writeFileSync(join(repo, '.gitignore'), 'build/\ngate.*\nsummary.md\n');
  configure(good);
  const stored = await job('--update-baseline');
  expect(stored).toMatchObject({ code: 0, stderr: expect.stringContaining('ci/baseline.json') as string });
  git('add', '-A');
  git('commit', '-qm', 'model, config and baseline');
}, 120_000);

it('passes an unchanged model: exit code 0, no error, the same files', { timeout: 60_000 }, async () => {
  git('checkout', '-q', '-b', 'unchanged', 'main');
  const { code, stdout } = await job();
  expect(code).toBe(0);
  // Nothing was timed, so latency is undecided: a notice.
  expect(stdout.match(/^::\w+/gm)).toEqual(['::notice']);
  const { junit, sarif } = files();
  expect(junit).toContain('tests="7" failures="0"');
  expect(sarif.runs[0]?.results.map(({ level }) => level)).toEqual(['note']);
  expect(readFileSync(join(repo, 'summary.md'), 'utf8')).toContain('## mlpack gate: passed');
  expect(git('status', '--porcelain')).toBe('');
});

it('fails a planted regression of accuracy: exit code 1, annotations, JUnit and SARIF say where', {
  timeout: 60_000,
}, async () => {
  git('checkout', '-q', '-b', 'damaged-weights', 'main');
  configure(damaged);
  git('commit', '-qam', 'prune harder');
  rmSync(join(repo, 'summary.md'), { force: true });
  const { code, stdout } = await job();
  expect(code).toBe(1);
  const errors = stdout.split('\n').filter((line) => line.startsWith('::error'));
  expect(errors.map((line) => /title=mlpack gate%3A ([\w.]+)::/.exec(line)?.[1])).toEqual([
    'accuracy',
    'accuracy.classes',
    'agreement',
  ]);
  expect(errors[0]).toMatch(/shipped: top1 .* \(the baseline 97\.\d+ %25: −.* 95 %25 interval .*\) on 500 samples/);
  const { junit, sarif } = files();
  expect(junit.match(/<failure /g)).toHaveLength(3);
  expect(sarif.runs[0]?.results.filter(({ level }) => level === 'error')).toHaveLength(3);
  expect(readFileSync(join(repo, 'summary.md'), 'utf8')).toMatch(/## mlpack gate: failed[\s\S]*❌ failed/);
  // A failing report does not become the baseline.
  const again = await runCli(['gate', 'build', '--baseline', 'ci/baseline.json', '--update-baseline'], { cwd: repo });
  expect(again.code).toBe(1);
  expect(git('status', '--porcelain')).toBe('');
});

it('refuses a changed model with the difference, exit code 2, and judges it where that is allowed', {
  timeout: 60_000,
}, async () => {
  git('checkout', '-q', '-b', 'other-model', 'main');
  const broken = ['prune-weights', 'model.onnx', '--sparsity', '0.9', '-o', 'damaged.onnx', '-q'];
  expect((await runCli(broken, { cwd: repo })).code).toBe(0);
  cpSync(join(repo, 'damaged.onnx'), join(repo, 'model.onnx'));
  rmSync(join(repo, 'damaged.onnx'));
  const refused = await job();
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(
    /"ci\/baseline\.json" is about another model: "model\.onnx" of \d+ bytes, SHA-256 \w{12}…;/,
  );
  const judged = await runCli(['gate', 'build', '--baseline', 'ci/baseline.json', '--other-model'], { cwd: repo });
  expect(judged.code).toBe(1);
  // Base is damaged too, so against it nothing was lost: the baseline tells.
  expect(judged.stdout).toMatch(/^failed +accuracy +shipped: top1 .* \(the baseline 97/m);
  const dataOf = (file: string): string | undefined =>
    (JSON.parse(readFileSync(join(repo, file), 'utf8')) as Report).data?.sha256;
  expect(dataOf('build/report.json')).toMatch(/^[0-9a-f]{64}$/);
  expect(dataOf('build/report.json')).toBe(dataOf('ci/baseline.json'));
  expect(existsSync(join(repo, 'ci/baseline.json'))).toBe(true);
});
