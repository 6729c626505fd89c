/** Hundreds of requests that nobody should send; `node test/bench/server-fuzz.mjs` sends ten thousand. */
import { Agent } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { startServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
}
interface Request {
  readonly raw?: string;
}
const place = new URL('../support/fuzz-requests.mjs', import.meta.url).href;
const fuzz = (await import(place)) as {
  fuzzer(seed: number): () => Request;
  send(port: number, request: Request, agent: Agent): Promise<Answer>;
  complaint(request: Request, answer: Answer): string | undefined;
};
const modules = installedModules() ?? '';
const dir = await tempDir();

describe.skipIf(modules === '')('fuzzed requests', () => {
  it('get a 4xx with {error}, and nobody else notices', async () => {
    const env = { LOG_LEVEL: 'error', BODY_LIMIT_BYTES: '200000', BATCH_MAX: '8', REQUEST_TIMEOUT_MS: '2000' };
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const running = await startServer(artifact, join(dir, 'bundle'), modules, { env });
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const next = fuzz.fuzzer(7);
    const known = new Map<number, string>();
    const honest = async (n: number): Promise<void> => {
      const inputs = [
        {
          name: 'image',
          datatype: 'FP32',
          shape: [1, 1, 12, 12],
          data: Array.from({ length: 144 }, () => (n % 7) / 7),
        },
      ];
      const response = await fetch(`${running.url}/v2/models/tiny/infer`, {
        method: 'POST',
        body: JSON.stringify({ id: `honest-${n}`, inputs }),
      });
      const { id, outputs } = (await response.json()) as { id: string; outputs: { data: number[] }[] };
      expect(id).toBe(`honest-${n}`);
      const rounded = JSON.stringify(outputs[0]?.data.map((value) => value.toFixed(4)));
      expect(known.get(n % 7) ?? rounded).toBe(rounded);
      known.set(n % 7, rounded);
    };
    for (let n = 0; n < 400; n += 8) {
      const requests = Array.from({ length: 8 }, next);
      const answers = await Promise.all([
        honest(n),
        ...requests.map((request) => fuzz.send(running.port, request, agent)),
      ]);
      for (const [i, request] of requests.entries()) {
        const why = fuzz.complaint(request, answers[i + 1] as Answer);
        expect(why, JSON.stringify(request).slice(0, 600)).toBeUndefined();
      }
    }
    expect(running.child.exitCode).toBeNull();
    expect(running.log()).toBe('');
    agent.destroy();
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  });
});
