import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const mlpack = resolve(here, '../../../dist/bin/mlpack.js');

/** Milliseconds between two looks at a child's memory. */
const lookMs = 20;

/**
 * Runs a program to its end.
 * @returns {Promise<{ failed?: string, wallMs: number, rssBytes?: number }>} `failed`: its last words; memory on Linux only
 */
function runProgram(command, args) {
  return new Promise((done, fail) => {
    const started = performance.now();
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    let peak;
    const timer = setInterval(() => {
      peak = Math.max(peak ?? 0, peakRss(child.pid) ?? 0) || undefined;
    }, lookMs);
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-4000);
    });
    child.on('error', (error) => {
      clearInterval(timer);
      fail(error);
    });
    child.on('close', (code) => {
      clearInterval(timer);
      const lines = said.split('\n').filter((line) => line.trim() !== '');
      const failed = code === 0 ? {} : { failed: lines.at(-1) ?? `exit code ${code}` };
      done({ ...failed, wallMs: performance.now() - started, rssBytes: peak });
    });
  });
}

/** The most memory that a process has held, from Linux's own books. */
function peakRss(pid) {
  try {
    const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found ? Number(found[1]) * 1024 : undefined;
  } catch (error) {
    // Ended since, or another system than Linux.
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
    throw error;
  }
}

/** The command line of the build. */
export const runMlpack = (args) => runProgram(process.execPath, [mlpack, ...args]);

/** The runtime and the float model on the samples, no more. */
export const runFloor = (model, feeds) => runProgram(process.execPath, [join(here, 'floor.mjs'), model, feeds]);

export const makeOurs = (model, out, { steps, data }, dataDir) =>
  runMlpack([
    'run',
    model,
    ...steps,
    '-o',
    out,
    '--quiet',
    // What another run has counted would make the clock lie.
    '--no-cache',
    ...(data && dataDir ? ['--data', dataDir] : []),
  ]);

export const makeTheirs = (python, model, out, { script, options = {} }, feeds) =>
  runProgram(python, [
    join(here, 'rivals', script),
    model,
    out,
    feeds,
    ...Object.entries(options).map(([key, value]) => `${key}=${value}`),
  ]);
