/** The function for Google and Azure, each through the vendor's own npm package. That Google's framework replays the cases is conformance. */
import { spawnSync } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { type Running, startBundle } from '../../src/target/process.ts';
import type { Artifact } from '../../src/target/target.ts';
import { workersAdvice } from '../../targets/functions/cloudflare.ts';
import { functions } from '../../targets/functions/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { type AzureWorker, startAzureWorker } from './support/azure-worker.ts';
import { installedModules } from './support/modules.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('functions') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');
let artifact: Artifact;
const good = { name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: Array.from({ length: 144 }, () => 1) };
const body = JSON.stringify({ id: 'a', inputs: [good] });
const infer = '/v2/models/tiny/infer';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}
type Call = (method: string, path: string, body?: Uint8Array, headers?: Record<string, string>) => Promise<Answer>;

/** What both platforms must answer. */
async function answersProtocol(call: Call): Promise<void> {
  const bytes = Buffer.from(body);
  const first = await call('POST', infer, bytes, { 'content-type': 'application/json' });
  const answer = JSON.parse(first.body.toString()) as { id: string; outputs: { shape: number[] }[] };
  expect([first.status, answer.id, answer.outputs[0]?.shape]).toEqual([200, 'a', [1, 4]]);
  expect((await call('POST', '/', bytes)).status).toBe(200);
  const [{ inputs, outputs }] = artifact.golden as [Artifact['golden'][number]];
  const raw = await call('POST', infer, inputs[0]?.bytes, {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': '0',
  });
  const length = Number(raw.headers['inference-header-content-length']);
  expect(raw.body.subarray(length).equals(outputs[0]?.bytes ?? new Uint8Array())).toBe(true);
  expect(JSON.parse((await call('GET', '/v2/models/tiny')).body.toString())).toMatchObject({ name: 'tiny' });
  expect((await call('GET', '/v2/health/ready')).status).toBe(200);
  for (const [method, path, sent, status] of [
    ['POST', infer, JSON.stringify({ inputs: [{ ...good, shape: [1] }] }), 400],
    ['POST', '/v2/models/other/infer', body, 404],
    ['POST', '/v2/models/tiny/versions/7/infer', body, 404],
    ['POST', '/v2/models/%E0%A4%A/infer', body, 400],
    ['GET', '/nothing', undefined, 404],
  ] as const) {
    const refused = await call(method, path, sent === undefined ? undefined : Buffer.from(sent));
    expect(refused.status, path).toBe(status);
    // Google's framework refuses such a path itself.
    if (!path.includes('%')) expect(JSON.parse(refused.body.toString())).toEqual({ error: expect.any(String) });
  }
}

describe.skipIf(modules === '')('functions', () => {
  let running: Running;
  let azure: AzureWorker;
  beforeAll(async () => {
    artifact = await makeArtifact(dir, classifier, classifierFeeds);
    await buildBundle(functions, artifact, {}, bundle);
    await symlink(modules, join(bundle, 'node_modules'));
    azure = await startAzureWorker(join(bundle, 'index.mjs'));
  });

  it("answers the protocol in Google's framework, and ends when told", async () => {
    running = await startBundle(['local.mjs'], {
      command: 'node local.mjs',
      dir: bundle,
      readyPath: '/v2/health/ready',
      timeoutMs: 60_000,
    });
    try {
      await answersProtocol(async (method, path, sent, headers = {}) => {
        const request = sent === undefined ? { method } : { method, body: new Uint8Array(sent), headers };
        const response = await fetch(`${running.url}${path}`, request);
        const bytes = Buffer.from(await response.arrayBuffer());
        return { status: response.status, headers: Object.fromEntries(response.headers), body: bytes };
      });
    } finally {
      expect(await running.stop()).toBe(true);
    }
    expect(running.readyMs).toBeGreaterThan(0);
  }, 60_000);

  it("answers the protocol through Azure's package", async () => {
    const [trigger] = Object.values(azure.metadata.bindings);
    expect([azure.metadata.name, trigger?.type, trigger?.authLevel, trigger?.route]).toEqual([
      'model',
      'httpTrigger',
      'function',
      '{*path}',
    ]);
    await answersProtocol(azure.call);
  });

  it('measures its cold start', () => {
    const cold = (...args: string[]) =>
      spawnSync(process.execPath, ['cold-start.mjs', ...args], { cwd: bundle, encoding: 'utf8' });
    expect(cold('2').stdout).toMatch(
      /^\d+ ms from start to ready, of which \d+ ms are the runtime and the model \(median of 2/,
    );
    expect(cold('none')).toMatchObject({ status: 2, stderr: expect.stringContaining('not "none"') });
  });

  it('says what it needs, and whether Cloudflare would take it', async () => {
    const [file] = artifact.files;
    const of = (bytes: number): Artifact => ({
      ...artifact,
      files: [{ ...(file as (typeof artifact.files)[number]), bytes }],
    });
    expect(functions.supports(artifact, {})).toEqual({ ok: true, because: [] });
    expect(functions.supports(of(3e9), {}).because.join()).toContain("Azure's Flex Consumption has 4096");
    // Cloud Run wants two CPUs beyond 4 GiB, four beyond 8, eight beyond 24.
    const sizes: (string | undefined)[] = [];
    for (const bytes of [1e6, 1.8e9, 2.5e9, 6e9, 12e9]) {
      for await (const file of functions.emit(of(bytes), {}))
        if (file.path === 'README.md' && 'bytes' in file)
          sizes.push(/--memory=(\d+Mi --cpu=\d)/.exec(String(file.bytes))?.[1]);
    }
    expect(sizes).toEqual(['512Mi --cpu=1', '4096Mi --cpu=1', '8192Mi --cpu=2', '16384Mi --cpu=4', '32768Mi --cpu=8']);
    expect(workersAdvice(of(1e6))).toContain('compiles its WebAssembly at run time');
    expect(workersAdvice(of(9e6))).toContain('together too much');
  });
});
