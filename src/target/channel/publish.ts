import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { inspectBundle, readManifest } from '../inspect.ts';
import { manifestName } from '../manifest.ts';
import { compareVersions } from '../release.ts';
import { hashRange } from '../sign/resources.ts';
import { signatureName } from '../sign/sign.ts';
import { sumsName } from '../sums.ts';
import { dropOldParts, historyToFollow, ownHistory, putBlob, putStatement, requireChannel } from './folder.ts';
import {
  type ChannelFile,
  type ChannelStatement,
  makeStatement,
  type Offer,
  offerOf,
  printStatement,
  requirementsOf,
} from './statement.ts';

export interface ChannelSettings {
  readonly folder: string;
  readonly channel: string;
  readonly key: KeyObject;
  /** Days until devices refuse the statement. */
  readonly days: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/**
 * Publishes an edge bundle into a static folder and makes it the channel's offer.
 * @param percent share of the devices that take it
 * @throws UserError `channel-bundle`, `channel-target`, `channel-model`, `channel-signature`, `release-downgrade`
 */
export async function publish(
  bundle: string,
  percent: number,
  settings: ChannelSettings,
): Promise<{ statement: ChannelStatement; newBytes: number }> {
  const { folder, channel } = settings;
  requireChannel(channel);
  const manifest = await readManifest(bundle);
  const [problem] = await inspectBundle(bundle, manifest);
  if (problem)
    throw new UserError(
      'channel-bundle',
      `"${bundle}" is not what its manifest says, so it is not published: ${problem.message}`,
    );
  if (manifest.target !== 'edge')
    throw new UserError(
      'channel-target',
      `"${bundle}" is a bundle for ${manifest.target}; a channel takes those of --target edge, which can test themselves on a device.`,
    );
  const past = await historyToFollow(folder, channel, settings.key);
  requireSuccessor(past, manifest.model.name, manifest.release.version, channel);
  const files: ChannelFile[] = manifest.files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }));
  for (const name of [manifestName, sumsName, signatureName]) {
    const path = join(bundle, name);
    if (existsSync(path))
      files.push({ path: name, bytes: (await stat(path)).size, sha256: await hashRange(path, 'sha256') });
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  await dropOldParts(folder, settings.at);
  let newBytes = 0;
  for (const file of files) if (await putBlob(folder, join(bundle, file.path), file)) newBytes += file.bytes;
  const offer: Offer = {
    model: manifest.model.name,
    manifest: files.find(({ path }) => path === manifestName)?.sha256 ?? '',
    version: manifest.release.version,
    rollout: { percent },
    requires: requirementsOf(manifest),
    replaces: [],
    files,
  };
  return { statement: await offerNext(offer, past, settings), newBytes };
}

function requireSuccessor(past: readonly ChannelStatement[], model: string, version: string, channel: string): void {
  const other = past.find(({ subject: [{ name }] }) => name !== model);
  if (other)
    throw new UserError(
      'channel-model',
      `Channel ${channel} is about model "${other.subject[0].name}", not "${model}"; use another one.`,
    );
  const highest = past
    .map(({ predicate }) => predicate.version)
    .sort(compareVersions)
    .at(-1);
  if (highest !== undefined && compareVersions(version, highest) <= 0)
    throw new UserError(
      'release-downgrade',
      `Version ${version} does not come after ${highest}, which channel ${channel} has had; give the bundle a higher one (--bundle-version), or go back with channel rollback.`,
    );
}

/** The newest statement of a channel. @throws UserError `channel-empty` */
export function newest(past: readonly ChannelStatement[], channel: string): ChannelStatement {
  const last = past.at(-1);
  if (last) return last;
  throw new UserError('channel-empty', `Channel ${channel} has nothing published; publish a bundle first.`);
}

/** Makes the same offer to another share of the devices, and for another time. @throws UserError `channel-empty`, `channel-signature` */
export async function setRollout(percent: number | undefined, settings: ChannelSettings): Promise<ChannelStatement> {
  const past = await ownHistory(settings.folder, requireChannel(settings.channel), settings.key);
  const offer = offerOf(newest(past, settings.channel));
  return offerNext({ ...offer, rollout: { percent: percent ?? offer.rollout.percent } }, past, settings);
}

/**
 * Sends devices back to a version that the channel had before, by a new statement: what is replayed is refused, what is signed anew is not.
 * @param version default: the one before the newest that was not itself taken back
 * @throws UserError `channel-rollback`, `channel-signature`
 */
export async function rollBack(version: string | undefined, settings: ChannelSettings): Promise<ChannelStatement> {
  const past = await ownHistory(settings.folder, requireChannel(settings.channel), settings.key);
  const current = newest(past, settings.channel).predicate.version;
  const earlier = past.filter(({ predicate }) => compareVersions(predicate.version, current) < 0);
  const takenBack = new Set(past.flatMap(({ predicate }) => predicate.replaces));
  const target =
    version === undefined
      ? earlier
          .filter(({ predicate }) => !takenBack.has(predicate.version))
          .sort(byVersion)
          .at(-1)
      : earlier.find(({ predicate }) => predicate.version === version);
  if (!target) {
    const known = [...new Set(earlier.map(({ predicate }) => predicate.version))].join(', ') || 'none';
    throw new UserError(
      'channel-rollback',
      `There is no version ${version ?? ''} before ${current} to go back to (${known}).`.replace('  ', ' '),
    );
  }
  const replaced = past
    .map(({ predicate }) => predicate.version)
    .filter((one) => compareVersions(one, target.predicate.version) > 0);
  const replaces = [...new Set(replaced)].sort(compareVersions);
  return offerNext({ ...offerOf(target), replaces, rollout: { percent: 100 } }, past, settings);
}

function byVersion(a: ChannelStatement, b: ChannelStatement): number {
  return compareVersions(a.predicate.version, b.predicate.version);
}

async function offerNext(
  offer: Offer,
  past: readonly ChannelStatement[],
  settings: ChannelSettings,
): Promise<ChannelStatement> {
  const { folder, channel, key, days } = settings;
  const last = past.at(-1)?.predicate;
  // Devices take the newest time that they have seen for the least that it can be: what a clock that was ahead has signed would outlast all that comes after.
  const at = Math.max(settings.at, last === undefined ? 0 : Date.parse(last.issued) || 0);
  const statement = makeStatement(offer, { channel, sequence: (last?.sequence ?? 0) + 1, at, days });
  await putStatement(folder, statement, printStatement(statement, key));
  return statement;
}
