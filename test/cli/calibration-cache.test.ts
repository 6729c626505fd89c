import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));

describe('kept calibration', () => {
  let dir = '';
  let data = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'mlpack-calibration-'));
    data = join(dir, 'eval');
    cpSync(join(digits, 'eval'), data, { recursive: true });
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const kept = (): string => join(dir, 'cache', 'calibration');
  const run = async (...flags: string[]): Promise<{ said: string; bytes: Buffer }> => {
    const out = join(dir, 'out.onnx');
    const argv = ['quantize-static', join(digits, 'model.onnx'), '-o', out, '-d', data, '--force', ...flags];
    const { code, stderr } = await runCli(argv, { cwd: dir, env: { MLPACK_CACHE: join(dir, 'cache') } });
    expect(code, stderr).toBe(0);
    return { said: stderr, bytes: readFileSync(out) };
  };

  it('gives the same file without reading a sample, for other calibrators too', async () => {
    const first = await run();
    expect(first.said).not.toContain('as counted before');
    const second = await run();
    expect(second.said).toContain('as counted before');
    expect(second.bytes.equals(first.bytes)).toBe(true);
    // Minmax counts extremes alone; one count of everything serves every other way.
    expect((await run('--calibrate', 'mse')).said).not.toContain('as counted before');
    expect((await run('--calibrate', 'entropy')).said).toContain('as counted before');
    const fresh = await run('--no-cache');
    expect(fresh.said).not.toContain('as counted before');
    expect(fresh.bytes.equals(first.bytes)).toBe(true);
  });

  it('makes a damaged entry again, and says so', async () => {
    const before = await run();
    for (const entry of readdirSync(kept())) {
      const file = join(kept(), entry, 'histograms.bin');
      const bytes = readFileSync(file);
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      writeFileSync(file, bytes);
    }
    const after = await run();
    expect(after.said).toMatch(/damaged .*and is made again/);
    expect(after.bytes.equals(before.bytes)).toBe(true);
    expect((await run()).said).toContain('as counted before');
  });

  it('does not serve another seed, fewer samples or other ones', async () => {
    expect((await run('--seed', '7')).said).not.toContain('as counted before');
    const all = await run();
    const few = await run('--calibration-samples', '2');
    expect(few.said).not.toContain('as counted before');
    expect(few.bytes.equals(all.bytes)).toBe(false);
    const npy =
      readdirSync(data).find((name) => /calib.*\.npy$/.test(name)) ??
      readdirSync(data).find((name) => name.endsWith('.npy')) ??
      '';
    const samples = readFileSync(join(data, npy));
    samples[samples.length - 1] = (samples[samples.length - 1] ?? 0) ^ 1;
    writeFileSync(join(data, npy), samples);
    expect((await run()).said).not.toContain('as counted before');
  });
});
