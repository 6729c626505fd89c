import { spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { channelPlace } from '../../src/target/channel/folder.ts';
import { type ChannelSettings, publish, rollBack, setRollout } from '../../src/target/channel/publish.ts';
import { literalPath } from '../../src/target/literal.ts';
import { freePort } from '../../src/target/process.ts';
import { compareVersions } from '../../src/target/release.ts';
import { sealStatement } from '../../src/target/sign/envelope.ts';
import type { Artifact } from '../../src/target/target.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { type HostileServer, startHostile } from './support/hostile-server.ts';
import { type Behaviour, lightBundle } from './support/light-bundle.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const day = 86_400_000;
const now = Date.parse('2026-11-27T00:00:00Z');

interface Outcome {
  readonly outcome: string;
  readonly code?: string;
  readonly why: string;
  readonly version?: string;
}
interface Envelope {
  readonly dsseEnvelope: { readonly payload: string };
}
interface State {
  readonly active: { readonly slot: string; readonly version: string; readonly status: string; readonly tries: number };
  readonly fallback: { readonly version: string } | null;
  readonly rejected: readonly { readonly version: string; readonly why: string }[];
}
interface Agent {
  update(root: string, how: object): Promise<Outcome>;
  init(root: string, given: object): Promise<unknown>;
  chooseSlot(root: string): Promise<{ state: State; slot: string; notes: string[] }>;
  confirm(root: string): Promise<boolean>;
  rollback(root: string): Promise<string | undefined>;
  knownState(root: string): Promise<State>;
  compareVersions(a: string, b: string): number;
  rolloutPlace(device: string, manifest: string): number;
  isSafePath(path: string): boolean;
  takeLock(root: string): Promise<(() => Promise<void>) | undefined>;
}

const load = async (name: string): Promise<Partial<Agent>> =>
  (await import(literalPath('edge', `agent/${name}.mjs`))) as Partial<Agent>;
const parts = await Promise.all(['update', 'init', 'boot', 'versions', 'judge', 'trust', 'lock'].map(load));
const agent = Object.assign({}, ...parts) as Agent;

let artifact: Artifact;
let key: KeyObject;
let server: HostileServer;
let folder: string;
let publicKey: string;
let count = 0;
const options = { tries: 2, pauseMs: 1, stallMs: 20_000 };

beforeAll(async () => {
  artifact = await makeArtifact(dir, classifier, classifierFeeds);
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  key = pair.privateKey;
  publicKey = join(dir, 'keys.pem');
  await writeFile(publicKey, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  await lightBundle(artifact, join(dir, '1.0.0'), '1.0.0');
});

afterAll(() => server?.close());

const at = (settings: Partial<ChannelSettings> = {}): ChannelSettings => ({
  folder,
  channel: 'stable',
  key,
  days: 30,
  at: now,
  ...settings,
});

async function bundleOf(version: string, behaviour: Behaviour = 'works'): Promise<string> {
  const place = join(dir, `bundle-${version}-${behaviour}`);
  return (await readdir(place).catch(() => [])).length > 0 ? place : lightBundle(artifact, place, version, behaviour);
}

/** Says which runtime a device has; the light bundles need none. */
async function runtime(root: string, version: string): Promise<void> {
  const place = join(root, 'runtime/node_modules/onnxruntime-node');
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'package.json'), JSON.stringify({ version }));
}

/** A fresh channel with 1.0.0 and a device that runs it. */
async function device(settings: { readonly id?: string } = {}): Promise<string> {
  await server?.close();
  const own = join(dir, `case-${count++}`);
  folder = join(own, 'public');
  await mkdir(folder, { recursive: true });
  server = await startHostile(folder);
  await publish(join(dir, '1.0.0'), 100, at());
  const root = join(own, 'device');
  await agent.init(root, {
    bundle: join(dir, '1.0.0'),
    url: server.url,
    channel: 'stable',
    key: publicKey,
    device: settings.id,
  });
  await runtime(root, '1.30.0');
  return root;
}

const look = (root: string, more: object = {}): Promise<Outcome> => agent.update(root, { now, options, ...more });

