import { createHash, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { channelPlace, replaceFile } from '../channel/folder.ts';
import { parseStatement } from '../channel/statement.ts';
import { isSignedBy } from '../sign/envelope.ts';
import { canonicalJson } from './canonical.ts';
import { keysOf, type Role, type RoleKey, roleKeys, roles, signWith } from './keys.ts';

const specVersion = '1.0.31';
/** Root and targets change by hand, and live long; snapshot and timestamp are renewed by a timer. */
const longDays: Readonly<Partial<Record<Role, number>>> = { root: 365, targets: 90 };

interface Signed {
  readonly _type: Role;
  readonly version: number;
  readonly [key: string]: unknown;
}

export interface RepositoryOptions {
  readonly channels: readonly string[];
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Days until snapshot and timestamp expire. */
  readonly days: number;
  readonly rotate: readonly string[];
  /** Public key of the channels: a statement that it has not signed is not signed here either. */
  readonly channelKey?: KeyObject | undefined;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** TUF takes times without a fraction of a second. */
function expiry({ at, days }: RepositoryOptions, role: Role): string {
  return `${new Date(at + (longDays[role] ?? days) * 86_400_000).toISOString().slice(0, 19)}Z`;
}

function print(signed: Signed, keys: readonly RoleKey[]): string {
  return `${JSON.stringify({ signatures: keys.map((key) => signWith(key, signed)), signed }, null, 1)}\n`;
}

interface Metadata {
  readonly signatures: readonly { readonly keyid: string }[];
  readonly signed: Signed;
}

/** The newest metadata of a role, by the number in its name. */
async function latest(folder: string, role: Role): Promise<Metadata | undefined> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const pattern = role === 'timestamp' ? /^timestamp\.json$/ : new RegExp(`^\\d+\\.${role}\\.json$`);
  const [name] = names
    .filter((one) => pattern.test(one))
    .sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10));
  if (name === undefined) return undefined;
  return JSON.parse(await readFile(join(folder, name), 'utf8')) as Metadata;
}

/** Equal but for version and time. */
function sameContent(a: Signed, b: Signed): boolean {
  const strip = ({ version: _version, expires: _expires, ...rest }: Signed): string => canonicalJson(rest);
  return strip(a) === strip(b);
}

/**
 * Brings a TUF repository (consistent snapshots, Ed25519) in `metadata/` and `targets/` of a channel folder up to date. Its targets are the channels'
 * statements, without their own signature; they name every file of a release by its digest. Order of writing: what is pointed to comes first.
 * @returns the versions that hold now
 * @throws UserError `tuf-root-key`, `tuf-role`, `channel-signature`
 */
export async function updateRepository(
  folder: string,
  keyFolder: string,
  options: RepositoryOptions,
): Promise<Record<Role, number>> {
  const offers = await offersOf(folder, options);
  const metadata = join(folder, 'metadata');
  const before = (await latest(metadata, 'root'))?.signed;
  if (before) await requireRootKey(keyFolder, before);
  const keys = await roleKeys(keyFolder, options.rotate);
  const root = await updateRoot(metadata, before, keys, options);
  const targets = await updateTargets(folder, offers, keys.targets, options);
  const renew = async (role: Role, make: (version: number) => Signed, place: (version: number) => string) => {
    const version = ((await latest(metadata, role))?.signed.version ?? 0) + 1;
    await replaceFile(join(metadata, place(version)), print(make(version), keys[role].slice(-1)));
    return version;
  };
  const head = (role: Role, version: number): Signed => ({
    _type: role,
    spec_version: specVersion,
    version,
    expires: expiry(options, role),
  });
  const snapshot = await renew(
    'snapshot',
    (version) => ({ ...head('snapshot', version), meta: { 'targets.json': { version: targets } } }),
    (version) => `${version}.snapshot.json`,
  );
  const timestamp = await renew(
    'timestamp',
    (version) => ({ ...head('timestamp', version), meta: { 'snapshot.json': { version: snapshot } } }),
    () => 'timestamp.json',
  );
  return { root, targets, snapshot, timestamp };
}

