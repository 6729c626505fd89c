/** Whether a version works on this device: its own self-test, in a process of its own. */

import { spawn } from 'node:child_process';

/** @returns {Promise<string | undefined>} why not, in words */
export async function healthProblem(slot, { timeoutMs = 120_000, args = ['run.mjs', 'selftest'] } = {}) {
  const child = spawn(process.execPath, args, {
    cwd: slot,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', NODE_ENV: 'production', THREADS: process.env.THREADS ?? '' },
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text = (text + chunk.toString('utf8')).slice(-2000);
    });
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...how) => resolve(how));
  });
  if (code === 0) return undefined;
  const how = signal === null ? `ended with ${code}` : `was ended by ${signal}`;
  return `its self-test ${how}: ${text.trim().split('\n').at(-1)?.slice(0, 300) ?? ''}`;
}
