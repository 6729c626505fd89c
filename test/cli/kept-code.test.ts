import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { distBin } from './support.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Runs the built program with a cache folder of its own. @returns what it printed */
function run(cache: string, ...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [distBin, ...argv], {
    encoding: 'utf8',
    // Coverage of the run that holds this test would turn the keeping off.
    env: { PATH: process.env.PATH, MLPACK_CACHE: cache },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** Kept files of the one version that ran: name → bytes. */
function kept(cache: string): Map<string, number> {
  const [version = ''] = readdirSync(join(cache, 'compiled'));
  const folder = join(cache, 'compiled', version);
  return new Map(readdirSync(folder).map((name) => [name, statSync(join(folder, name)).size]));
}

const digits = fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url));

it('keeps compiled code in a file for each kind of command, and writes nothing for what it knows', () => {
  const cache = join(dir, 'grows');
  const version = run(cache, '--version');
  const first = kept(cache);
  expect([...first.values()]).toEqual([expect.any(Number)]);
  run(cache, 'inspect', digits);
  const second = kept(cache);
  expect(second.size).toBe(2);
  const before = statSync(join(cache, 'compiled', readdirSync(join(cache, 'compiled'))[0] ?? '')).mtimeMs;
  expect(run(cache, '--version')).toBe(version);
  run(cache, 'inspect', digits);
  expect(kept(cache)).toEqual(second);
  expect(statSync(join(cache, 'compiled', readdirSync(join(cache, 'compiled'))[0] ?? '')).mtimeMs).toBe(before);
  // Another option is another kind; another model makes the file of the kind grow.
  run(cache, 'inspect', digits, '--json');
  expect(kept(cache).size).toBe(3);
  copyFileSync(digits, join(dir, 'other.onnx'));
  run(cache, 'inspect', join(dir, 'other.onnx'));
  expect(kept(cache).size).toBe(3);
  expect(kept(cache)).not.toEqual(second);
});

it('makes anew what was cut off, and removes versions that nobody ran for a month', () => {
  const cache = join(dir, 'mends');
  const version = run(cache, '--version');
  const [name = ''] = readdirSync(join(cache, 'compiled'));
  const folder = join(cache, 'compiled', name);
  const [[file, whole]] = [...kept(cache)] as [[string, number]];
  for (const length of [1000, 2]) {
    truncateSync(join(folder, file), length);
    expect(run(cache, '--version')).toBe(version);
    expect(kept(cache).get(file)).toBeGreaterThan(whole / 2);
  }
  const old = join(cache, 'compiled', 'old');
  mkdirSync(old);
  writeFileSync(join(old, 'x.bin'), 'x');
  utimesSync(old, 0, 0);
  rmSync(folder, { recursive: true });
  run(cache, '--version');
  expect(readdirSync(join(cache, 'compiled'))).toEqual([name]);
});

it('runs as well where nothing can be kept', () => {
  const file = join(dir, 'a-file');
  writeFileSync(file, '');
  expect(run(file, '--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
});
