/** Which version starts: counted while it is on trial, given up when it keeps failing, repaired from the fallback when it is damaged. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile } from './download.mjs';
import { takeLock } from './lock.mjs';
import { isWhole, releaseName } from './slots.mjs';
import { firstState, loadState, saveState, slotFolder } from './state.mjs';
import { compareVersions } from './versions.mjs';

/** Starts that a version on trial gets before the one before it comes back. */
export const maxTries = 3;

/** Goes back to the fallback and remembers why. */
async function giveUp(root, state, why) {
  const { active, fallback } = state;
  const back = {
    ...state,
    active: { ...fallback, status: 'good', tries: 0 },
    fallback: null,
    rejected: [...state.rejected, { version: active.version, manifest: active.manifest, why }],
  };
  await saveState(root, back);
  return back;
}

/**
 * The state of a device, found again from its slots where the file is lost: of those that are whole by the record that came with them, the newest.
 * Sequence numbers start over, so the channel's next statement counts as new.
 */
export async function knownState(root) {
  const state = await loadState(root);
  if (state) return state;
  const found = [];
  const names = await readdir(join(root, 'slots')).catch(() => []);
  for (const slot of names.filter((name) => name === 'a' || name === 'b').sort()) {
    const folder = slotFolder(root, slot);
    const manifest = await hashFile(join(folder, 'mlpack.json')).catch(() => undefined);
    const record = await readFile(join(folder, releaseName), 'utf8').catch(() => undefined);
    if (manifest === undefined || record === undefined || !(await isWhole(folder, manifest))) continue;
    const { release } = JSON.parse(await readFile(join(folder, 'mlpack.json'), 'utf8'));
    found.push({ slot, version: release.version, manifest });
  }
  found.sort((a, b) => compareVersions(b.version, a.version));
  const [best] = found;
  if (!best) throw new Error(`${root} has no state and no whole version; set it up again (agent.mjs init)`);
  const made = firstState(best.slot, best.version, best.manifest);
  await saveState(root, made);
  return made;
}

/**
 * To be called before each start of the model.
 * @returns {Promise<{ state, slot: string, notes: string[] }>} folder to start from, and what was decided
 */
export async function chooseSlot(root) {
  const notes = [];
  let state = await knownState(root);
  const { active, fallback } = state;
  const whole = await isWhole(slotFolder(root, active.slot), active.manifest);
  const canGoBack = fallback !== null && (await isWhole(slotFolder(root, fallback.slot), fallback.manifest));
  if (!whole && canGoBack) {
    notes.push(`version ${active.version} is damaged, back to ${fallback.version}`);
    state = await giveUp(root, state, 'its files were damaged');
  } else if (!whole) {
    notes.push(`version ${active.version} is damaged, and there is no other; waiting for a repair`);
  } else if (active.status === 'trial' && active.tries >= maxTries && canGoBack) {
    notes.push(`version ${active.version} did not come up in ${maxTries} starts, back to ${fallback.version}`);
    state = await giveUp(root, state, `it did not come up in ${maxTries} starts`);
  } else if (active.status === 'trial') {
    state = { ...state, active: { ...active, tries: active.tries + 1 } };
    await saveState(root, state);
    notes.push(`version ${active.version} on trial, start ${state.active.tries} of ${maxTries}`);
  }
  return { state, slot: slotFolder(root, state.active.slot), notes };
}

/** The version on trial works: it stays. */
export async function confirm(root) {
  const state = await knownState(root);
  if (state.active.status === 'good') return false;
  await saveState(root, { ...state, active: { ...state.active, status: 'good', tries: 0 } });
  return true;
}

/**
 * Back by hand, and not in the middle of an update, which goes on from the state that it has read.
 * @returns the version that runs from now on; undefined where there is none to go back to
 */
export async function rollback(root, why = 'it was given up by hand') {
  const release = await takeLock(root);
  if (!release) throw new Error('an update is under way; try again when it has ended');
  try {
    const state = await knownState(root);
    const { fallback } = state;
    if (fallback === null || !(await isWhole(slotFolder(root, fallback.slot), fallback.manifest))) return undefined;
    return (await giveUp(root, state, why)).active.version;
  } finally {
    await release();
  }
}
