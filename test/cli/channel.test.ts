import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { cp, open, readFile, writeFile } from 'node:fs/promises';
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

/** The newest statement of `www` changed by `change`, as one who can write into the folder but has no key puts it there. */
async function forge(folder: string, change: (statement: { predicate: Record<string, unknown> }) => unknown) {
  const front = join(cwd, folder, 'channels/stable.json');
  const signed = JSON.parse(await readFile(front, 'utf8')) as { dsseEnvelope: { payload: string } };
  const statement = JSON.parse(Buffer.from(signed.dsseEnvelope.payload, 'base64').toString()) as never;
  signed.dsseEnvelope.payload = Buffer.from(JSON.stringify(change(statement))).toString('base64');
  for (const place of [front, join(cwd, folder, 'channels/stable/000009.json')])
    await writeFile(place, JSON.stringify(signed));
}

it('signs nothing again that another has put into the folder', async () => {
  await cp(join(cwd, 'www'), join(cwd, 'forged'), { recursive: true });
  await forge('forged', ({ predicate, ...rest }) => ({
    ...rest,
    predicate: { ...predicate, sequence: 9, version: '9.9.9' },
  }));
  for (const argv of [['set'], ['rollback'], ['tuf', '--keys', 'roles']]) {
    const { code, stderr } = await cli('channel', ...argv, '--to', 'forged', '--key', 'key.pem');
    expect([code, stderr], argv.join(' ')).toEqual([2, expect.stringMatching(/Statement 9 of channel stable is not/)]);
  }
  expect(readdirSync(join(cwd, 'forged/channels/stable'))).not.toContain('000010.json');
  expect(await readFile(join(cwd, 'forged/metadata/timestamp.json'), 'utf8')).toBe(
    await readFile(join(cwd, 'www/metadata/timestamp.json'), 'utf8'),
  );
  // Whoever changes the key publishes with the new one.
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(join(cwd, 'new.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const at = (...args: string[]) => json('channel', ...args, '--to', 'moved', '--key', 'new.pem');
  expect((await cli('channel', 'publish', 'one', '--to', 'moved', '--key', 'key.pem')).code).toBe(0);
  expect(await at('publish', 'two')).toMatchObject({ sequence: 2 });
  expect(await at('set', '--percent', '7')).toMatchObject({ sequence: 3, percent: 7 });
});

it('counts on from no number, and offers nothing of another channel, that whoever can write into the folder has put there', async () => {
  await json('channel', 'publish', 'one', '--to', 'jump', '--key', 'key.pem');
  await cp(join(cwd, 'jump'), join(cwd, 'mixed'), { recursive: true });
  await forge('jump', ({ predicate, ...rest }) => ({
    ...rest,
    predicate: { ...predicate, sequence: Number.MAX_SAFE_INTEGER },
  }));
  const { code, stderr } = await cli('channel', 'publish', 'two', '--to', 'jump', '--key', 'key.pem');
  expect([code, stderr]).toEqual([2, expect.stringMatching(/comes after statement 1, and is not signed.*take it out/)]);
  expect(readdirSync(join(cwd, 'jump/channels/stable'))).toEqual(['000001.json', '000009.json']);

  await json('channel', 'publish', 'two', '--to', 'mixed', '--key', 'key.pem', '--channel', 'beta');
  await cp(join(cwd, 'mixed/channels/beta/000001.json'), join(cwd, 'mixed/channels/stable/000009.json'));
  for (const argv of [['set'], ['rollback'], ['publish', 'two']]) {
    const said = await cli('channel', ...argv, '--to', 'mixed', '--key', 'key.pem');
    expect([said.code, said.stderr], argv.join(' ')).toEqual([
      2,
      expect.stringMatching(/a statement of channel beta, not of stable/),
    ]);
  }
});

it('says of a file that is no statement what is wrong with it', async () => {
  const cases: [(statement: { predicate: Record<string, unknown> }) => unknown, RegExp][] = [
    [({ predicate: _, ...rest }) => rest, /000009\.json lacks? .*predicate|predicate.*is missing/],
    [
      ({ predicate, ...rest }) => ({ ...rest, predicate: { ...predicate, sequence: 'x' } }),
      /sequence must be an integer/,
    ],
    [({ predicate, ...rest }) => ({ ...rest, predicate: { ...predicate, files: [{}] } }), /files/],
    [() => null, /must be an object/],
    [() => ({ predicateType: 'other' }), /something else than a channel/],
  ];
  for (const [at, [change, why]] of cases.entries()) {
    await cp(join(cwd, 'www'), join(cwd, `odd-${at}`), { recursive: true });
    await forge(`odd-${at}`, change);
    for (const argv of [['show'], ['set', '--key', 'key.pem'], ['publish', 'one', '--key', 'key.pem']]) {
      const { code, stderr } = await cli('channel', ...argv, '--to', `odd-${at}`);
      expect([code, stderr], argv.join(' ')).toEqual([2, expect.stringMatching(why)]);
      expect(stderr.trim().split('\n').length, stderr).toBe(1);
    }
  }
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
