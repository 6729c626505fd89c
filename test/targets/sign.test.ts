import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chainProblem, readCertificates } from '../../src/target/sign/chain.ts';
import { keyHint, readPrivateKey, readPublicKey } from '../../src/target/sign/key.ts';
import { signModel } from '../../src/target/sign/sign.ts';
import type { SignatureFile, SigningStatement } from '../../src/target/sign/signature-file.ts';
import { verifyModel } from '../../src/target/sign/verify.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const vectors = JSON.parse(await readFile(new URL('./vectors/oms.json', import.meta.url), 'utf8')) as Record<
  'key' | 'keyMultiFile' | 'certificate',
  SignatureFile
>;
const [leaf, intermediate] = (vectors.certificate.verificationMaterial.x509CertificateChain?.certificates ?? []).map(
  ({ rawBytes }) => new X509Certificate(Buffer.from(rawBytes, 'base64')),
) as [X509Certificate, X509Certificate];
/** The key behind all three vectors is that of the leaf certificate. */
const vectorKey = leaf.publicKey;
/** Between the dates of the certificates. */
const now = Date.parse('2026-01-01T00:00:00Z');

let count = 0;
async function model(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const place = join(dir, `model-${count++}`);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(place, path)), { recursive: true });
    await writeFile(join(place, path), content);
  }
  return place;
}

/** The models of the specification's vectors. */
const simple = { 'signme-1': 'signme-1\n', 'signme-2': 'signme-2', 'ignore-me': '' };
const multiFile = {
  'config.json': '{"model": "test", "version": "1.0"}',
  'weights.bin': Buffer.alloc(1024, 0xab),
  'subdir/adapter.bin': Buffer.alloc(512, 0xcd),
};

const codes = (findings: readonly { code: string; file?: string }[]) =>
  findings.map(({ code, file }) => (file === undefined ? code : `${code} ${file}`));

async function verify(place: string, file: unknown, options: Partial<Parameters<typeof verifyModel>[2]> = {}) {
  const trust = options.roots ? {} : { key: vectorKey };
  const all = { ...trust, now, signature: join(dir, 'elsewhere.sig'), ...options };
  return codes(await verifyModel(place, typeof file === 'string' ? file : JSON.stringify(file), all));
}

function statementOf({ dsseEnvelope }: SignatureFile): SigningStatement {
  return JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString('utf8')) as SigningStatement;
}

describe('the vectors of the specification', () => {
  it('names keys as the specification does', () => {
    expect(keyHint(vectorKey)).toBe(vectors.key.verificationMaterial.publicKey?.hint);
  });

  it('accepts what is right', async () => {
    expect(await verify(await model(simple), vectors.key)).toEqual([]);
    expect(await verify(await model(multiFile), vectors.keyMultiFile)).toEqual([]);
    expect(await verify(await model(simple), vectors.certificate, { roots: [intermediate] })).toEqual([]);
  });

  it('accepts the older forms: no keyid, null, rawBytes for hint', async () => {
    const place = await model(simple);
    const { dsseEnvelope: envelope } = vectors.key;
    for (const keyid of [undefined, null]) {
      const signatures = envelope.signatures.map(({ sig }) => ({ sig, ...(keyid === null && { keyid }) }));
      const material = { publicKey: { rawBytes: 'AAAA' } };
      const old = { ...vectors.key, verificationMaterial: material, dsseEnvelope: { ...envelope, signatures } };
      expect(await verify(place, old)).toEqual([]);
    }
  });

  it('names what was changed, is missing, or was not signed', async () => {
    expect(await verify(await model({ ...simple, 'signme-1': 'signme-1' }), vectors.key)).toEqual([
      'signed-file-changed signme-1',
    ]);
    expect(await verify(await model({ 'signme-1': 'signme-1\n' }), vectors.key)).toEqual(['missing-file signme-2']);
    const extra = await model({ ...simple, 'sub/extra.bin': 'x' });
    expect(await verify(extra, vectors.key)).toEqual(['unsigned-file sub/extra.bin']);
    expect(await verify(extra, vectors.key, { ignoreUnsigned: true })).toEqual([]);
    expect(await verify(await model({ ...simple, '.github/ci.yml': '' }), vectors.key)).toEqual([]);
    expect(await verify(await model({ ...simple, 'sub/.gitignore': '' }), vectors.key)).toEqual([
      'unsigned-file sub/.gitignore',
    ]);
  });

  it('refuses what is signed by another, for another, or damaged', async () => {
    const place = await model(simple);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
    expect(await verify(place, vectors.key, { key: other })).toEqual(['signature']);
    expect(await verify(place, vectors.certificate)).toEqual(['signature']);
    expect(await verify(place, vectors.key, { roots: [intermediate] })).toEqual(['signature']);
    const damaged = { ...vectors.key.dsseEnvelope, payload: `A${vectors.key.dsseEnvelope.payload.slice(1)}` };
    await expect(verify(place, { ...vectors.key, dsseEnvelope: damaged })).rejects.toMatchObject({
      code: 'signature-file',
    });
    const payload = Buffer.from(JSON.stringify(statementOf(vectors.key))).toString('base64');
    const reprinted = { ...vectors.key, dsseEnvelope: { ...vectors.key.dsseEnvelope, payload } };
    expect(await verify(place, reprinted)).toEqual(['signature']);
  });

  it('refuses what is no signature file, in a sentence', async () => {
    const place = await model(simple);
    const { dsseEnvelope: envelope, ...rest } = vectors.key;
    const wrong: readonly [unknown, RegExp][] = [
      ['', /is not JSON/],
      ['{"mediaType":', /is not JSON/],
      [rest, /lacks "dsseEnvelope"/],
      [{ ...vectors.key, mediaType: 'text/plain' }, /mediaType must be one of/],
      [{ ...vectors.key, dsseEnvelope: { ...envelope, payloadType: 'x' } }, /payloadType must be/],
      [{ ...vectors.key, dsseEnvelope: { ...envelope, signatures: [] } }, /at least 1 entries/],
    ];
    const statement = statementOf(vectors.key);
    for (const [change, message] of [
      [{ _type: 'x' }, /_type must be/],
      [{ predicateType: 'https://model_signing/Digests/v0.1' }, /predicateType must be/],
      [{ predicate: { ...statement.predicate, resources: [] } }, /at least 1 entries/],
      [{ predicate: { resources: statement.predicate.resources } }, /lacks "serialization"/],
    ] as const) {
      const payload = Buffer.from(JSON.stringify({ ...statement, ...change })).toString('base64');
      (wrong as [unknown, RegExp][]).push([{ ...vectors.key, dsseEnvelope: { ...envelope, payload } }, message]);
    }
    for (const [file, message] of wrong) await expect(verify(place, file)).rejects.toThrow(message);
  });
});

