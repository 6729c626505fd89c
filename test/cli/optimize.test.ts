import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/report/report.ts';
import { type RunResult, runCli } from './support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const schema = JSON.parse(await readFile(join(root, 'reports', 'report.schema.json'), 'utf8')) as object;
const isReport = new Ajv2020({ strict: false }).compile(schema);

describe.each([
  { name: 'digits', file: 'models/digits/model.onnx' },
  { name: 'intents', file: 'models/intents/onnx/model.onnx' },
])('optimize models/$name', ({ name, file }) => {
  let cwd: string;
  let result: RunResult;
  let report: Report;
  let out: string;

  beforeAll(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
    result = await runCli(['optimize', join(root, 'models', name), '--seconds', '0.1', '--samples', '100'], { cwd });
    out = join(cwd, `${name}-mlpack`);
    report = JSON.parse(await readFile(join(out, 'report.json'), 'utf8')) as Report;
  });
  afterAll(() => rm(cwd, { recursive: true, force: true }));

  it('ends well: a table on stdout, talk on stderr, one folder', () => {
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(/^variant +size/);
    for (const { name: variant, verdict } of report.variants)
      expect(result.stdout).toMatch(new RegExp(`^${variant} .*${verdict}`, 'm'));
    expect(result.stdout).toContain(`${name}-mlpack/report.html`);
    expect(result.stderr).toContain('measure base');
    expect(result.stdout + result.stderr).not.toContain('\u001b');
    expect(readdirSync(cwd)).toEqual([`${name}-mlpack`]);
  });

  it('writes a report that the shipped schema accepts', () => {
    isReport(report);
    expect(isReport.errors).toBeNull();
    expect(report.input.path).toBe(join(root, file));
    expect(report.data).toMatchObject({ name, synthetic: false });
  });

  it('writes every file that it names, with the bytes and hash that it names', async () => {
    for (const variant of report.variants) {
      if (variant.file === null) continue;
      const bytes = await readFile(join(out, variant.file));
      expect(createHash('sha256').update(bytes).digest('hex'), variant.name).toBe(variant.sha256);
      expect(bytes.byteLength, variant.name).toBe(variant.bytes);
    }
    expect((await stat(join(out, 'report.html'))).size).toBeGreaterThan(10_000);
    expect(report.bundles).toHaveLength(1);
    for (const { dir } of report.bundles) expect(existsSync(join(out, dir, 'mlpack.json'))).toBe(true);
  });

  it('keeps base as it came, byte for byte', async () => {
    const base = report.variants[0];
    expect(base?.name).toBe('base');
    const copy = await readFile(join(out, base?.file ?? ''));
    expect(copy.equals(await readFile(join(root, file)))).toBe(true);
    expect(base?.sha256).toBe(report.input.sha256);
  });

  it('recommends nothing that is worse than base on what was measured', () => {
    expect(report.recommendations.map((one) => one.target)).toEqual(['server']);
    for (const { variant: chosen, provider } of report.recommendations) {
      const variant = report.variants.find((one) => one.name === chosen);
      const base = report.variants[0];
      if (!variant?.accuracy || !base?.bytes || !variant.bytes) throw new Error('something was not measured');
      expect(variant.verdict).toBe('recommended');
      // A drop is a difference of two shares: 0.974 − 0.964 is a hair more than 0.01.
      expect(variant.accuracy.drop).toBeLessThanOrEqual(report.limits.maxDrop + 1e-9);
      expect(variant.latency[provider]?.ratioToBase).toBeLessThanOrEqual(1.02);
      expect(variant.bytes).toBeLessThanOrEqual(base.bytes);
    }
  });

  it('holds the layers of what it recommends against those of base', () => {
    for (const { variant: chosen } of report.recommendations) {
      const variant = report.variants.find((one) => one.name === chosen);
      if (chosen === 'base') continue;
      // Layers that lost channels have no counterpart in base, and what is left makes up for them: it has other values.
      const isPruned = chosen.startsWith('pruned');
      expect(variant?.layers?.length).toBeGreaterThan(isPruned ? 0 : 2);
      for (const { node, sqnrDb } of variant?.layers ?? []) {
        expect(node).not.toBe('');
        if (sqnrDb !== null) expect(sqnrDb).toBeGreaterThan(isPruned ? 0 : 10);
      }
    }
  });

  it('ranks the layers of base by what they lose in the format that it recommends', () => {
    const [scheme] = report.sensitivity ?? [];
    expect(['int8', 'int8-dynamic', 'int4', 'fp16']).toContain(scheme?.scheme);
    expect(scheme?.layers.length).toBeGreaterThan(2);
    for (const { node, loss } of scheme?.layers ?? []) {
      expect(node).not.toBe('');
      expect(loss).toBeGreaterThanOrEqual(0);
    }
  });

  it('pairs every variant with base, sample by sample', () => {
    for (const { name, accuracy, reasons } of report.variants) {
      // What a pass changed nothing of would be a copy of another variant, and is not judged: it must say of which.
      if (!accuracy) {
        expect(reasons.join('\n'), name).toMatch(/changed nothing, the file would equal \w/);
        expect(name).not.toMatch(/^(base|fp32|fp16|int8)$/);
        continue;
      }
      expect('dropCi' in accuracy, name).toBe(name !== 'base');
      if (!accuracy.dropCi || !accuracy.discordant) continue;
      const { lost, gained } = accuracy.discordant;
      expect(accuracy.drop).toBeCloseTo((lost - gained) / accuracy.samples, 12);
      expect(accuracy.dropCi[0]).toBeLessThan(accuracy.drop!);
      expect(accuracy.dropCi[1]).toBeGreaterThan(accuracy.drop!);
    }
  });

  it('gives every rejection a reason, and every variant its steps', () => {
    expect(report.variants.map((one) => one.name)).toEqual(expect.arrayContaining(['base', 'fp32', 'fp16', 'int8']));
    for (const variant of report.variants) {
      expect(variant.reasons.length, variant.name).toBeGreaterThan(0);
      if (variant.name !== 'base') expect(variant.steps.length, variant.name).toBeGreaterThan(0);
    }
  });

  it('does not touch what is there without --force', async () => {
    const before = await readFile(join(out, 'report.json'));
    const again = await runCli(['optimize', join(root, 'models', name), '--no-bench'], { cwd });
    expect(again).toMatchObject({ code: 2, stdout: '' });
    expect(again.stderr).toMatch(/exists; give another --out, or --force/);
    expect((await readFile(join(out, 'report.json'))).equals(before)).toBe(true);
  });

  it('--force replaces the folder, --json prints the report and nothing else', async () => {
    const flags = ['--force', '--no-bench', '--json', '-q', '-v', 'fp16', '--samples', '50', '-t', 'server'];
    await writeFile(join(out, 'notes.txt'), 'mine');
    const again = await runCli(['optimize', join(root, 'models', name), ...flags], { cwd });
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(await readFile(join(out, 'notes.txt'), 'utf8')).toBe('mine');
    const printed = JSON.parse(again.stdout) as Report;
    expect(printed).toEqual(JSON.parse(await readFile(join(out, 'report.json'), 'utf8')));
    expect(printed.variants.map((one) => one.name)).toEqual(['base', 'fp16']);
    expect(printed.variants.map((one) => one.latency)).toEqual([{}, {}]);
    expect(readdirSync(join(out, 'variants')).sort()).toEqual(['base', 'fp16']);
    expect(readdirSync(cwd)).toEqual([`${name}-mlpack`]);
  });
});
