/** The bundle's model on as many sessions as the container has CPUs. */

import { goldenCases, modelBytes, readManifest, verifiedModel } from '../lib/bundle.mjs';
import { cpuLimit, memoryLimit, sessionPlan } from '../lib/cpu.mjs';
import { describeModel } from '../lib/model.mjs';
import { Pool } from '../lib/pool.mjs';
import { refusalBySignature, usefulRows } from '../lib/warm-up.mjs';
import { takesRows } from './mapping.mjs';

const log = { error: (details, text) => process.stderr.write(`${text}: ${details.err?.message}\n`) };

export async function openModel(dir) {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  const manifest = await readManifest(dir);
  const info = describeModel(manifest);
  const path = await verifiedModel(dir, manifest);
  const limits = { cpus: cpuLimit(), memory: memoryLimit(), modelBytes: modelBytes(manifest) };
  const plan = sessionPlan({ workers: 0, threads: 0 }, limits);
  const pool = new Pool(path, { ...plan, timeoutMs: 3_600_000, log });
  await pool.open();
  const golden = await goldenCases(dir, manifest);
  // Rows that would look at each other go alone: the same row must give the same answer wherever it stands.
  const limit = info.mixesRows === undefined ? 0 : 1;
  const { rows, rates } = await usefulRows((feeds) => pool.run(feeds, undefined), {
    info,
    golden,
    limit,
    budgetMs: 500,
  });
  // Whoever asks for batches gets them where they change no answer; without a recorded case to try it with, that is for him to know.
  const untried = golden.length === 0 && limit === 0 && refusalBySignature(info) === undefined;
  const joins = rates !== undefined || untried;
  return { manifest, info, pool, rows: takesRows(info), joins, usefulBatch: rows, close: () => pool.close() };
}
