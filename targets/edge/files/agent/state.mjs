/**
 * What the device knows, in one file that is replaced atomically. It holds a digest of itself and has a copy of the state before: one damaged file costs
 * at most the last step. When both are gone, the slots say again what they are.
 */

import { createHash, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeDurable } from './durable.mjs';

const rememberedRejections = 16;

function sealed(state) {
  const body = JSON.stringify(state);
  return `${createHash('sha256').update(body).digest('hex')} ${body}\n`;
}

function unsealed(text) {
  const [digest, body] = [text.slice(0, 64), text.slice(65, -1)];
  if (createHash('sha256').update(body).digest('hex') !== digest) return undefined;
  return JSON.parse(body);
}

export function otherSlot(slot) {
  return slot === 'a' ? 'b' : 'a';
}

export function slotFolder(root, slot) {
  return join(root, 'slots', slot);
}

/** The state of a device that has just got its first version. */
export function firstState(slot, version, manifest, device = randomUUID()) {
  return {
    schema: 'mlpack.device/1',
    device,
    active: { slot, version, manifest, status: 'good', tries: 0 },
    fallback: null,
    seen: { sequence: 0, digest: '', time: 0 },
    rejected: [],
  };
}

/** The newest state that is whole, or undefined. */
export async function loadState(root) {
  for (const name of ['state', 'state.before']) {
    const text = await readIfThere(join(root, name));
    const state = text === undefined ? undefined : unsealed(text);
    if (state?.schema === 'mlpack.device/1') return state;
  }
  return undefined;
}

/** The state as it is from now on; it is on the disk when this returns. */
export async function saveState(root, state) {
  await mkdir(root, { recursive: true });
  const before = await readIfThere(join(root, 'state'));
  if (before !== undefined && unsealed(before) !== undefined) await writeDurable(join(root, 'state.before'), before);
  const kept = { ...state, rejected: state.rejected.slice(-rememberedRejections) };
  await writeDurable(join(root, 'state'), sealed(kept));
}

export async function readConfig(root) {
  const text = await readIfThere(join(root, 'config.json'));
  if (text === undefined)
    throw new Error(`${root} is no device folder: there is no config.json (agent.mjs init makes it)`);
  return JSON.parse(text);
}
