/** Keeps the model running: starts the chosen version, confirms it when it has stayed up, looks for updates, switches. */

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseSlot, confirm } from './boot.mjs';
import { loadState, slotFolder } from './state.mjs';
import { update } from './update.mjs';

/** Milliseconds of a clock that nobody sets: a device without one of its own is told the time while its model starts, and the other one jumps. */
const clock = () => performance.now();

/** Waits; false when stopped meanwhile. */
async function pause(ms, signal) {
  return sleep(ms, true, { signal }).catch((error) => {
    if (error.name !== 'AbortError') throw error;
    return false;
  });
}

/** Where one who listens on `host` is reached from here, as addresses have it. */
function reached(host) {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

async function isReady({ host, port }) {
  try {
    const url = `http://${reached(host)}:${port}/v2/health/ready`;
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // Refused, reset, too late: all mean not yet.
    return false;
  }
}

function start(slot, settings) {
  const child = spawn(process.execPath, ['run.mjs', 'serve'], {
    cwd: slot,
    stdio: 'inherit',
    env: { ...process.env, HOST: settings.host, PORT: String(settings.port) },
  });
  const ended = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? code));
    child.once('error', (error) => resolve(error.message));
  });
  return { child, ended };
}

async function stop({ child, ended }, graceMs = 10_000) {
  child.kill('SIGTERM');
  const done = new AbortController();
  const late = sleep(graceMs, 'late', { signal: done.signal }).catch(() => undefined);
  if ((await Promise.race([ended.then(() => 'ended'), late])) === 'late') child.kill('SIGKILL');
  done.abort();
  await ended;
}

/**
 * Looks at the channel when it is time, beside the model: that is watched meanwhile. The time goes on when the model is started again, so that a version
 * that keeps failing is replaced, too.
 */
function lookout(root, settings, say) {
  let next = clock() + Math.random() * settings.jitterMs;
  let going = false;
  let found = false;
  const look = async () => {
    const { outcome, why } = await update(root, settings.update).catch((error) => ({
      outcome: 'failed',
      why: error.message,
    }));
    if (outcome !== 'current') say(`update: ${outcome}, ${why}`);
    found = outcome === 'updated';
    next = clock() + settings.intervalMs + Math.random() * settings.jitterMs;
    going = false;
  };
  return {
    /** Whether the state and the other slot are being worked on. */
    isGoing: () => going,
    /** Begins a look where it is time. @returns whether a new version waits to be started */
    poll() {
      if (!going && !found && clock() >= next) {
        going = true;
        void look();
      }
      return found;
    },
    /** What was found is about to be started. */
    take() {
      found = false;
    },
  };
}

/** An error of the system, which may pass; what else is wrong does not get better by waiting. */
function sayPassing(error, say) {
  if (error.code === undefined) throw error;
  say(error.message);
}

/** Whether another version was chosen meanwhile, by hand: `update` or `rollback` beside this process. What cannot be read now is asked for again. */
async function isAnother(root, slot) {
  const state = await loadState(root).catch(() => undefined);
  return state !== undefined && slotFolder(root, state.active.slot) !== slot;
}

/** Whether the version on trial may stay from now on. What a full disk keeps from being written down is tried again. */
async function settle(root, settings, say) {
  if (!(await isReady(settings))) return false;
  try {
    if (await confirm(root)) say('the new version has stayed up: it stays');
    return true;
  } catch (error) {
    sayPassing(error, say);
    return false;
  }
}

/**
 * One version, until it ends, is replaced or the agent is stopped. `chosen.trial` ends when it has stayed up.
 * @returns {Promise<'stopped' | 'switch' | 'ended'>}
 */
async function runOnce(root, chosen, looks, settings, signal, say) {
  const running = start(chosen.slot, settings);
  let gone = false;
  const ended = running.ended.then((how) => {
    gone = true;
    return how;
  });
  const deadline = clock() + settings.readyMs;
  let up;
  while (!gone && !signal.aborted) {
    if (up === undefined && (await isReady(settings))) up = clock();
    if (up === undefined && clock() > deadline) {
      say(`not ready within ${settings.readyMs} ms`);
      await stop(running);
      return 'ended';
    }
    if (up !== undefined && chosen.trial && clock() - up >= settings.confirmMs)
      chosen.trial = !(await settle(root, settings, say));
    if ((!chosen.trial && looks.poll()) || (!looks.isGoing() && (await isAnother(root, chosen.slot)))) {
      await stop(running);
      return 'switch';
    }
    await Promise.race([ended, pause(up === undefined ? 100 : Math.min(250, settings.intervalMs), signal)]);
  }
  if (gone) {
    say(`the model's process ended (${await ended})`);
    return 'ended';
  }
  await stop(running);
  return 'stopped';
}

/** Which version is started now; one that cannot be repaired yet is started as it is. */
async function choose(root, settings, say) {
  const { state, slot, notes } = await chooseSlot(root);
  for (const one of notes) say(one);
  if (notes.some((one) => one.includes('waiting for a repair'))) {
    const found = await update(root, settings.update);
    say(`update: ${found.outcome}, ${found.why}`);
    if (found.outcome === 'updated') return choose(root, settings, say);
  }
  return { slot, version: state.active.version, trial: state.active.status === 'trial' };
}

/** @param settings { host, port, readyMs, confirmMs, intervalMs, jitterMs, restartMs, update } */
export async function supervise(root, settings, signal, say) {
  const looks = lookout(root, settings, say);
  let chosen;
  for (let failures = 0; !signal.aborted; ) {
    const started = clock();
    let how = 'ended';
    try {
      // An update that is on its way goes on from the state as it is, and fills the slot that does not run: the same one is started again.
      if (chosen === undefined || !looks.isGoing()) {
        looks.take();
        chosen = await choose(root, settings, say);
      }
      say(`starting version ${chosen.version}`);
      how = await runOnce(root, chosen, looks, settings, signal, say);
    } catch (error) {
      sayPassing(error, say);
    }
    if (how !== 'ended') failures = 0;
    else {
      failures = clock() - started > 60_000 ? 1 : failures + 1;
      await pause(Math.min(30_000, settings.restartMs * 2 ** failures), signal);
    }
  }
}
