import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
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

it('keeps compiled code for the next run, more of it with each kind of command, and nothing new for a kind it knows', () => {
  const cache = join(dir, 'grows');
  const version = run(cache, '--version');
  const first = kept(cache);
  expect(first.get('main.js.bin')).toBeGreaterThan(0);
  run(cache, 'inspect', fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url)));
  const second = kept(cache);
  expect(second.size).toBeGreaterThan(first.size);
  const before = statSync(join(cache, 'compiled', readdirSync(join(cache, 'compiled'))[0] ?? '')).mtimeMs;
  expect(run(cache, '--version')).toBe(version);
  expect(kept(cache)).toEqual(second);
  expect(statSync(join(cache, 'compiled', readdirSync(join(cache, 'compiled'))[0] ?? '')).mtimeMs).toBe(before);
});

it('makes anew what was cut off, and removes versions that nobody ran for a month', () => {
  const cache = join(dir, 'mends');
  const version = run(cache, '--version');
  const [name = ''] = readdirSync(join(cache, 'compiled'));
  const folder = join(cache, 'compiled', name);
  const whole = kept(cache).get('main.js.bin') ?? 0;
  truncateSync(join(folder, 'main.js.bin'), 1000);
  expect(run(cache, '--version')).toBe(version);
  expect(kept(cache).get('main.js.bin')).toBeGreaterThan(whole / 2);
  const old = join(cache, 'compiled', 'old');
  mkdirSync(old);
  writeFileSync(join(old, 'x.bin'), 'x');
  utimesSync(old, 0, 0);
  rmSync(join(folder, 'kinds.txt'));
  run(cache, '--version');
  expect(readdirSync(join(cache, 'compiled'))).toEqual([name]);
  expect(readFileSync(join(folder, 'kinds.txt'), 'utf8')).toContain('main.js');
});

it('runs as well where nothing can be kept', () => {
  const file = join(dir, 'a-file');
  writeFileSync(file, '');
  expect(run(file, '--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
});
