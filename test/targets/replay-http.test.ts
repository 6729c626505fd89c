import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/target/inspect.ts';
import type { Manifest } from '../../src/target/manifest.ts';
import type { LoadedCase, Replay } from '../../src/target/replay.ts';
import { replayHttp } from '../../src/target/replay-http.ts';

const io = [{ name: 'x', dtype: 'float32', shape: [2] }];
const manifest = { model: { name: 'm' }, inputs: io, outputs: io } as unknown as Manifest;
const tensor = { name: 'x', dtype: 'float32', shape: [2], file: 'x.bin', bytes: new Uint8Array(8) };
const cases: LoadedCase[] = [{ inputs: [tensor], outputs: [tensor], tolerance: { rtol: 0, atol: 0 } }];
const metadata = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [2] }],
  outputs: [{ name: 'x', datatype: 'FP32', shape: [2] }],
};

/** Replays the case on a server that describes itself rightly and answers inference as `infer` does. */
async function replay(
  infer: RequestListener,
  {
    describeItself = (_, response) => response.end(JSON.stringify(metadata)),
    signal,
    timeoutMs = 30_000,
  }: { describeItself?: RequestListener; signal?: AbortSignal; timeoutMs?: number } = {},
): Promise<{ findings: string[]; replays: Replay[] }> {
  const server = createServer((request, response) => {
    request.resume();
    (request.method === 'POST' ? infer : describeItself)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const findings: Finding[] = [];
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const replays = await replayHttp(url, manifest, cases, findings, { timeoutMs, signal });
    return { findings: findings.map(({ code, message }) => `${code}: ${message}`), replays };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A server that misbehaves is what check is there to find, and no bug of ours. */
describe('replay over HTTP', () => {
  it('accepts the right answer in both forms', async () => {
    const { findings, replays } = await replay((request, response) => {
      const row = { name: 'x', datatype: 'FP32', shape: [2] };
      if (request.headers['inference-header-content-length'] === undefined) {
        response.end(JSON.stringify({ id: 'mlpack-check', outputs: [{ ...row, data: [0, 0] }] }));
        return;
      }
      const head = JSON.stringify({ outputs: [{ ...row, parameters: { binary_data_size: 8 } }] });
      response.setHeader('inference-header-content-length', head.length);
      response.end(Buffer.concat([Buffer.from(head), Buffer.alloc(8)]));
    });
    expect(findings).toEqual([]);
    expect(replays.map(({ ok }) => ok)).toEqual([true, true]);
  });

  it.each<[string, RequestListener, RegExp, timeoutMs?: number]>([
    ['hangs up', (request) => request.socket.destroy(), /the server breaks off/],
    ['never answers', () => {}, /does not answer in time/, 300],
    [
      'answers something else than JSON',
      (_, response) => response.end('<html>'),
      /the answer is not JSON|no valid Inference-Header/,
    ],
    [
      'answers without outputs',
      (_, response) => response.end('{"id":"mlpack-check"}'),
      /not the form of the protocol|no valid Inference-Header/,
    ],
  ])('reports a server that %s', async (_, infer, message, timeoutMs) => {
    const { findings, replays } = await replay(infer, { timeoutMs });
    expect(findings).toHaveLength(2);
    for (const finding of findings) expect(finding).toMatch(message);
    expect(replays.map(({ ok }) => ok)).toEqual([false, false]);
  });

  it('reports an answer of the wrong length', async () => {
    const { findings } = await replay((request, response) => {
      const row = { name: 'x', datatype: 'FP32', shape: [2] };
      if (request.headers['inference-header-content-length'] === undefined) {
        response.end(JSON.stringify({ id: 'mlpack-check', outputs: [{ ...row, data: [0] }] }));
        return;
      }
      const head = JSON.stringify({ outputs: [{ ...row, parameters: { binary_data_size: 8 } }] });
      response.setHeader('inference-header-content-length', head.length);
      response.end(Buffer.concat([Buffer.from(head), Buffer.alloc(3)]));
    });
    expect(findings).toEqual([
      expect.stringContaining('has 4 bytes instead of 8'),
      expect.stringContaining('has 3 bytes instead of 8'),
    ]);
  });

  it('reports metadata that cannot be read', async () => {
    const { findings } = await replay((request) => request.socket.destroy(), {
      describeItself: (_, response) => response.end('no'),
    });
    expect(findings[0]).toBe("metadata-mismatch: The model's metadata cannot be read: the answer is not JSON.");
  });

  it('stops when asked to', async () => {
    const stop = new AbortController();
    const stopped = replay(() => stop.abort(new Error('stop')), { signal: stop.signal });
    await expect(stopped).rejects.toThrow('stop');
  });
});
