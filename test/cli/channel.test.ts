import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));
const cwd = mkdtempSync(join(tmpdir(), 'mlpack-channel-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const cli = (...argv: string[]) => runCli([...argv, '-q'], { cwd });
const json = async (...argv: string[]) => JSON.parse((await cli(...argv, '--json')).stdout) as Record<string, unknown>;

beforeAll(async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  await writeFile(join(cwd, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  expect((await cli('bundle', digits, '-t', 'edge', '-o', 'one')).code).toBe(0);
  expect((await cli('bundle', digits, '-t', 'edge', '-o', 'two', '--previous', 'one')).code).toBe(0);
});

it('publishes, widens, takes back and shows, and keeps TUF metadata', async () => {
  const first = await json('channel', 'publish', 'one', '--to', 'www', '--key', 'key.pem');
  expect(first).toMatchObject({ ok: true, channel: 'stable', sequence: 1, version: '1.0.0', percent: 100 });
  const second = await json('channel', 'publish', 'two', '--to', 'www', '--key', 'key.pem', '--percent', '10');
  expect(second).toMatchObject({ sequence: 2, version: '1.0.1', percent: 10 });
  expect(Number(second.newBytes)).toBeLessThan(Number(first.newBytes) / 4);
  expect(await json('channel', 'set', '--to', 'www', '--key', 'key.pem', '--percent', '50')).toMatchObject({
    sequence: 3,
    percent: 50,
  });
  expect(await json('channel', 'rollback', '--to', 'www', '--key', 'key.pem')).toMatchObject({
    sequence: 4,
    version: '1.0.0',
  });
  const shown = await cli('channel', 'show', '--to', 'www');
  expect(shown.stdout.trim().split('\n')).toEqual([
    expect.stringMatching(/^stable #1 {2}digits 1\.0\.0 for 100 % of the devices until \d{4}-\d\d-\d\d$/),
    expect.stringContaining('stable #2  digits 1.0.1 for 10 %'),
    expect.stringContaining('stable #3  digits 1.0.1 for 50 %'),
    expect.stringMatching(/stable #4 {2}digits 1\.0\.0 for 100 % .*, in place of 1\.0\.1$/),
  ]);
  expect(await json('channel', 'tuf', '--to', 'www', '--keys', 'roles')).toMatchObject({
    ok: true,
    root: 1,
    timestamp: 1,
  });
  expect(await json('channel', 'tuf', '--to', 'www', '--keys', 'roles', '--rotate', 'timestamp')).toMatchObject({
    root: 2,
    timestamp: 2,
  });
});

it('goes back over a version that was taken back before', async () => {
  const at = (...args: string[]) => json('channel', ...args, '--to', 'back', '--key', 'key.pem');
  expect((await cli('bundle', digits, '-t', 'edge', '-o', 'three', '--previous', 'two')).code).toBe(0);
  await at('publish', 'one');
  await at('publish', 'two');
  await at('rollback');
  await at('publish', 'three');
  expect(await at('rollback')).toMatchObject({ sequence: 5, version: '1.0.0' });
  expect((await cli('channel', 'rollback', '--to', 'back', '--key', 'key.pem')).stderr).toContain('no version before');
});

it('leaves no part of a statement where the disk is full', async () => {
  expect((await cli('channel', 'publish', 'one', '--to', 'full', '--key', 'key.pem')).code).toBe(0);
  const some = await open(join(cwd, 'key.pem'));
  await some.close();
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  const spy = vi.spyOn(Object.getPrototypeOf(some) as typeof some, 'writeFile').mockRejectedValueOnce(full);
  expect((await cli('channel', 'set', '--to', 'full', '--key', 'key.pem', '--percent', '5')).code).toBe(2);
  spy.mockRestore();
  expect(await json('channel', 'set', '--to', 'full', '--key', 'key.pem')).toMatchObject({ sequence: 2, percent: 100 });
  expect(readdirSync(join(cwd, 'full/channels/stable'))).toEqual(['000001.json', '000002.json']);
});

it('refuses with one sentence', async () => {
  expect((await cli('bundle', digits, '-t', 'server', '-o', 'server')).code).toBe(0);
  const cases: [string[], RegExp][] = [
    [['publsh', 'one'], /cannot "publsh".*publish/],
    [['publish'], /which bundle/],
    [['publish', 'one'], /--key/],
    [['publish', 'none', '--key', 'key.pem'], /none/],
    [['publish', 'server', '--key', 'key.pem'], /takes those of --target edge/],
    [['publish', 'one', '--key', 'key.pem', '--percent', '101'], /from 0 to 100, not "101"/],
    [['set', '--key', 'key.pem', '--channel', 'none'], /nothing published/],
    [['rollback', '--key', 'key.pem', '--release', '9.9.9'], /no version 9\.9\.9/],
    [['tuf'], /--keys/],
    [['tuf', '--keys', 'roles', '--rotate', 'rot'], /no role of TUF/],
  ];
  for (const [argv, why] of cases) {
    const { code, stderr } = await cli('channel', ...argv, '--to', 'www');
    expect([argv, code, stderr], argv.join(' ')).toEqual([argv, 2, expect.stringMatching(why)]);
    expect(stderr.trim().split('\n').length, stderr).toBe(1);
  }
});
