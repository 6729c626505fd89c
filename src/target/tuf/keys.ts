import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { makeFolder } from '../../make-folder.ts';
import { canonicalJson } from './canonical.ts';

export const roles = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type Role = (typeof roles)[number];

/** A public key as TUF's root metadata names it. */
export interface TufKey {
  readonly keytype: 'ed25519';
  readonly scheme: 'ed25519';
  readonly keyval: { readonly public: string };
}

export interface RoleKey {
  readonly id: string;
  readonly public: TufKey;
  readonly private: KeyObject;
}

function toRoleKey(key: KeyObject): RoleKey {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  const own: TufKey = {
    keytype: 'ed25519',
    scheme: 'ed25519',
    keyval: { public: Buffer.from(x, 'base64url').toString('hex') },
  };
  return { id: createHash('sha256').update(canonicalJson(own)).digest('hex'), public: own, private: key };
}

export function signWith(key: RoleKey, signed: unknown): { keyid: string; sig: string } {
  return { keyid: key.id, sig: sign(null, Buffer.from(canonicalJson(signed), 'utf8'), key.private).toString('hex') };
}

/** Numbers of the keys that are there: old ones may have been taken away. */
async function numbersOf(folder: string, role: Role): Promise<number[]> {
  const names = (await readdir(folder)).filter((name) => new RegExp(`^${role}\\.\\d+\\.pem$`).test(name));
  return names.map((name) => Number(name.split('.')[1])).sort((a, b) => a - b);
}

/** `root.1.pem`, `root.2.pem` …: every key that a role has had, the newest last. Folder and files are for the owner alone. */
export async function keysOf(folder: string, role: Role): Promise<RoleKey[]> {
  const keys: RoleKey[] = [];
  for (const number of await numbersOf(folder, role)) {
    const shown = join(folder, `${role}.${number}.pem`);
    const key = createPrivateKey(await readFile(shown, 'utf8'));
    if (key.asymmetricKeyType !== 'ed25519') throw new UserError('key-type', `${shown} is no Ed25519 key.`);
    keys.push(toRoleKey(key));
  }
  return keys;
}

async function addKey(folder: string, role: Role, number: number): Promise<RoleKey> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(join(folder, `${role}.${number}.pem`), pem, { mode: 0o600, flag: 'wx' });
  return toRoleKey(privateKey);
}

/** The keys of each role, the newest last; a role gets its first one where it has none, and another where it is to be rotated. */
export async function roleKeys(folder: string, rotate: readonly string[]): Promise<Record<Role, RoleKey[]>> {
  const unknown = rotate.find((role) => !(roles as readonly string[]).includes(role));
  if (unknown !== undefined)
    throw new UserError('tuf-role', `"${unknown}" is no role of TUF; there are ${roles.join(', ')}.`);
  await makeFolder(folder, 0o700);
  const entries: [Role, RoleKey[]][] = [];
  for (const role of roles) {
    const keys = await keysOf(folder, role);
    if (keys.length === 0 || rotate.includes(role)) {
      const last = (await numbersOf(folder, role)).at(-1) ?? 0;
      keys.push(await addKey(folder, role, last + 1));
    }
    entries.push([role, keys]);
  }
  return Object.fromEntries(entries) as Record<Role, RoleKey[]>;
}
