/** A batch job that is killed (kill -9) at random moments: run again, its output is that of a job which nobody disturbed. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Rows of the job, of as many columns as the model's one input has elements for each row. */
function writeTable(path, { manifest }, rows) {
  const [{ shape }] = manifest.inputs;
  const width = shape.slice(1).reduce((product, dim) => product * dim, 1);
  const names = Array.from({ length: width }, (_, i) => `c${i}`);
  const lines = Array.from({ length: rows }, (_, row) => names.map((_name, i) => ((row * 31 + i * 17) % 1000) / 1000).join());
  writeFileSync(path, `${names.join()}\n${lines.join('\n')}\n`);
}

/** Runs the job; killed after `killAfter` ms, where given. Gives its exit code and how long it ran. */
async function job(dir, args, killAfter) {
  const begun = performance.now();
  const child = spawn(process.execPath, ['run-batch.mjs', ...args], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk) => (text += chunk));
  const ended = new Promise((done) => child.once('close', done));
  if (killAfter !== undefined) {
    await Promise.race([sleep(killAfter), ended]);
    child.kill('SIGKILL');
  }
  const code = await ended;
  return { code, text, ms: performance.now() - begun };
}

function digestOf(dir) {
  const hash = createHash('sha256');
  for (const name of readdirSync(dir).filter((one) => !one.endsWith('.tmp')).sort()) {
    hash.update(`${name}\n`).update(readFileSync(join(dir, name)));
  }
  return hash.digest('hex');
}

/** @returns {Promise<boolean>} whether all came out the same */
export async function kills(made, work, { times, rows, random, out }) {
  const table = join(work, 'table.csv');
  writeTable(table, made, rows);
  const args = (to) => [table, '--out', to, '--batch', '16', '--format', 'jsonl'];
  const whole = join(work, 'whole');
  const first = await job(made.dir, args(whole));
  if (first.code !== 0) throw new Error(first.text);
  const want = digestOf(whole);
  let same = 0;
  const moments = [];
  for (let i = 0; i < times; i++) {
    const to = join(work, `killed-${i}`);
    const moment = Math.round(random() * first.ms);
    const { code } = await job(made.dir, args(to), moment);
    const again = await job(made.dir, args(to));
    if (again.code !== 0) throw new Error(again.text);
    const equal = digestOf(to) === want;
    if (equal) same++;
    moments.push(`${moment}${code === 0 ? ' (had ended)' : ''}${equal ? '' : ' DIFFERENT'}`);
    rmSync(to, { recursive: true });
  }
  out(`  kill -9 of a batch job   ${rows} rows in ${first.ms.toFixed(0)} ms; killed after ${moments.join(', ')} ms: ${same} of ${times} come out the same`);
  return same === times;
}
