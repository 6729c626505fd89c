/**
 * A device through randomized faults: node --import ./test/support/ts-loader.mjs test/bench/update-faults.mjs [trials] [seed]
 * Killed at any change of the file system, writes torn, power lost with what was not synced, disk full, I/O errors, networks that cut and lie, replayed,
 * forged and expired statements, versions that fail or crash, flipped bits. Ends with 1 when the device once has no version that works.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFaults } from '../targets/support/fault-run.ts';

const [trials = 1000, seed = 1] = process.argv.slice(2).map(Number);
const dir = mkdtempSync(join(tmpdir(), 'mlpack-faults-'));
try {
  const report = await runFaults(dir, trials, seed, console.error);
  console.log(JSON.stringify(report));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
