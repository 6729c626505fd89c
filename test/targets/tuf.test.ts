import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { publish } from '../../src/target/channel/publish.ts';
import { literalPath } from '../../src/target/literal.ts';
import type { Artifact } from '../../src/target/target.ts';
import { canonicalJson } from '../../src/target/tuf/canonical.ts';
import { updateRepository } from '../../src/target/tuf/repository.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { type HostileServer, startHostile } from './support/hostile-server.ts';
import { lightBundle } from './support/light-bundle.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const day = 86_400_000;
const { update } = (await import(literalPath('edge', 'agent/update.mjs'))) as {
  update(root: string, how: object): Promise<{ outcome: string; code?: string; why: string }>;
};
const { init } = (await import(literalPath('edge', 'agent/init.mjs'))) as {
  init(root: string, given: object): Promise<object>;
};

let artifact: Artifact;
let key: KeyObject;
let number = 0;

beforeAll(async () => {
  artifact = await makeArtifact(dir, classifier, classifierFeeds);
  key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) await lightBundle(artifact, join(dir, version), version);
});

interface Scene {
  readonly folder: string;
  readonly keys: string;
  readonly root: string;
  readonly server: HostileServer;
  offer(version: string): Promise<void>;
  refresh(more?: object): Promise<Record<string, number>>;
  look(): Promise<{ outcome: string; code?: string; why: string }>;
}

/** A repository with 1.0.0, and a device that was set up with its first root. */
async function scene(): Promise<Scene> {
  const own = join(dir, `case-${number++}`);
  const [folder, keys, root] = [join(own, 'public'), join(own, 'keys'), join(own, 'device')];
  await mkdir(folder, { recursive: true });
  const refresh = (more: object = {}) =>
    updateRepository(folder, keys, { channels: ['stable'], at: Date.now(), days: 7, rotate: [], ...more });
  const offer = async (version: string): Promise<void> => {
    await publish(join(dir, version), 100, { folder, channel: 'stable', key, days: 30, at: Date.now() });
  };
  await offer('1.0.0');
  await refresh();
  const server = await startHostile(folder);
  onTestFinished(() => server.close());
  await init(root, {
    bundle: join(dir, '1.0.0'),
    url: server.url,
    channel: 'stable',
    tufRoot: join(folder, 'metadata/1.root.json'),
  });
  const runtime = join(root, 'runtime/node_modules/onnxruntime-node');
  await mkdir(runtime, { recursive: true });
  await writeFile(join(runtime, 'package.json'), '{"version":"1.30.0"}');
  const look = () => update(root, { options: { tries: 2, pauseMs: 1, stallMs: 2000 } });
  return { folder, keys, root, server, offer, refresh, look };
}

describe('the metadata', () => {
  it('is canonical, signed by role keys that only the owner can read, and has what the client asks for', async () => {
    expect(canonicalJson({ b: [1, null, true], a: 'x"\\\n', größe: {} })).toBe(
      '{"a":"x\\"\\\\\n","b":[1,null,true],"größe":{}}',
    );
    expect(() => canonicalJson(0.5)).toThrow('no canonical form');
    const { folder, keys } = await scene();
    const names = (await readdir(join(folder, 'metadata'))).sort();
    expect(names).toEqual(['1.root.json', '1.snapshot.json', '1.targets.json', 'root.json', 'timestamp.json']);
    expect((await stat(join(keys, 'root.1.pem'))).mode & 0o777).toBe(0o600);
    const root = JSON.parse(await readFile(join(folder, 'metadata/root.json'), 'utf8')) as {
      signed: { roles: Record<string, { keyids: string[] }>; keys: Record<string, { keyval: { public: string } }> };
      signatures: { keyid: string; sig: string }[];
    };
    const { keyid, sig } = root.signatures[0] ?? { keyid: '', sig: '' };
    expect(root.signed.roles.root?.keyids).toEqual([keyid]);
    const x = Buffer.from(root.signed.keys[keyid]?.keyval.public ?? '', 'hex').toString('base64url');
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    expect(verify(null, Buffer.from(canonicalJson(root.signed)), publicKey, Buffer.from(sig, 'hex'))).toBe(true);
  });

  it('keeps versions where nothing changed, but for what expires soon', async () => {
    const { refresh, offer } = await scene();
    expect(await refresh()).toEqual({ root: 1, targets: 1, snapshot: 2, timestamp: 2 });
    await offer('1.1.0');
    expect(await refresh()).toEqual({ root: 1, targets: 2, snapshot: 3, timestamp: 3 });
    expect(await refresh({ at: Date.now() + 340 * day })).toEqual({ root: 2, targets: 3, snapshot: 4, timestamp: 4 });
  });
});