describe('certificates', () => {
  it('are held to dates, purpose and issuer', () => {
    expect(chainProblem([leaf], [intermediate], now)).toBeUndefined();
    expect(chainProblem([leaf, intermediate], [intermediate], now)).toBeUndefined();
    expect(chainProblem([leaf, intermediate], [], now)).toMatch(/nobody that is trusted/);
    expect(chainProblem([leaf], [intermediate], Date.parse('2036-01-01'))).toMatch(/has expired/);
    expect(chainProblem([leaf], [intermediate], Date.parse('2024-01-01'))).toMatch(/not valid yet/);
    expect(chainProblem([intermediate], [intermediate], now)).toMatch(/not for signing code/);
    expect(chainProblem([leaf, leaf], [], now)).toMatch(/was not issued by the next/);
    expect(readCertificates(`${leaf.toString()}${intermediate.toString()}`, 'x')).toHaveLength(2);
    expect(() => readCertificates('nothing', 'x.pem')).toThrow('x.pem holds no certificate');
  });

  it('are held to the path length of who issued them', async () => {
    // By openssl: root → narrow (path length 0) → leaf, and → below → far; root → wide (1) → second → near.
    const text = await readFile(new URL('./vectors/path-length.json', import.meta.url), 'utf8');
    const known = new Map(
      Object.entries(JSON.parse(text) as Record<string, string>).map(([name, base64]) => [
        name,
        new X509Certificate(Buffer.from(base64, 'base64')),
      ]),
    );
    const problem = (names: string, root: string): string | undefined =>
      chainProblem(
        names.split(' ').map((name) => known.get(name) ?? leaf),
        [known.get(root) ?? leaf],
        Date.parse('2027-06-01'),
      );
    expect(problem('leaf narrow', 'root')).toBeUndefined();
    expect(problem('leaf narrow root', 'root')).toBeUndefined();
    expect(problem('leaf', 'narrow')).toBeUndefined();
    expect(problem('near second wide', 'root')).toBeUndefined();
    expect(problem('near second', 'wide')).toBeUndefined();
    const refused = 'narrow may not let below issue certificates in its place (path length 0)';
    expect(problem('far below narrow', 'root')).toBe(refused);
    expect(problem('far below', 'narrow')).toBe(refused);
    expect(problem('far below narrow', 'narrow')).toBe(refused);
  });
});

describe.each(['P-256', 'P-384', 'P-521'])('signing with %s', (namedCurve) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });

  it('is found right, and names each file with a flipped bit', async () => {
    const place = await model({
      'a.bin': Buffer.alloc(70_000, 7),
      'sub/ümläut 模.txt': 'x',
      empty: '',
      '.hidden/z': 'z',
    });
    const signature = join(place, 'model.sig');
    const { file, files, root } = await signModel(place, privateKey, { signature });
    await writeFile(signature, JSON.stringify(file));
    const statement = statementOf(file);
    expect(files).toBe(4);
    expect(statement.subject[0].digest.sha256).toBe(root);
    const names = statement.predicate.resources.map(({ name }) => name);
    expect(names).toEqual(['.hidden/z', 'a.bin', 'empty', 'sub/ümläut 模.txt']);
    expect(statement.predicate.serialization.ignore_paths).toContain('model.sig');
    const check = () => verify(place, file, { key: publicKey, signature });
    expect(await check()).toEqual([]);
    for (const name of names) {
      const path = join(place, name);
      const whole = await readFile(path);
      const bad = name === 'empty' ? Buffer.from('1') : Buffer.from(whole);
      bad[bad.length >> 1] = (bad[bad.length >> 1] ?? 0) ^ 1;
      await writeFile(path, bad);
      expect(await check()).toEqual([`signed-file-changed ${name}`]);
      await writeFile(path, whole);
    }
    await symlink('a.bin', join(place, 'link'));
    expect(await check()).toEqual(['symlink link']);
    await expect(signModel(place, privateKey, { signature })).rejects.toThrow('link in');
  });
});

