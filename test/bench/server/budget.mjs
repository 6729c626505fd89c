/** Requests a second within a bound on latency, which is the same for both by construction: without batches and with them. */
import { byAutocannon } from './client.mjs';
import { start } from './process.mjs';

/** The highest rate that is asked for and answered in full with p99 within `budget` ms: doubled until it is not, then bisected. */
async function highest(url, ask, { budget, seconds, from }) {
  const holds = async (rate) => {
    const load = await byAutocannon(url, ask, { connections: 64, seconds, overallRate: rate, timeout: 30 });
    return load.errors === 0 && load.refused === 0 && load.perSecond >= 0.95 * rate && load.p99 <= budget;
  };
  let [low, high] = [0, from];
  while (await holds(high)) [low, high] = [high, 2 * high];
  for (let step = 0; step < 4; step++) {
    const middle = Math.round((low + high) / 2);
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

export async function budgeted({ dir, manifest }, ask, { cpus, budget, seconds, out }) {
  const rates = [];
  for (const env of [{ BATCH_MAX: '1' }, {}]) {
    const server = await start(dir, { env, cpus: cpus.server });
    const url = `${server.url}/v2/models/${manifest.model.name}/infer`;
    const warm = await byAutocannon(url, ask, { connections: 8, seconds: 4 });
    rates.push(await highest(url, ask, { budget, seconds, from: Math.max(8, Math.round(warm.perSecond / 2)) }));
    await server.stop();
  }
  const [alone, batched] = rates;
  const gain = alone > 0 ? `× ${(batched / alone).toFixed(2)}` : 'none without batches';
  out(`  p99 within ${budget} ms       ${alone}/s without batches, ${batched}/s with them (${gain})`);
}
