/** One look at the channel: fetch, believe, decide, fill the other slot, try it, switch. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { knownState } from './boot.mjs';
import { fetchText } from './download.mjs';
import { removeTree } from './durable.mjs';
import { healthProblem } from './health.mjs';
import { checkFresh, judge } from './judge.mjs';
import { takeLock } from './lock.mjs';
import { Refused } from './refused.mjs';
import { fillSlot, isWhole, runtimesOf, slotProblem } from './slots.mjs';
import { otherSlot, readConfig, saveState, slotFolder } from './state.mjs';
import { openEnvelope, readKeys, readStatement } from './trust.mjs';

/** The channel's statement and the text to keep beside the files. @throws Refused */
async function readChannel(root, config, options) {
  if (config.trust === 'tuf') {
    const { readTuf } = await import('./tuf.mjs');
    return readTuf(root, config, options);
  }
  const keys = readKeys(await readFile(join(root, 'trust.pem'), 'utf8'));
  const text = await fetchText(`${config.url}/channels/${config.channel}.json`, options);
  return { payload: openEnvelope(text, keys), record: text };
}

/**
 * @param {{ now?: number, options?: object, health?: object }} how
 * @returns {Promise<{ outcome: 'current' | 'waiting' | 'busy' | 'refused' | 'rejected' | 'failed' | 'updated', code?: string, why: string, version?: string }>}
 */
export async function update(root, { now = Date.now(), options = {}, health = {} } = {}) {
  let release;
  try {
    release = await takeLock(root);
    if (!release) return { outcome: 'busy', why: 'another agent is at work' };
    return await updateLocked(root, { now, options, health });
  } catch (error) {
    if (error instanceof Refused) return { outcome: 'refused', code: error.code, why: error.message };
    return { outcome: 'failed', code: error.cause?.code ?? error.code, why: error.message };
  } finally {
    await release?.();
  }
}

async function updateLocked(root, { now, options, health }) {
  const config = await readConfig(root);
  let state = await knownState(root);
  if (state.active.status === 'trial')
    return { outcome: 'busy', why: `version ${state.active.version} is on trial`, version: state.active.version };
  const { payload, record } = await readChannel(root, config, options);
  const statement = readStatement(payload, config.channel);
  checkFresh(statement, state.seen, now);
  if (statement.name !== config.model)
    throw new Refused(
      'channel',
      `the channel is about model "${statement.name}", and this device runs "${config.model}"`,
    );
  // From here on nothing older counts, whatever becomes of this one.
  const seen = {
    sequence: statement.sequence,
    digest: statement.digest,
    time: Math.max(statement.issued, state.seen.time),
  };
  if (seen.digest !== state.seen.digest) {
    state = { ...state, seen };
    await saveState(root, state);
  }
  const running = slotFolder(root, state.active.slot);
  const broken = !(await isWhole(running, state.active.manifest));
  const { take, why } = judge(statement, state, { runtimes: await runtimesOf(root), broken });
  if (!take) {
    const current = statement.manifest === state.active.manifest;
    return { outcome: current ? 'current' : 'waiting', why, version: state.active.version };
  }
  const target = otherSlot(state.active.slot);
  // What lies in the other slot is about to go: nobody may want to go back to it any more.
  if (state.fallback !== null) {
    state = { ...state, fallback: null };
    await saveState(root, state);
  }
  const slot = slotFolder(root, target);
  const { files, version, manifest } = statement;
  try {
    await fillSlot({ root, slot, from: running, url: config.url, files, record, options });
  } catch (error) {
    // What was downloaded so far would keep a full disk full.
    if (['ENOSPC', 'EDQUOT'].includes(error.code)) await removeTree(join(root, 'downloads'));
    throw error;
  }
  const damaged = await slotProblem(slot, files);
  if (damaged !== undefined) throw new Error(`the new version is not whole on the disk: ${damaged}`);
  const sick = await healthProblem(slot, health);
  if (sick !== undefined) {
    await saveState(root, { ...state, rejected: [...state.rejected, { version, manifest, why: sick }] });
    return { outcome: 'rejected', why: sick, version };
  }
  const { slot: oldSlot, version: oldVersion, manifest: oldManifest } = state.active;
  await saveState(root, {
    ...state,
    active: { slot: target, version, manifest, status: 'trial', tries: 0 },
    // A damaged version is nothing to go back to.
    fallback: broken ? null : { slot: oldSlot, version: oldVersion, manifest: oldManifest },
  });
  await dropDownloads(root);
  return { outcome: 'updated', why, version };
}

async function dropDownloads(root) {
  const place = join(root, 'downloads');
  for (const name of await readdir(place)) await removeTree(join(place, name));
}