/** @throws UserError where no key is left that devices trust: new ones would begin a root that none of them takes. */
async function requireRootKey(keyFolder: string, before: Signed): Promise<void> {
  const known = existsSync(keyFolder) ? await keysOf(keyFolder, 'root') : [];
  if (known.some(({ id }) => rootIds(before).includes(id))) return;
  throw new UserError(
    'tuf-root-key',
    `"${keyFolder}" holds no key that root ${before.version} names, so no device would take what it signs: give the folder of its keys with --keys. Where they are lost, take metadata/ away and set the devices up anew with the root that is then made.`,
  );
}

/** Ids of the keys that may sign the next root. */
function rootIds(root: Signed): readonly string[] {
  return (root.roles as Record<Role, { keyids: string[] }>).root.keyids;
}

async function updateRoot(
  metadata: string,
  before: Signed | undefined,
  keys: Readonly<Record<Role, readonly RoleKey[]>>,
  options: RepositoryOptions,
): Promise<number> {
  const current = roles
    .map((role) => [role, keys[role].at(-1)] as const)
    .flatMap(([role, key]) => (key ? [{ role, key }] : []));
  const signed: Signed = {
    _type: 'root',
    spec_version: specVersion,
    version: (before?.version ?? 0) + 1,
    expires: expiry(options, 'root'),
    consistent_snapshot: true,
    keys: Object.fromEntries(current.map(({ key }) => [key.id, key.public])),
    roles: Object.fromEntries(current.map(({ role, key }) => [role, { keyids: [key.id], threshold: 1 }])),
  };
  const due = before && Date.parse(String(before.expires)) - options.at < 30 * 86_400_000;
  if (before && !due && sameContent(before, signed)) return before.version;
  // Clients follow from one root to the next: the keys of the one before sign as well.
  const old = before ? rootIds(before) : [];
  const signers = keys.root.filter((key, i) => i === keys.root.length - 1 || old.includes(key.id));
  const text = print(signed, signers);
  await replaceFile(join(metadata, `${signed.version}.root.json`), text);
  await replaceFile(join(metadata, 'root.json'), text);
  return signed.version;
}

/** What each channel says now, as the text of a target. Read before anything is written. */
async function offersOf(
  folder: string,
  { channels, channelKey }: RepositoryOptions,
): Promise<ReadonlyMap<string, string>> {
  const offers = new Map<string, string>();
  for (const channel of channels) {
    const place = channelPlace(folder, channel);
    const { statement, file } = parseStatement(await readFile(place, 'utf8'), place);
    if (channelKey && !isSignedBy(file, channelKey))
      throw new UserError(
        'channel-signature',
        `Statement ${statement.predicate.sequence} of channel ${channel} is not signed with the key that was given, so it becomes no target.`,
      );
    offers.set(channel, `${JSON.stringify(statement)}\n`);
  }
  return offers;
}

async function updateTargets(
  folder: string,
  offers: ReadonlyMap<string, string>,
  keys: readonly RoleKey[],
  options: RepositoryOptions,
): Promise<number> {
  const entries: [string, unknown][] = [];
  for (const [channel, text] of offers) {
    const digest = sha256(text);
    await replaceFile(join(folder, 'targets', `${digest}.${channel}.json`), text);
    entries.push([`${channel}.json`, { length: Buffer.byteLength(text), hashes: { sha256: digest } }]);
  }
  const metadata = join(folder, 'metadata');
  const { signed: before, signatures = [] } = (await latest(metadata, 'targets')) ?? {};
  const version = (before?.version ?? 0) + 1;
  const signed: Signed = {
    _type: 'targets',
    spec_version: specVersion,
    version,
    expires: expiry(options, 'targets'),
    targets: Object.fromEntries(entries),
  };
  const due = before && Date.parse(String(before.expires)) - options.at < 30 * 86_400_000;
  // Also where their key was replaced, or is a new one since the old one was lost: clients ask for that of the root.
  const isSigned = signatures.some(({ keyid }) => keyid === keys.at(-1)?.id);
  if (before && !due && isSigned && sameContent(before, signed)) return before.version;
  await replaceFile(join(metadata, `${version}.targets.json`), print(signed, keys.slice(-1)));
  return version;
}
