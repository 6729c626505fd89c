/** Whether a device takes what its channel offers. Pure: no files, no network, no clock. */

import { createHash } from 'node:crypto';
import { Refused } from './refused.mjs';
import { compareVersions } from './versions.mjs';

/** Where a device stands in a rollout, 0 up to 100: the same for one release whatever the percentage, another for the next release. */
export function rolloutPlace(device, manifest) {
  return (createHash('sha256').update(`${manifest}:${device}`).digest().readUInt32BE(0) / 2 ** 32) * 100;
}

/**
 * Replayed, forked and expired statements are refused.
 * @param seen { sequence, digest, time } of the newest statement so far
 * @param {number} now of this device; a clock that fell back does not count
 * @throws Refused
 */
export function checkFresh(statement, seen, now) {
  if (statement.sequence < seen.sequence)
    throw new Refused(
      'replayed',
      `statement ${statement.sequence} is older than ${seen.sequence}, which was seen before`,
    );
  if (statement.sequence === seen.sequence && statement.digest !== seen.digest)
    throw new Refused('replayed', `there are two different statements ${statement.sequence}`);
  if (Math.max(now, seen.time) > statement.expires)
    throw new Refused('expired', `the statement expired on ${new Date(statement.expires).toISOString()}`);
}

/**
 * @param state of the device
 * @param facts { runtimes: Record<string, string>, broken: boolean } versions by name; whether the active version is damaged
 * @returns {{ take: boolean, why: string }} @throws Refused for a downgrade
 */
export function judge(statement, state, { runtimes, broken }) {
  const { active, rejected, device } = state;
  const { version, manifest, percent, requires, replaces } = statement;
  const order = compareVersions(version, active.version);
  if (manifest === active.manifest && !broken) return { take: false, why: `version ${version} is running` };
  if (order < 0 && !replaces.includes(active.version))
    throw new Refused('downgrade', `version ${version} comes before ${active.version}, which is running`);
  if (order === 0 && manifest !== active.manifest)
    throw new Refused('downgrade', `version ${version} is running, and the channel has other files under that name`);
  const before = rejected.find((one) => one.manifest === manifest);
  if (before) return { take: false, why: `version ${version} was tried and given up: ${before.why}` };
  for (const [name, least] of Object.entries(requires)) {
    const own = runtimes[name];
    if (own === undefined || compareVersions(own, least) < 0)
      return { take: false, why: `version ${version} needs ${name} ${least}, and there is ${own ?? 'none'} here` };
  }
  // A way back and a repair do not wait for their turn.
  if (order > 0 && !broken && rolloutPlace(device, manifest) >= percent)
    return { take: false, why: `version ${version} goes to ${percent} % of the devices, and this one waits` };
  return {
    take: true,
    why: order < 0 ? `back to ${version}` : broken ? `repair with ${version}` : `version ${version}`,
  };
}
