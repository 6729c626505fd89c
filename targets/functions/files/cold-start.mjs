/** `node cold-start.mjs [processes]`: how long from the start of a process until the model can answer, and how much of it is the model. */

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dir = dirname(fileURLToPath(import.meta.url));
const processes = Number(process.argv[2] ?? 7);
if (!Number.isInteger(processes) || processes < 1) {
  process.stderr.write(`how many processes? a whole number, not "${process.argv[2]}"\n`);
  process.exit(2);
}
const program = `
const { openFunction } = await import('./lib/function.mjs');
const begun = performance.now();
await openFunction('.', 1);
process.stdout.write(JSON.stringify({ modelMs: performance.now() - begun }));
process.exit(0);`;

function once() {
  const begun = performance.now();
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: join(dir),
    encoding: 'utf8',
  });
  if (status !== 0) {
    process.stderr.write(stderr);
    process.exit(1);
  }
  return { totalMs: performance.now() - begun, modelMs: JSON.parse(stdout).modelMs };
}

const runs = Array.from({ length: processes }, once);
const median = (name) => runs.map((run) => run[name]).sort((a, b) => a - b)[processes >> 1];
process.stdout.write(
  `${Math.round(median('totalMs'))} ms from start to ready, of which ${Math.round(median('modelMs'))} ms are the runtime and the model (median of ${processes} processes; Node.js ${process.version})\n`,
);
