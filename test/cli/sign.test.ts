import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));
const cwd = mkdtempSync(join(tmpdir(), 'mlpack-sign-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const cli = (...argv: string[]) => runCli([...argv, '-q'], { cwd });
const json = async (...argv: string[]) => {
  const { code, stdout } = await cli(...argv, '--json');
  return { code, said: JSON.parse(stdout) };
};

async function keyPair(name: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(join(cwd, `${name}.pem`), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(join(cwd, `${name}.pub`), publicKey.export({ type: 'spki', format: 'pem' }));
}

beforeAll(async () => {
  await keyPair('mine');
  await keyPair('other');
  expect((await cli('bundle', digits, '-t', 'server', '-o', 'b')).code).toBe(0);
});

it('signs a bundle, verifies it, and names the file with one flipped bit', async () => {
  expect((await json('verify', 'b')).said).toMatchObject({ ok: true, signed: false });
  const unsigned = await json('verify', 'b', '--key', 'mine.pub');
  expect([unsigned.code, unsigned.said.findings[0].code]).toEqual([1, 'unsigned']);
  expect((await cli('sign', 'b', '--key', 'mine.pem')).code).toBe(0);
  expect((await json('verify', 'b', '--key', 'mine.pub')).said).toMatchObject({ ok: true, signatureChecked: true });
  expect((await cli('check', 'b', '--no-start')).code).toBe(0);
  const again = await cli('sign', 'b', '--key', 'mine.pem');
  expect([again.code, again.stderr]).toEqual([2, expect.stringMatching(/model\.sig" exists; .*--force/)]);
  const wrong = await json('verify', 'b', '--key', 'other.pub');
  expect([wrong.code, wrong.said.findings[0].message]).toEqual([1, expect.stringMatching(/another key/)]);
  for (const path of ['model/model.onnx', 'golden/0/input-0.bin', 'MODEL_CARD.md', 'mlpack.json', 'SHA256SUMS']) {
    const place = join(cwd, 'b', path);
    const whole = await readFile(place);
    const bad = Buffer.from(whole);
    bad[20] = (bad[20] ?? 0) ^ 1;
    await writeFile(place, bad);
    for (const flags of [[], ['--key', 'mine.pub']]) {
      const { code, said } = await json('verify', 'b', ...flags);
      expect([path, code]).toEqual([path, 1]);
      expect(said.findings.map(({ file }: { file: string }) => file)).toContain(path);
    }
    expect((await cli('sign', 'b', '--key', 'mine.pem', '--force')).code).toBe(2);
    await writeFile(place, whole);
  }
});

it('a manifest and sums that were both rewritten are caught by the signature', async () => {
  const [manifest, sums] = [join(cwd, 'b/mlpack.json'), join(cwd, 'b/SHA256SUMS')];
  const whole = [await readFile(manifest), await readFile(sums, 'utf8')] as const;
  const forged = whole[0].toString('utf8').replace('"variant": "given"', '"variant": "forge"');
  await writeFile(manifest, forged);
  const { createHash } = await import('node:crypto');
  const digest = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
  await writeFile(sums, whole[1].replace(digest(whole[0]), digest(forged)));
  expect((await json('verify', 'b')).code).toBe(0);
  const { code, said } = await json('verify', 'b', '--key', 'mine.pub');
  expect(code).toBe(1);
  expect(said.findings.map(({ file }: { file: string }) => file)).toEqual(['SHA256SUMS', 'mlpack.json']);
  await writeFile(manifest, whole[0]);
  await writeFile(sums, whole[1]);
});

it('the bill of materials is the one in the bundle', async () => {
  expect((await cli('sbom', 'b')).stdout).toBe(await readFile(join(cwd, 'b/sbom.cdx.json'), 'utf8'));
});

it('the bill of materials goes into a file, and says so', async () => {
  expect((await json('sbom', 'b', '-o', 'sbom.json')).said).toEqual({ ok: true, file: join(cwd, 'sbom.json') });
  const nowhere = await cli('sbom', 'b', '-o', 'none/sbom.json');
  expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('the folder of "none/sbom.json"')]);
});

it('--force of bundle leaves a folder alone that holds the model, and one target is bundled once', async () => {
  const twice = ['-t', 'embedded-c', '-t', 'embedded-c'];
  expect((await cli('bundle', digits, ...twice, '-o', 'mine')).code).toBe(0);
  await cp(join(digits, 'model.onnx'), join(cwd, 'mine/own.onnx'));
  const { code, stderr } = await cli('bundle', 'mine/own.onnx', ...twice, '-o', 'mine', '--force');
  expect([code, stderr]).toEqual([2, expect.stringMatching(/holds [^"]*own\.onnx, and --force would delete it/)]);
  expect((await cli('bundle', digits, ...twice, '-o', 'mine', '--force')).code).toBe(0);
});

it('knows versions and what to roll back to', async () => {
  expect((await cli('bundle', digits, '-t', 'server', '-o', 'next', '--previous', 'b')).code).toBe(0);
  const { release } = JSON.parse(await readFile(join(cwd, 'next/mlpack.json'), 'utf8'));
  const { createHash } = await import('node:crypto');
  const manifest = createHash('sha256')
    .update(await readFile(join(cwd, 'b/mlpack.json')))
    .digest('hex');
  expect(release).toEqual({ version: '1.0.1', previous: { version: '1.0.0', manifest } });
  const down = await cli(
    'bundle',
    digits,
    '-t',
    'server',
    '-o',
    'x',
    '--previous',
    'next',
    '--bundle-version',
    '1.0.0',
  );
  expect([down.code, down.stderr]).toEqual([2, expect.stringContaining('does not come after 1.0.1')]);
});

it('says what is wrong in one sentence', async () => {
  await mkdir(join(cwd, 'plain'));
  await writeFile(join(cwd, 'plain/x'), 'x');
  await writeFile(join(cwd, 'plain.sig'), 'x');
  await symlink('b', join(cwd, 'link'));
  const cases: readonly [string[], RegExp][] = [
    [['sign', 'nowhere', '--key', 'mine.pem'], /there is nothing at "nowhere"/],
    [['sign', 'b', '--key', 'none.pem'], /"none\.pem" cannot be read/],
    [['sign', 'b', '--key', 'mine.pub'], /is a public key/],
    [['sign', 'b'], /--key/],
    [
      ['sign', 'plain', '--key', 'mine.pem', '--signature', 'plain.sig'],
      /exists; give another --signature, or --force/,
    ],
    [['verify', 'link', '--key', 'mine.pub'], /link is a link, and no signature covers links; give what it points to/],
    [['verify', 'plain'], /neither a bundle .* nor signed/],
    [['verify', 'b', '--key', 'plain/x'], /cannot be read as a public key/],
    [['verify', 'b', '--certificate', 'mine.pub'], /holds no certificate/],
    [['verify', 'b', '--key', 'mine.pub', '--certificate', 'c'], /not both/],
    [['sbom', 'plain'], /is not a bundle/],
    [['bundle', digits, '-t', 'server', '-o', 'y', '--bundle-version', 'one'], /"one" is no semantic version/],
  ];
  for (const [argv, message] of cases) {
    const { code, stderr } = await cli(...argv);
    expect([argv.join(' '), code]).toEqual([argv.join(' '), 2]);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
});

it('signs any folder', async () => {
  expect((await cli('sign', 'plain', '--key', 'mine.pem')).code).toBe(0);
  expect((await cli('verify', 'plain', '--key', 'mine.pub')).code).toBe(0);
});
