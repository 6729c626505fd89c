/**
 * Ten thousand requests that nobody should send, against a server that runs already and serves the model `tiny`
 * ([batch, 1, 12, 12] FP32 "image"; see test/targets/support/artifact.ts), or any other port of one's own:
 *
 *   node test/bench/server-fuzz.mjs <port> [--requests 10000] [--seed 1]
 */
import { Agent } from 'node:http';
import { parseArgs } from 'node:util';
import { complaint, fuzzer, send } from '../support/fuzz-requests.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { requests: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const port = Number(positionals[0]);
const next = fuzzer(Number(values.seed));
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const statuses = new Map();
let wrong = 0;
for (let done = 0; done < Number(values.requests); done += 16) {
  const requests = Array.from({ length: 16 }, next);
  const answers = await Promise.all(requests.map((request) => send(port, request, agent)));
  for (const [i, answer] of answers.entries()) {
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    const why = complaint(requests[i], answer);
    if (why === undefined) continue;
    wrong++;
    process.stdout.write(`${why}: ${JSON.stringify(requests[i]).slice(0, 500)}\n`);
  }
}
agent.destroy();
process.stdout.write(`${JSON.stringify(Object.fromEntries([...statuses].sort(([a], [b]) => a - b)))}, wrong: ${wrong}\n`);
process.exitCode = wrong === 0 ? 0 : 1;