describe('keys that are not there', () => {
  it('begins no second line of roots that no device would follow, and makes no keys for it', async () => {
    const { folder, refresh } = await scene();
    const stray = join(dir, `stray-${number}`);
    const update = updateRepository(folder, stray, { channels: ['stable'], at: Date.now(), days: 7, rotate: [] });
    await expect(update).rejects.toThrow('holds no key that root 1 names');
    expect(existsSync(stray)).toBe(false);
    expect(await refresh()).toMatchObject({ root: 1, snapshot: 2 });
  });

  it('signs the targets anew where the key of their role was lost', async () => {
    const { keys, refresh, offer, look } = await scene();
    await offer('1.1.0');
    await refresh();
    await rm(join(keys, 'targets.1.pem'));
    await rm(join(keys, 'snapshot.1.pem'));
    expect(await refresh()).toMatchObject({ root: 2, targets: 3 });
    expect(await look()).toMatchObject({ outcome: 'updated', why: 'version 1.1.0' });
  });
});

describe('a device that follows a repository', () => {
  it('takes an update, and follows when every key is replaced', async () => {
    const { look, offer, refresh, keys } = await scene();
    expect(await look()).toMatchObject({ outcome: 'current' });
    await offer('1.1.0');
    expect(await look()).toMatchObject({ outcome: 'current' });
    await refresh({ rotate: ['root', 'targets', 'snapshot', 'timestamp'] });
    // Replaced keys may be taken away.
    await rm(join(keys, 'timestamp.1.pem'));
    await refresh({ rotate: ['timestamp'] });
    await refresh({ rotate: ['root'] });
    expect(await look()).toMatchObject({ outcome: 'updated', why: 'version 1.1.0' });
  });

  it('refuses replayed, expired and wrongly signed metadata and changed targets', async () => {
    const { look, offer, refresh, folder, root } = await scene();
    const before = join(dir, `before-${number}`);
    await cp(join(folder, 'metadata'), before, { recursive: true });
    await offer('1.1.0');
    await refresh();
    await look();
    await rm(join(root, 'state'));
    await cp(join(root, 'state.before'), join(root, 'state'));
    const after = join(dir, `after-${number}`);
    await cp(join(folder, 'metadata'), after, { recursive: true });
    await cp(before, join(folder, 'metadata'), { recursive: true });
    expect(await look()).toMatchObject({ outcome: 'refused', code: 'replayed' });
    await cp(after, join(folder, 'metadata'), { recursive: true });
    const timestamp = join(folder, 'metadata/timestamp.json');
    const text = await readFile(timestamp, 'utf8');
    await writeFile(timestamp, text.replace('"version": 2', '"version": 3'));
    expect(await look()).toMatchObject({ outcome: 'refused', code: 'signature' });
    await refresh({ at: Date.now() - 10 * day });
    expect(await look()).toMatchObject({ outcome: 'refused', code: 'expired' });
    await refresh();
    const targets = join(folder, 'targets');
    for (const name of await readdir(targets)) {
      const body = await readFile(join(targets, name), 'utf8');
      await writeFile(join(targets, name), body.replace('"percent":100', '"percent":101'));
    }
    expect(await look()).toMatchObject({ outcome: 'refused' });
  });

  it('mends its root where a crash left it half-written', async () => {
    const { look, root, offer, refresh } = await scene();
    await look();
    await writeFile(join(root, 'tuf/root.json'), '{"signed":');
    await writeFile(join(root, 'tuf/timestamp.json'), '{"si');
    await offer('1.1.0');
    await refresh();
    expect(await look()).toMatchObject({ outcome: 'updated' });
  });
});
