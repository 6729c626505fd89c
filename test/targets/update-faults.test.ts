import { expect, it } from 'vitest';
import { runFaults } from './support/fault-run.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

// A thousand of them: node --import ./test/support/ts-loader.mjs test/bench/update-faults.mjs
it('a device keeps a version that works through random faults, three of each kind, and reaches the newest', async () => {
  const report = await runFaults(dir, 45, 1);
  expect(report.updates).toBeGreaterThan(5);
  expect(report.killed).toBeGreaterThan(5);
  expect(Object.values(report.byKind).toSorted((a, b) => a - b)).toEqual([...Array(12).fill(3), 9]);
}, 300_000);