/** Which version a device would start now, and that it is whole and sound. */
async function startable(root: string): Promise<string> {
  const { slot } = await agent.chooseSlot(root);
  const { status, stderr } = spawnSync(process.execPath, ['run.mjs', 'selftest'], { cwd: slot, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return readFile(join(slot, 'notes/version.txt'), 'utf8');
}

describe('an update', () => {
  it('goes into the other slot, downloads only what changed, and stays after its trial', async () => {
    const root = await device();
    expect(await look(root)).toMatchObject({ outcome: 'current' });
    const { newBytes } = await publish(await bundleOf('1.1.0'), 100, at());
    expect(newBytes).toBeGreaterThan(300_000);
    server.sent.length = 0;
    expect(await look(root)).toMatchObject({ outcome: 'updated', version: '1.1.0' });
    const asked = server.sent.filter(({ path }) => path.startsWith('/blobs/'));
    // The model, the runner and the golden cases are those of 1.0.0.
    expect(asked.length).toBeLessThan(9);
    expect(await look(root)).toMatchObject({ outcome: 'busy', why: 'version 1.1.0 is on trial' });
    expect(await startable(root)).toBe('1.1.0');
    expect(await agent.confirm(root)).toBe(true);
    expect(await agent.knownState(root)).toMatchObject({
      active: { slot: 'b', version: '1.1.0', status: 'good' },
      fallback: { version: '1.0.0' },
    });
    expect(await readdir(join(root, 'downloads'))).toEqual([]);
    await publish(await bundleOf('1.2.0'), 100, at());
    expect(await look(root)).toMatchObject({ outcome: 'updated', version: '1.2.0' });
    expect((await agent.knownState(root)).active.slot).toBe('a');
  });

  it('that fails its self-test is not started and not tried again', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0', 'sick'), 100, at());
    expect(await look(root)).toMatchObject({ outcome: 'rejected', why: expect.stringContaining('case 0 differs') });
    expect(await look(root)).toMatchObject({ outcome: 'waiting', why: expect.stringContaining('tried and given up') });
    expect(await startable(root)).toBe('1.0.0');
    await publish(await bundleOf('1.1.1'), 100, at());
    expect(await look(root)).toMatchObject({ outcome: 'updated', version: '1.1.1' });
  });

  it('whose self-test does not end is given up', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0', 'hangs'), 100, at());
    const found = await look(root, { health: { timeoutMs: 300 } });
    expect(found).toMatchObject({ outcome: 'rejected', why: expect.stringContaining('SIGKILL') });
  });

  it('that does not come up in three starts makes way for the version before', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0', 'crashes'), 100, at());
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
    for (const start of [1, 2, 3]) {
      const { state, notes } = await agent.chooseSlot(root);
      expect([state.active.version, notes]).toEqual(['1.1.0', [`version 1.1.0 on trial, start ${start} of 3`]]);
    }
    expect(await startable(root)).toBe('1.0.0');
    expect(await look(root)).toMatchObject({
      outcome: 'waiting',
      why: expect.stringContaining('did not come up in 3'),
    });
  });

  it('is taken back by hand, and by the channel', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    await look(root);
    expect(await agent.rollback(root)).toBe('1.0.0');
    expect(await agent.rollback(root)).toBeUndefined();
    await publish(await bundleOf('1.2.0'), 100, at());
    await look(root);
    await agent.confirm(root);
    const back = await rollBack('1.0.0', at());
    expect(back.predicate).toMatchObject({ version: '1.0.0', replaces: ['1.1.0', '1.2.0'], sequence: 4 });
    expect(await look(root)).toMatchObject({ outcome: 'updated', why: 'back to 1.0.0' });
    expect(await startable(root)).toBe('1.0.0');
  });

  it('goes to the share of devices that was asked for, the same ones first', async () => {
    const places = Array.from({ length: 4000 }, (_, i) => agent.rolloutPlace(`device-${i}`, 'ab'.repeat(32)));
    for (const percent of [5, 25, 50, 90]) {
      const share = places.filter((place) => place < percent).length / 40;
      expect(Math.abs(share - percent)).toBeLessThan(3);
    }
    const manifest = (await publish(await bundleOf('1.1.0'), 0, at({ folder: join(dir, 'aside') }))).statement
      .subject[0].digest.sha256;
    const late =
      Array.from({ length: 100 }, (_, i) => `d${i}`).find((id) => agent.rolloutPlace(id, manifest) > 60) ?? '';
    const root = await device({ id: late });
    await publish(await bundleOf('1.1.0'), 50, at());
    expect(await look(root)).toMatchObject({ outcome: 'waiting', why: expect.stringContaining('50 % of the devices') });
    await setRollout(100, at());
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
  });

  it('waits for the runtime that it needs', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    await rm(join(root, 'runtime'), { recursive: true });
    expect(await look(root)).toMatchObject({ outcome: 'waiting', why: expect.stringContaining('there is none here') });
    await runtime(root, '1.29.1');
    expect(await look(root)).toMatchObject({
      outcome: 'waiting',
      why: expect.stringContaining('onnxruntime-node 1.30.0'),
    });
    await runtime(root, '1.31.0');
    expect((await look(root)).outcome).toBe('updated');
  });
});

