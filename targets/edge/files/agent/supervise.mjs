/** Keeps the model running: starts the chosen version, confirms it when it has stayed up, looks for updates, switches. */

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseSlot, confirm } from './boot.mjs';
import { update } from './update.mjs';

/** Waits; false when stopped meanwhile. */
async function pause(ms, signal) {
  return sleep(ms, true, { signal }).catch((error) => {
    if (error.name !== 'AbortError') throw error;
    return false;
  });
}

async function isReady(port) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/v2/health/ready`, { signal: AbortSignal.timeout(2000) });
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
 * One version, until it ends, is replaced or the agent is stopped.
 * @returns {Promise<'stopped' | 'switch' | 'ended'>}
 */
async function runOnce(root, slot, trial, settings, signal, say) {
  const running = start(slot, settings);
  let gone = false;
  const ended = running.ended.then((how) => {
    gone = true;
    return how;
  });
  const deadline = Date.now() + settings.readyMs;
  while (!gone && !signal.aborted && !(await isReady(settings.port))) {
    if (Date.now() > deadline) {
      say(`not ready within ${settings.readyMs} ms`);
      await stop(running);
      return 'ended';
    }
    await pause(100, signal);
  }
  const up = Date.now();
  let confirmed = !trial;
  let nextLook = up + (trial ? settings.confirmMs : 0) + Math.random() * settings.jitterMs;
  while (!gone && !signal.aborted) {
    if (!confirmed && Date.now() - up >= settings.confirmMs) {
      confirmed = await isReady(settings.port);
      if (confirmed && (await confirm(root))) say('the new version has stayed up: it stays');
    }
    if (confirmed && Date.now() >= nextLook) {
      const found = await update(root, settings.update);
      if (found.outcome !== 'current') say(`update: ${found.outcome}, ${found.why}`);
      nextLook = Date.now() + settings.intervalMs + Math.random() * settings.jitterMs;
      if (found.outcome === 'updated') {
        await stop(running);
        return 'switch';
      }
    }
    await Promise.race([ended, pause(Math.min(250, settings.intervalMs), signal)]);
  }
  if (gone) {
    say(`the model's process ended (${await ended})`);
    return 'ended';
  }
  await stop(running);
  return 'stopped';
}

/** @param settings { host, port, readyMs, confirmMs, intervalMs, jitterMs, update } */
export async function supervise(root, settings, signal, say) {
  for (let failures = 0; !signal.aborted; ) {
    const { state, slot, notes } = await chooseSlot(root);
    for (const one of notes) say(one);
    if (notes.some((one) => one.includes('waiting for a repair'))) {
      const found = await update(root, settings.update);
      say(`update: ${found.outcome}, ${found.why}`);
      if (found.outcome === 'updated') continue;
    }
    say(`starting version ${state.active.version}`);
    const started = Date.now();
    const how = await runOnce(root, slot, state.active.status === 'trial', settings, signal, say);
    if (how !== 'ended') failures = 0;
    else {
      failures = Date.now() - started > 60_000 ? 1 : failures + 1;
      await pause(Math.min(30_000, settings.restartMs * 2 ** failures), signal);
    }
  }
}
