/** The golden cases of the bundle through the model on this device: right answers, how fast, how much memory. */

import { readFileSync } from 'node:fs';
import { goldenCases } from './bundle.mjs';
import { datatypeOf, fromBytes } from './datatypes.mjs';
import { halfToNumber } from './half.mjs';

function numbers({ dtype }, data) {
  if (dtype === 'string') return data;
  return Array.from(data, dtype === 'float16' ? halfToNumber : Number);
}

/** Why an output is not the recorded one, or undefined: |got − expected| ≤ atol + rtol · max|expected|. */
function difference(want, got, { rtol, atol }) {
  if (got === undefined) return { why: 'is not there', worst: Number.POSITIVE_INFINITY };
  if ([...got.dims].join() !== want.shape.join())
    return { why: `has shape [${got.dims}] instead of [${want.shape}]`, worst: Number.POSITIVE_INFINITY };
  const count = want.shape.reduce((product, dim) => product * dim, 1);
  const expected = numbers(want, fromBytes(datatypeOf(want.dtype), want.bytes, count));
  const actual = numbers(want, got.data);
  const scale = expected.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0);
  let worst = 0;
  for (let i = 0; i < count; i++) {
    const [a, b] = [actual[i], expected[i]];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const off = Math.abs(a - b);
    if (!(off <= atol + rtol * scale)) return { why: `has ${a} at element ${i} instead of ${b}`, worst: off };
    worst = Math.max(worst, off);
  }
  return { why: undefined, worst };
}

/** Most memory that this process has held, in bytes. */
export function peakBytes() {
  try {
    const line = readFileSync('/proc/self/status', 'utf8').match(/^VmHWM:\s+(\d+) kB$/m);
    if (line) return Number(line[1]) * 1024;
  } catch (error) {
    if (!['ENOENT', 'EACCES'].includes(error.code)) throw error;
  }
  return process.resourceUsage().maxRSS * 1024;
}

/**
 * @param {number} repeats timed runs of each case
 * @returns {{ ok, cases, problems: string[], worst, medianMs: number | null, peakBytes }}
 */
export async function selftest(dir, model, repeats = 5) {
  const problems = [];
  const times = [];
  let worst = 0;
  const cases = await goldenCases(dir, model.manifest);
  for (const [n, { inputs, outputs, tolerance }] of cases.entries()) {
    const feeds = inputs.map(({ name, dtype, shape, bytes }) => ({
      name,
      dtype,
      shape,
      data: fromBytes(
        datatypeOf(dtype),
        bytes,
        shape.reduce((product, dim) => product * dim, 1),
      ),
    }));
    const results = await model.run(feeds);
    for (const want of outputs) {
      const found = difference(want, results[want.name], want.tolerance ?? tolerance);
      worst = Math.max(worst, found.worst);
      if (found.why !== undefined) problems.push(`case ${n}, output "${want.name}" ${found.why}`);
    }
    for (let i = 0; i < repeats; i++) {
      const start = process.hrtime.bigint();
      await model.run(feeds);
      times.push(Number(process.hrtime.bigint() - start) / 1e6);
    }
  }
  times.sort((a, b) => a - b);
  const medianMs = times.length === 0 ? null : times[times.length >> 1];
  return { ok: problems.length === 0, cases: cases.length, problems, worst, medianMs, peakBytes: peakBytes() };
}
