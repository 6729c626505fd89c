/** At saturation: sessions alone, then the server without and with batches, on the same CPUs. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { request } from './bundles.mjs';
import { saturate } from './client.mjs';
import { on, start } from './process.mjs';

/** What bare sessions answer, in a process of their own. */
export function alone(options, cpus) {
  const [program, ...args] = on(cpus, [process.execPath, join(import.meta.dirname, 'alone.mjs'), JSON.stringify(options)]);
  return JSON.parse(execFileSync(program, args, { encoding: 'utf8' }));
}

/**
 * Seconds until V8 has compiled what runs often: at 400 requests/s the CPU of a request falls for 8 to 12 s (MobileNet 2.87,
 * 2.76, 2.55, 2.56 ms in parts of 4 s, ResNet-20 1.46, 1.17, 1.09, 1.11), and what a server does all day is what comes after.
 */
const warmSeconds = 12;

/** Load, and rows for each second of CPU that the server itself used. */
export async function measured(server, url, ask, options) {
  await saturate(url, ask, { ...options, seconds: warmSeconds });
  const before = server.cpu();
  const begun = performance.now();
  const result = await saturate(url, ask, options);
  const [used, wall] = [server.cpu() - before, (performance.now() - begun) / 1000];
  return { ...result, perCpuSecond: result.answered / used, busy: used / wall };
}

/** Samples of a request that has several, the second figure: what each costs to come in is shared. */
const samples = 8;

const show = ({ perSecond, p50, p99, refused, errors }) =>
  `${perSecond.toFixed(0)}/s  p50 ${p50.toFixed(1)} ms  p99 ${p99.toFixed(1)} ms${refused ? `  refused ${refused}` : ''}${errors ? `  ERRORS ${errors}` : ''}`;

export async function saturation({ dir, manifest }, ask, { cpus, connections, seconds, out }) {
  const path = `v2/models/${manifest.model.name}/infer`;
  const options = { connections, seconds, cpus: cpus.client };
  const plain = await start(dir, { env: { BATCH_MAX: '1' }, cpus: cpus.server });
  const without = await measured(plain, `${plain.url}/${path}`, ask, options);
  await plain.stop();
  const server = await start(dir, { cpus: cpus.server });
  const { workers, threads, batchRows, why, inline } = server.plan;
  const withBatches = await measured(server, `${server.url}/${path}`, ask, options);
  // A server that takes one row at a time runs them one by one.
  const takesRows = manifest.inputs.every(({ shape }) => shape !== null && typeof shape[0] !== 'number');
  const several = takesRows ? await saturate(`${server.url}/${path}`, request({ dir, manifest }, samples), options) : undefined;
  await server.stop();
  const bare = (rows, inputs) => alone({ dir, manifest, workers, threads, rows, seconds, inputs }, cpus.server);
  const both = (inputs) => {
    const one = bare(1, inputs);
    return { one, many: batchRows > 1 ? bare(batchRows, inputs) : one };
  };
  const { one, many } = both('new');
  const cached = both('same');
  const best = Math.max(one.perSecond, many.perSecond);
  const bestCpu = Math.max(one.perCpuSecond, many.perCpuSecond);
  const bestCached = Math.max(cached.one.perSecond, cached.many.perSecond);
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  out(`  ${workers} × ${threads} thread${inline ? ' (the one that speaks HTTP)' : ''}, batch ${batchRows}${why ? ` (${why})` : ''}`);
  out(`  session.run alone        ${one.perSecond.toFixed(0)}/s single, ${many.perSecond.toFixed(0)}/s in batches of ${batchRows} (× ${(many.perSecond / one.perSecond).toFixed(2)}); one run ${one.p50.toFixed(2)} ms`);
  out(`  … on one input only      ${cached.one.perSecond.toFixed(0)}/s single, ${cached.many.perSecond.toFixed(0)}/s in batches: the input stays in the caches`);
  out(`  without batches          ${show(without)}`);
  out(`  with batches             ${show(withBatches)}  (× ${(withBatches.perSecond / without.perSecond).toFixed(2)})`);
  out(
    `  of sessions alone        ${percent(withBatches.perSecond / best)} of the requests/s (on one input only: ${percent(withBatches.perSecond / bestCached)}), ${percent(withBatches.perCpuSecond / bestCpu)} for each second of CPU ` +
      `(without batches ${percent(without.perSecond / one.perSecond)} and ${percent(without.perCpuSecond / one.perCpuSecond)} of single runs)`,
  );
  if (several === undefined) return;
  const perSecond = several.perSecond * samples;
  out(`  ${samples} samples a request     ${perSecond.toFixed(0)} samples/s, ${percent(perSecond / best)} of sessions alone; ${show(several)}`);
}
