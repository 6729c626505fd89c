/**
 * Updates for a device. `node agent.mjs <command> --root <folder>`
 *   init      --bundle <dir> --url <address> [--channel stable] (--key <keys.pem> | --tuf-root <root.json>) [--device <id>]
 *   run       starts the model and keeps it running and up to date (HOST, PORT, INTERVAL_SECONDS, CONFIRM_SECONDS, READY_SECONDS)
 *   update    one look at the channel
 *   status    which version runs, which one it could go back to, what was given up
 *   rollback  back to the version before
 *   confirm   the version on trial stays
 *   next      counts a start and prints the folder to start from, for supervisors of your own
 *   unit      a systemd unit that does `run`
 */

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chooseSlot, confirm, knownState, rollback } from './boot.mjs';
import { init } from './init.mjs';
import { supervise } from './supervise.mjs';
import { agentUnit } from './unit.mjs';
import { update } from './update.mjs';

class Usage extends Error {}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    root: { type: 'string' },
    bundle: { type: 'string' },
    url: { type: 'string' },
    channel: { type: 'string', default: 'stable' },
    key: { type: 'string' },
    'tuf-root': { type: 'string' },
    device: { type: 'string' },
  },
});

function needed(name) {
  if (values[name] === undefined) throw new Usage(`--${name} is missing`);
  return values[name];
}

function seconds(name, fallback) {
  const text = process.env[name] ?? '';
  const value = text === '' ? fallback : Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Usage(`${name} must be a number of seconds, and is "${text}"`);
  return value * 1000;
}

const print = (value) => process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
const say = (text) => process.stderr.write(`agent: ${text}\n`);

/** Outcomes of `update` after which a caller should look: exit code 1. */
const failed = new Set(['refused', 'rejected', 'failed']);

const commands = {
  async init() {
    const given = { ...values, bundle: needed('bundle'), url: needed('url'), tufRoot: values['tuf-root'] };
    print(await init(needed('root'), given));
  },
  async update() {
    const result = await update(needed('root'));
    print(result);
    return failed.has(result.outcome) ? 1 : 0;
  },
  async status() {
    const { active, fallback, rejected, seen, device } = await knownState(needed('root'));
    print({ device, active, fallback, sequence: seen.sequence, rejected });
  },
  async rollback() {
    const version = await rollback(needed('root'));
    if (version === undefined) throw new Usage('there is no whole version to go back to');
    print({ version });
  },
  async confirm() {
    print({ confirmed: await confirm(needed('root')) });
  },
  async next() {
    const { slot, notes } = await chooseSlot(needed('root'));
    for (const one of notes) say(one);
    print(slot);
  },
  async run() {
    const stop = new AbortController();
    for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => stop.abort());
    const interval = seconds('INTERVAL_SECONDS', 3600);
    await supervise(
      needed('root'),
      {
        host: process.env.HOST || '127.0.0.1',
        port: Number(process.env.PORT || 8080),
        readyMs: seconds('READY_SECONDS', 120),
        confirmMs: seconds('CONFIRM_SECONDS', 60),
        intervalMs: interval,
        // Devices that were switched on together do not ask together.
        jitterMs: interval / 10,
        restartMs: 500,
        update: {},
      },
      stop.signal,
      say,
    );
    // What is still being downloaded is no reason to stay: the next start goes on with it.
    process.exit(0);
  },
  async unit() {
    print(agentUnit({ root: resolve(needed('root')), agent: import.meta.filename, node: process.execPath }).trimEnd());
  },
};

const [command] = positionals;
try {
  if (!Object.hasOwn(commands, command ?? ''))
    throw new Usage(`node agent.mjs ${Object.keys(commands).join(' | ')} --root <folder>`);
  process.exitCode = (await commands[command]()) ?? 0;
} catch (error) {
  say(error.message);
  process.exitCode = error instanceof Usage ? 2 : 1;
}