describe('a device refuses', () => {
  const statement = (root: string): Promise<string> => readFile(channelPlace(root, 'stable'), 'utf8');
  const replace = (text: string): Promise<void> => writeFile(channelPlace(folder, 'stable'), text);

  it('a statement that another key signed, or nobody, or that was changed', async () => {
    const root = await device();
    const good = await statement(folder);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    await publish(await bundleOf('1.1.0'), 100, at({ key: other }));
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'signature' });
    const changed = JSON.parse(good) as { dsseEnvelope: { payload: string; signatures: unknown[] } };
    const { payload } = changed.dsseEnvelope;
    changed.dsseEnvelope.payload = Buffer.from(
      Buffer.from(payload, 'base64').toString().replace('"percent":100', '"percent":99'),
    ).toString('base64');
    await replace(JSON.stringify(changed));
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'signature' });
    await replace(JSON.stringify({ dsseEnvelope: { ...changed.dsseEnvelope, payload, signatures: [] } }));
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'signature' });
    for (const text of ['', '{}', '[1]', 'null', `"${'x'.repeat(5_000_000)}"`]) {
      await replace(text);
      expect(await look(root), text.slice(0, 9)).toMatchObject({ outcome: 'refused', code: 'format' });
    }
    expect(await startable(root)).toBe('1.0.0');
  });

  it('a signature over something else, also with the right key', async () => {
    const root = await device();
    await replace(
      JSON.stringify(sealStatement({ predicateType: 'https://model_signing/signature/v1.0', predicate: {} }, key)),
    );
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'format' });
  });

  it('paths that leave the slot, and other nonsense under a right signature', async () => {
    const root = await device();
    const { dsseEnvelope } = JSON.parse(await statement(folder)) as Envelope;
    const whole = JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString()) as {
      predicate: { files: { path: string }[] };
    };
    const variants: object[] = [
      '../up',
      '/etc/passwd',
      'a/../../b',
      'node_modules/x',
      '.release.json',
      'a\\b',
      'C:x',
      'a//b',
      '',
    ].map((path) => ({ files: [...whole.predicate.files, { path, bytes: 1, sha256: '0'.repeat(64) }] }));
    variants.push(
      { files: [] },
      { sequence: 0 },
      { sequence: 1.5 },
      { expires: 'soon' },
      { version: '1.0' },
      { requires: { node: 'x' } },
    );
    variants.push({ files: [...whole.predicate.files, ...whole.predicate.files] });
    for (const change of variants) {
      const made = { ...whole, predicate: { ...whole.predicate, sequence: 9, ...change } };
      await replace(JSON.stringify(sealStatement(made, key)));
      expect(await look(root), JSON.stringify(change).slice(-60)).toMatchObject({ outcome: 'refused', code: 'format' });
    }
  });

  it('what is replayed, forked, expired, for another channel or model', async () => {
    const root = await device();
    const first = await statement(folder);
    await publish(await bundleOf('1.1.0'), 100, at());
    const second = await statement(folder);
    await look(root);
    await agent.confirm(root);
    await replace(first);
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'replayed' });
    const { dsseEnvelope } = JSON.parse(second) as Envelope;
    const forked = JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString()) as {
      predicate: object;
      subject: object[];
    };
    await replace(
      JSON.stringify(sealStatement({ ...forked, predicate: { ...forked.predicate, rollout: { percent: 1 } } }, key)),
    );
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'replayed' });
    await replace(second);
    expect(await look(root, { now: now + 31 * day })).toMatchObject({ outcome: 'refused', code: 'expired' });
    // A clock that fell back does not make old statements young: this one was issued later than that.
    await setRollout(100, at({ at: now + 40 * day }));
    expect(await look(root, { now })).toMatchObject({ outcome: 'current' });
    const old = { ...forked.predicate, sequence: 9 };
    await replace(JSON.stringify(sealStatement({ ...forked, predicate: old }, key)));
    expect(await look(root, { now })).toMatchObject({ outcome: 'refused', code: 'expired' });
    const fresh = { ...old, expires: new Date(now + 90 * day).toISOString() };
    await replace(JSON.stringify(sealStatement({ ...forked, predicate: { ...fresh, channel: 'beta' } }, key)));
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'channel' });
    await replace(
      JSON.stringify(
        sealStatement({ ...forked, predicate: fresh, subject: [{ ...forked.subject[0], name: 'other' }] }, key),
      ),
    );
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'channel' });
    await replace(
      JSON.stringify(
        sealStatement({ ...forked, predicate: { ...fresh, version: '1.0.5' }, subject: forked.subject }, key),
      ),
    );
    expect(await look(root)).toMatchObject({ outcome: 'current' });
  });

  it('a downgrade, and the same version with other files', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    await look(root);
    await agent.confirm(root);
    const aside = join(folder, '..', 'aside');
    await publish(join(dir, '1.0.0'), 100, at({ folder: aside }));
    await setRollout(100, at({ folder: aside }));
    await setRollout(90, at({ folder: aside }));
    await replace(await statement(aside));
    expect(await look(root)).toMatchObject({
      outcome: 'refused',
      code: 'downgrade',
      why: expect.stringContaining('before 1.1.0'),
    });
    const same = join(folder, '..', 'same');
    await publish(await bundleOf('1.1.0', 'sick'), 100, at({ folder: same }));
    for (let i = 0; i < 4; i++) await setRollout(100, at({ folder: same }));
    await replace(await statement(same));
    expect(await look(root)).toMatchObject({
      outcome: 'refused',
      code: 'downgrade',
      why: expect.stringContaining('other files'),
    });
  });
});

