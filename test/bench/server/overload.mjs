/** More than can be answered, for a long time: nobody who was taken in goes without an answer, and memory stays where it is. */
import { byAutocannon } from './client.mjs';

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * @param server of start() @param url of infer @param {{ minutes: number, factor: number, out: (text: string) => void }} options
 * @returns {Promise<boolean>} whether it held
 */
export async function overload(server, url, ask, { minutes, factor, out }) {
  const capacity = await byAutocannon(url, ask, { connections: 64, seconds: 8 });
  const rate = Math.round(factor * capacity.perSecond);
  out(`  overload                 ${capacity.perSecond.toFixed(0)}/s are answered; ${rate}/s are asked for ${minutes} min`);
  const memory = [];
  const timer = setInterval(() => {
    if (server.alive()) memory.push(server.rss());
  }, 1000);
  const load = await byAutocannon(url, ask, {
    connections: 500,
    seconds: Math.round(minutes * 60),
    overallRate: rate,
    timeout: 60,
  });
  clearInterval(timer);
  // Its caches fill in the first fifth.
  const [early, late] = [
    memory.slice(memory.length / 5, (2 * memory.length) / 5),
    memory.slice((4 * memory.length) / 5),
  ].map(mean);
  const tenths = Array.from({ length: 10 }, (_, i) => memory[Math.floor(((i + 0.5) * memory.length) / 10)]);
  const refusedWell = Object.keys(load.statuses).every((code) => ['200', '429', '503'].includes(code));
  const after = await fetch(url, { method: 'POST', headers: ask.headers, body: ask.body });
  const held = server.alive() && refusedWell && load.errors === 0 && late <= 1.1 * early && after.ok;
  out(
    `                           ${load.perSecond.toFixed(0)}/s answered, statuses ${JSON.stringify(load.statuses)}, unanswered ${load.errors}, ` +
      `memory ${early.toFixed(0)} → ${late.toFixed(0)} MB (by tenths ${tenths.map((one) => one.toFixed(0)).join(' ')}), afterwards ${after.status}: ${held ? 'held' : 'DID NOT HOLD'}`,
  );
  return held;
}