describe('other ways to sign', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  it('a single file', async () => {
    const place = join(await model({ 'model.bin': Buffer.alloc(256, 0xef) }), 'model.bin');
    const { file } = await signModel(place, privateKey, { signature: `${place}.sig` });
    expect(statementOf(file).predicate.resources.map(({ name }) => name)).toEqual(['model.bin']);
    expect(await verify(place, file, { key: publicKey })).toEqual([]);
    await writeFile(place, 'other');
    expect(await verify(place, file, { key: publicKey })).toEqual(['signed-file-changed model.bin']);
  });

  it('leaves out exact paths, and refuses an empty folder and patterns', async () => {
    const place = await model({ cache: 'x', 'sub/cache': 'y' });
    const { file } = await signModel(place, privateKey, { signature: join(place, 's'), ignore: ['cache'] });
    expect(statementOf(file).predicate.resources.map(({ name }) => name)).toEqual(['sub/cache']);
    expect(await verify(place, file, { key: publicKey })).toEqual([]);
    const sign = (ignore: string[]) => signModel(place, privateKey, { signature: join(place, 's'), ignore });
    for (const one of ['./cache', 'cache/', 'sub/../cache', './/cache'])
      expect(statementOf((await sign([one])).file).predicate, one).toEqual(statementOf(file).predicate);
    await expect(sign(['cache', 'sub'])).rejects.toThrow('holds no file to sign');
    for (const one of ['*.bin', '/etc', '../x', '.', './', '', 'sub/../..'])
      await expect(sign([one])).rejects.toThrow('without patterns');
  });

  it('takes P-256, P-384 and P-521, and says so of others', () => {
    const pem = (type: 'ed25519' | 'rsa') =>
      type === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
        : generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    for (const type of ['ed25519', 'rsa'] as const) {
      expect(() => readPrivateKey(pem(type).toString(), 'k.pem')).toThrow(`k.pem is a key of type ${type}`);
      expect(() => readPublicKey(pem(type).toString(), 'k.pem')).toThrow(`k.pem is a key of type ${type}`);
    }
    const { privateKey: bitcoin } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    expect(() => readPrivateKey(bitcoin.export({ type: 'sec1', format: 'pem' }).toString(), 'k')).toThrow('secp256k1');
    expect(() => readPrivateKey(publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'k')).toThrow(
      'is a public key',
    );
    expect(() => readPrivateKey('nonsense', 'k')).toThrow('cannot be read');
    const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' });
    expect(() => readPrivateKey(locked.toString(), 'k')).toThrow('MLPACK_KEY_PASSPHRASE');
    expect(createPublicKey(readPrivateKey(locked.toString(), 'k', 'p')).equals(publicKey)).toBe(true);
  });

  it('reads shards, and refuses gaps and ends that are cut', async () => {
    const bytes = Buffer.from(Array.from({ length: 10 }, (_, i) => i));
    const place = await model({ 'w:1:2': bytes });
    const { createHash } = await import('node:crypto');
    const { sealStatement } = await import('../../src/target/sign/envelope.ts');
    const shard = (start: number, end: number) => ({
      name: `w:1:2:${start}:${end}`,
      digest: createHash('sha256').update(bytes.subarray(start, end)).digest('hex'),
      algorithm: 'sha256',
    });
    const seal = (resources: ReturnType<typeof shard>[]) =>
      sealStatement(
        {
          _type: 'https://in-toto.io/Statement/v1',
          subject: [{ name: 'm', digest: { sha256: '0'.repeat(64) } }],
          predicateType: 'https://model_signing/signature/v1.0',
          predicate: {
            resources,
            serialization: { method: 'shards', hash_type: 'sha256', shard_size: 4, allow_symlinks: false },
          },
        },
        privateKey,
      );
    const check = (parts: ReturnType<typeof shard>[]) => verify(place, seal(parts), { key: publicKey });
    expect(await check([shard(0, 4), shard(4, 8), shard(8, 10)])).toEqual([]);
    expect(await check([shard(0, 4), shard(4, 8)])).toEqual(['signed-file-changed w:1:2']);
    expect(await check([shard(0, 4), shard(8, 10)])).toEqual(['signed-file-changed w:1:2']);
  });
});