describe('a download', () => {
  it('goes on where the connection broke', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    server.sent.length = 0;
    server.faults = [{ path: /^\/blobs\//, times: 3, cutAfter: 100_000 }];
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
    const resumed = server.sent.filter(({ range }) => range !== undefined);
    expect(resumed.length).toBeGreaterThan(0);
    const bytes = server.sent.filter(({ path }) => path.startsWith('/blobs/')).reduce((sum, one) => sum + one.bytes, 0);
    expect(bytes).toBeLessThan(340_000);
  });

  it('begins anew where the server knows no ranges, and is given up where nothing comes', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    server.ranges = false;
    server.faults = [{ path: /^\/blobs\//, times: 1, cutAfter: 100 }];
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
    await agent.confirm(root);
    await publish(await bundleOf('1.2.0'), 100, at());
    server.faults = [{ path: /^\/blobs\//, hangAfter: 0 }];
    expect(await look(root, { options: { ...options, stallMs: 400 } })).toMatchObject({
      outcome: 'failed',
      why: expect.stringContaining('nothing came for 400 ms'),
    });
    server.faults = [{ path: /^\/channels\//, status: 503 }];
    expect(await look(root)).toMatchObject({ outcome: 'failed', why: expect.stringContaining('503') });
    server.faults = [];
    expect(await look(root)).toMatchObject({ outcome: 'updated', version: '1.2.0' });
  });

  it('is refused where there is less than was announced, and something else in its place', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    for (const fault of [{ html: '<p>Please log in.</p>' }, {}]) {
      server.faults = 'html' in fault ? [{ path: /^\/blobs\//, ...fault }] : [];
      if (!('html' in fault))
        for (const name of await readdir(join(folder, 'blobs')))
          if ((await stat(join(folder, 'blobs', name))).size === 300_000)
            await truncate(join(folder, 'blobs', name), 200_000);
      server.sent.length = 0;
      expect(await look(root)).toMatchObject({
        outcome: 'refused',
        code: 'hash',
        why: expect.stringContaining('less'),
      });
      expect(server.sent.length).toBeLessThan(12);
      expect(await readdir(join(root, 'downloads'))).toEqual([]);
    }
  });

  it('that is not what was signed is refused and not kept', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    server.faults = [{ path: /^\/blobs\//, flip: 5 }];
    expect(await look(root)).toMatchObject({ outcome: 'refused', code: 'hash' });
    expect(await readdir(join(root, 'downloads'))).toEqual([]);
    server.faults = [];
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
  });
});

describe('a device', () => {
  it('repairs a damaged version from the fallback, and without one from the channel', async () => {
    const root = await device();
    await writeFile(join(root, 'slots/a/notes/version.txt'), '1.0.x');
    const { notes } = await agent.chooseSlot(root);
    expect(notes).toEqual(['version 1.0.0 is damaged, and there is no other; waiting for a repair']);
    expect(await look(root)).toMatchObject({ outcome: 'updated', why: 'repair with 1.0.0' });
    expect(await startable(root)).toBe('1.0.0');
    await agent.confirm(root);
    await publish(await bundleOf('1.1.0'), 100, at());
    await look(root);
    await agent.confirm(root);
    const { active } = await agent.knownState(root);
    await rm(join(root, 'slots', active.slot, 'model'), { recursive: true });
    expect(await startable(root)).toBe('1.0.0');
  });

  it('is repaired with a newer version without waiting for its turn', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 0, at());
    expect(await look(root)).toMatchObject({ outcome: 'waiting' });
    await writeFile(join(root, 'slots/a/notes/version.txt'), '1.0.x');
    expect(await look(root)).toMatchObject({ outcome: 'updated', why: 'repair with 1.1.0' });
  });

  it('goes back where a file of its version cannot be read any more', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    await look(root);
    await agent.confirm(root);
    const broken = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module';
      const real = fs.createReadStream;
      fs.createReadStream = (path, ...more) => {
        const stream = real(path, ...more);
        if (path.endsWith('slots/b/large.bin')) stream.destroy(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }));
        return stream;
      };
      syncBuiltinESMExports();`;
    const next = spawnSync(
      process.execPath,
      [
        '--import',
        `data:text/javascript,${encodeURIComponent(broken)}`,
        literalPath('edge', 'agent/agent.mjs'),
        'next',
        '--root',
        root,
      ],
      { encoding: 'utf8' },
    );
    expect([next.status, next.stdout]).toEqual([0, `${join(root, 'slots/a')}\n`]);
    expect(next.stderr).toContain('version 1.1.0 is damaged, back to 1.0.0');
  });

  it('says why it cannot look where its folder does not take the lock, and has no half of one', async () => {
    const root = await device();
    await mkdir(join(root, 'lock'));
    expect(await look(root)).toMatchObject({ outcome: 'failed' });
    await rm(join(root, 'lock'), { recursive: true });
    // The lock is there with its owner's name or not at all: one without a name would be taken for that of a process that is gone.
    const all = await Promise.all(Array.from({ length: 8 }, () => agent.takeLock(root)));
    expect(all.filter((release) => release !== undefined)).toHaveLength(1);
  });

  it('is not taken back by hand in the middle of an update', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    await look(root);
    await agent.confirm(root);
    const release = await agent.takeLock(root);
    await expect(agent.rollback(root)).rejects.toThrow('an update is under way; try again when it has ended');
    await release?.();
    expect(await agent.rollback(root)).toBe('1.0.0');
  });

  it('finds its state again from a copy, and from the slots', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at());
    await look(root);
    await agent.confirm(root);
    const whole = await readFile(join(root, 'state'));
    await writeFile(join(root, 'state'), whole.subarray(0, 40));
    expect((await agent.knownState(root)).active).toMatchObject({ version: '1.1.0', status: 'trial' });
    await rm(join(root, 'state'));
    await writeFile(join(root, 'state.before'), 'rubbish');
    expect((await agent.knownState(root)).active).toMatchObject({ version: '1.1.0', status: 'good' });
    expect(await startable(root)).toBe('1.1.0');
  });

  it('has one agent at a time, and no lock of one that is gone', async () => {
    const root = await device();
    const release = await agent.takeLock(root);
    expect(await look(root)).toEqual({ outcome: 'busy', why: 'another agent is at work' });
    await release?.();
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    await writeFile(join(root, 'lock'), `${gone} 12345`);
    expect((await look(root)).outcome).toBe('current');
  });

  it('orders versions and takes paths as the publisher does', () => {
    const versions = [
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-2',
      '1.0.0-10',
      '1.0.0',
      '1.0.1',
      '1.10.0',
      '1.9.9',
      '10.0.0',
    ];
    for (const a of versions)
      for (const b of versions)
        expect(Math.sign(agent.compareVersions(a, b)), `${a} ${b}`).toBe(Math.sign(compareVersions(a, b)));
    expect(['a', 'a/b.c', 'größe/日本'].every(agent.isSafePath)).toBe(true);
  });
});

describe('the supervisor', () => {
  interface Supervised {
    serves(version: string): Promise<void>;
    crash(): Promise<void>;
    said(): string;
    stop(): Promise<number | null>;
  }

  /** `agent.mjs run`; TEST_CRASHES names a version that ends as soon as it is started. */
  async function supervise(root: string, more: Record<string, string> = {}): Promise<Supervised> {
    const env = {
      ...process.env,
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
      INTERVAL_SECONDS: '0.2',
      CONFIRM_SECONDS: '0.3',
      READY_SECONDS: '5',
      ...more,
    };
    const url = `http://${env.HOST}:${env.PORT}`;
    const child = spawn(process.execPath, [literalPath('edge', 'agent/agent.mjs'), 'run', '--root', root], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const said: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const ask = (path: string): Promise<string> =>
      fetch(`${url}${path}`).then(
        (response) => response.text(),
        () => '',
      );
    return {
      async serves(version) {
        while ((await ask('/version')) !== version) await sleep(30);
      },
      async crash() {
        await ask('/crash');
      },
      said: () => said.join(''),
      stop: () => (child.kill('SIGTERM'), ended),
    };
  }

  it('starts, updates, goes back from a version that crashes, and stops', async () => {
    const root = await device();
    const running = await supervise(root);
    await running.serves('1.0.0');
    // Published now, as the clock of the agent is the real one.
    await publish(await bundleOf('1.1.0'), 100, at({ at: Date.now() }));
    await running.serves('1.1.0');
    while ((await agent.knownState(root)).active.status !== 'good') await sleep(30);
    await publish(await bundleOf('1.2.0', 'crashes'), 100, at({ at: Date.now() }));
    while (!(await agent.knownState(root)).rejected.some(({ version }) => version === '1.2.0')) await sleep(50);
    await running.serves('1.1.0');
    expect(await running.stop()).toBe(0);
    expect(running.said()).toContain('did not come up in 3 starts, back to 1.1.0');
  });

  it('replaces a version that no longer comes up, though it is whole', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at({ at: Date.now() }));
    const running = await supervise(root, { TEST_CRASHES: '1.0.0' });
    await running.serves('1.1.0');
    expect(await running.stop()).toBe(0);
  });

  it('starts a model again that ends while an update is on its way', async () => {
    const root = await device();
    const running = await supervise(root);
    await running.serves('1.0.0');
    server.faults = [{ path: /^\/blobs\//, hangAfter: 0 }];
    server.sent.length = 0;
    await publish(await bundleOf('1.1.0'), 100, at({ at: Date.now() }));
    while (!server.sent.some(({ path }) => path.startsWith('/blobs/'))) await sleep(20);
    await running.crash();
    await running.serves('1.0.0');
    expect(await running.stop()).toBe(0);
  });

  it('looks at its channel also where the clock goes back', async () => {
    const root = await device();
    const back = join(root, 'back.mjs');
    await writeFile(back, 'const now = Date.now; const start = now(); Date.now = () => 2 * start - now();\n');
    const running = await supervise(root, { NODE_OPTIONS: `--import=${back}` });
    await running.serves('1.0.0');
    await publish(await bundleOf('1.1.0'), 100, at({ at: Date.now() }));
    await running.serves('1.1.0');
    expect(await running.stop()).toBe(0);
  });

  it('starts what was taken by hand meanwhile, and goes back with it', async () => {
    const root = await device();
    const running = await supervise(root, { INTERVAL_SECONDS: '3600' });
    await running.serves('1.0.0');
    await publish(await bundleOf('1.1.0'), 100, at());
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
    await running.serves('1.1.0');
    while ((await agent.knownState(root)).active.status !== 'good') await sleep(30);
    expect(await agent.rollback(root)).toBe('1.0.0');
    await running.serves('1.0.0');
    expect(await running.stop()).toBe(0);
  });

  it('has a unit with whole paths', async () => {
    const root = join(dir, 'my device');
    const unit = spawnSync(process.execPath, [literalPath('edge', 'agent/agent.mjs'), 'unit', '--root', 'my device/'], {
      cwd: dir,
      encoding: 'utf8',
    });
    expect(unit.stdout).toContain(` run --root "${root}"\n`);
    expect(unit.stdout).toContain(`\nReadWritePaths="${root}"\n`);
  });

  it('looks for the model where it listens', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at({ at: Date.now() }));
    const running = await supervise(root, { HOST: '127.0.0.2' });
    await running.serves('1.1.0');
    while ((await agent.knownState(root)).active.status !== 'good') await sleep(30);
    expect(await running.stop()).toBe(0);
  });
});

describe('publishing', () => {
  it('is taken by devices also after a statement of a clock that was ahead', async () => {
    const root = await device();
    await publish(await bundleOf('1.1.0'), 100, at({ at: now + 400 * day }));
    expect(await look(root)).toMatchObject({ outcome: 'updated' });
    await agent.confirm(root);
    await publish(await bundleOf('1.2.0'), 100, at());
    expect(await look(root)).toMatchObject({ outcome: 'updated', version: '1.2.0' });
  });

  it('refuses what devices would have to refuse', async () => {
    await device();
    await expect(publish(join(dir, '1.0.0'), 100, at())).rejects.toMatchObject({ code: 'release-downgrade' });
    await expect(rollBack(undefined, at())).rejects.toMatchObject({ code: 'channel-rollback' });
    await expect(publish(await bundleOf('1.1.0'), 100, at({ channel: '../x' }))).rejects.toMatchObject({
      code: 'channel-name',
    });
    const bad = join(dir, 'bad');
    await cp(await bundleOf('1.1.0'), bad, { recursive: true });
    await writeFile(join(bad, 'behaviour'), 'x');
    await expect(publish(bad, 100, at())).rejects.toMatchObject({ code: 'channel-bundle' });
    await expect(setRollout(50, at({ channel: 'beta' }))).rejects.toMatchObject({ code: 'channel-empty' });
    await publish(await bundleOf('1.1.0'), 100, at());
    await rollBack(undefined, at());
    await expect(publish(await bundleOf('1.1.0'), 100, at())).rejects.toMatchObject({ code: 'release-downgrade' });
    const other = await lightBundle({ ...artifact, name: 'other' }, join(dir, 'other'), '2.0.0');
    await expect(publish(other, 100, at())).rejects.toMatchObject({ code: 'channel-model' });
  });
});
