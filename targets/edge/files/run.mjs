/**
 * The model on this device. `node run.mjs`
 *   selftest                     recorded inputs through the model: right answers, time, memory
 *   predict <file…> | -          JSON, JSON Lines, .npy or raw elements; `-` reads JSON Lines from stdin
 *   serve                        local HTTP, Open Inference Protocol v2 (HOST, PORT, BODY_LIMIT_BYTES, MAX_WAITING)
 *   watch <dir>                  a folder as a queue: in/ → out/
 *   unit                         a systemd unit for this folder, memory limit as measured here
 * THREADS: threads of one run (default: all cores).
 */

import { readFile } from 'node:fs/promises';
import { BundleError, RequestError } from './lib/errors.mjs';
import { fileValues } from './lib/files.mjs';
import { openModel } from './lib/open.mjs';
import { peakBytes, selftest } from './lib/selftest.mjs';
import { serve } from './lib/serve.mjs';
import { systemdUnit } from './lib/unit.mjs';
import { predict } from './lib/values.mjs';
import { watch } from './lib/watch.mjs';

const dir = import.meta.dirname;
const say = (text) => process.stderr.write(`${text}\n`);
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

class Usage extends Error {}

/** What is not read must not be given: a port that the server then does not listen on. */
function takesNone(command, [given], settings = '') {
  if (given !== undefined) throw new Usage(`${command} takes no arguments, and "${given}" is one${settings}`);
}

function whole(name, fallback, min, max) {
  const text = process.env[name] ?? '';
  const value = text === '' ? fallback : Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Usage(`${name} must be a whole number from ${min} to ${max}, and is "${text}"`);
  return value;
}

/** Aborted by the first SIGTERM or SIGINT. */
function untilStopped() {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => stop.abort());
  return stop.signal;
}

/** Lines of a stream. Not by node:readline, which also ends a line at U+2028: that may stand in a text. */
async function* linesOf(stream) {
  const decoder = new TextDecoder();
  let held = [];
  for await (const chunk of stream) {
    const [first, ...others] = decoder.decode(chunk, { stream: true }).split('\n');
    held.push(first);
    for (const other of others) {
      yield held.join('');
      held = [other];
    }
  }
  yield held.join('') + decoder.decode();
}

async function answered(model, value) {
  try {
    return await predict(model, value);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { error: error.message };
  }
}

function parsed(line) {
  try {
    return { value: JSON.parse(line) };
  } catch (error) {
    return { error: `not JSON: ${error.message}` };
  }
}

/** THREADS of each run; else ONNX Runtime chooses. */
const opened = () => openModel(dir, process.env.THREADS ? whole('THREADS', 1, 1, 1024) : undefined);

const commands = {
  async selftest(rest) {
    takesNone('selftest', rest);
    const result = await selftest(dir, await opened());
    print(result);
    return result.ok ? 0 : 1;
  },

  async predict(places) {
    if (places.length === 0) throw new Usage('which files? node run.mjs predict input.json, or - for stdin');
    const model = await opened();
    for (const place of places) {
      if (place === '-') {
        for await (const line of linesOf(process.stdin)) {
          if (line.trim() === '') continue;
          const { value, error } = parsed(line);
          print(error === undefined ? await answered(model, value) : { error });
        }
      } else {
        const bytes = await readFile(place).catch((error) => {
          throw new Usage(`"${place}" cannot be read (${error.code})`);
        });
        for (const value of fileValues(place, bytes, model.info)) print(await predict(model, value));
      }
    }
    return 0;
  },

  async serve(rest) {
    takesNone('serve', rest, ': settings are in the environment, as in PORT=9000 node run.mjs serve');
    const settings = {
      host: process.env.HOST || '127.0.0.1',
      port: whole('PORT', 8080, 0, 65_535),
      // 16 MiB: a float picture of 1280 × 1024 as binary data.
      bodyLimit: whole('BODY_LIMIT_BYTES', 16 * 2 ** 20, 1024, 2 ** 31 - 1),
      waiting: whole('MAX_WAITING', 32, 1, 10_000),
    };
    const model = await opened();
    const stopped = untilStopped();
    const server = await serve(model, settings);
    say(`serving ${model.info.name} ${model.manifest.release.version} on http://${settings.host}:${server.port}`);
    await new Promise((resolve) => {
      if (stopped.aborted) resolve();
      else stopped.addEventListener('abort', resolve, { once: true });
    });
    await server.close();
    return 0;
  },

  async watch([root, ...rest]) {
    if (root === undefined) throw new Usage('which folder? node run.mjs watch /var/spool/model');
    takesNone(`watch ${root}`, rest);
    const model = await opened();
    await watch(model, root, { pollMs: whole('POLL_MS', 200, 10, 60_000), signal: untilStopped(), say });
    return 0;
  },

  async unit(rest) {
    takesNone('unit', rest);
    const model = await opened();
    const result = await selftest(dir, model, 20);
    process.stdout.write(systemdUnit({ name: model.info.name, dir, node: process.execPath, peakBytes: peakBytes() }));
    return result.ok ? 0 : 1;
  },
};

const [command, ...rest] = process.argv.slice(2);
try {
  if (!Object.hasOwn(commands, command ?? ''))
    throw new Usage(
      `node run.mjs ${Object.keys(commands).join(' | ')}${command === undefined ? '' : `, not "${command}"`}`,
    );
  process.exitCode = await commands[command](rest);
} catch (error) {
  const told = [Usage, RequestError, BundleError].some((kind) => error instanceof kind);
  say(told ? error.message : (error.stack ?? String(error)));
  process.exitCode = told ? 2 : 1;
}
