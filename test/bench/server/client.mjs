/** Load by clients that no one here wrote: wrk where it is installed (Debian: wrk), which takes the least CPU, else autocannon. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { on } from './process.mjs';

function hasWrk() {
  try {
    execFileSync('which', ['wrk'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export const client = hasWrk() ? 'wrk' : 'autocannon';

/** As many requests as can be answered. Gives { perSecond, p50, p99 (ms), refused, errors }. */
export async function saturate(url, ask, { connections, seconds, cpus }) {
  return client === 'wrk' ? byWrk(url, ask, { connections, seconds, cpus }) : byAutocannon(url, ask, { connections, seconds });
}

/** Writes what wrk sends, and how it says what came of it. Gives the path of the script. */
export function wrkScript({ headers, body }) {
  const dir = mkdtempSync(join(tmpdir(), 'mlpack-wrk-'));
  writeFileSync(join(dir, 'body'), body);
  const lines = Object.entries(headers).map(([name, value]) => `wrk.headers['${name}'] = '${value}'`);
  writeFileSync(
    join(dir, 'post.lua'),
    `local file = io.open('${join(dir, 'body')}', 'rb')
wrk.body = file:read('*a')
file:close()
wrk.method = 'POST'
${lines.join('\n')}
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format('RESULT {"requests":%d,"us":%d,"p50":%d,"p99":%d,"refused":%d,"errors":%d}', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
`,
  );
  return join(dir, 'post.lua');
}

async function byWrk(url, ask, { connections, seconds, cpus }) {
  const [program, ...args] = on(cpus, ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', wrkScript(ask), url]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  await new Promise((done) => child.once('close', done));
  const result = JSON.parse(text.match(/RESULT (.*)/)[1]);
  const seconds_ = result.us / 1e6;
  return {
    answered: result.requests - result.refused,
    perSecond: (result.requests - result.refused) / seconds_,
    p50: result.p50 / 1000,
    p99: result.p99 / 1000,
    refused: result.refused,
    errors: result.errors,
  };
}

/** @param more autocannon's own options, such as overallRate */
export async function byAutocannon(url, { headers, body }, { connections, seconds, ...more }) {
  const result = await autocannon({ url, method: 'POST', headers, body, connections, duration: seconds, ...more });
  return {
    answered: result['2xx'],
    perSecond: result['2xx'] / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    refused: result.non2xx,
    errors: result.errors + result.timeouts,
    statuses: Object.fromEntries(Object.entries(result.statusCodeStats ?? {}).map(([code, { count }]) => [code, count])),
  };
}
