import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import type { Artifact } from '../../src/target/target.ts';
import { browser as target } from '../../targets/browser/index.ts';
import { pieceBytes } from '../../targets/browser/model-files.ts';
import { classifier, makeArtifact } from './support/artifact.ts';
import { type HostileServer, startHostile } from './support/hostile-server.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const chromium = findChromium();
if (chromium === undefined) note('no Chromium on this machine: loading in a browser is not tested');
const dir = await tempDir();

/** 27 MB: more than a host takes in one file, so that it comes in pieces. */
const large = `<ir_version: 8, opset_import: ["" : 17]>
main (float[1,2600] x) => (float[1,2600] y)
<
  float[2600,2600] w = random(1, -0.02, 0.02)
>
{
  y = MatMul (x, w)
}`;

interface Outcome {
  readonly error?: readonly [name: string, code: string, message: string];
  readonly value?: unknown;
  readonly reasons?: readonly string[];
}

describe.skipIf(chromium === undefined)('loading in Chromium', () => {
  let chrome: Browser;
  let server: HostileServer;
  let small: HostileServer;
  let artifact: Artifact;
  let context: BrowserContext;

  /** A page of the server that has nothing but the loader. */
  async function blank(of: HostileServer, script?: string): Promise<Page> {
    context = await chrome.newContext();
    if (script !== undefined) await context.addInitScript(script);
    const page = await context.newPage();
    await page.goto(`${of.url}/mlpack-model/runtime/LICENSE.txt`);
    return page;
  }

  /** Loads, runs `body` with the model, disposes; tells what came of it. */
  const attempt = (page: Page, body = '1', options = '{}'): Promise<Outcome> =>
    page.evaluate<Outcome>(`import('/mlpack-model/index.js').then(async ({ load }) => {
      try {
        const model = await load(${options});
        const value = await (async () => (${body}))();
        const { reasons } = model;
        await model.dispose();
        return { value, reasons };
      } catch (error) { return { error: [error.name, error.code, error.message] }; }
    })`);

  const weights = (of: HostileServer): HostileServer['sent'] =>
    of.sent.filter(({ path }) => /\.onnx(\.\d+)?$/.test(path));

  beforeAll(async () => {
    artifact = await makeArtifact(dir, large, [
      { x: new Tensor('float32', new Float32Array(2600).fill(0.5), [1, 2600]) },
    ]);
    await buildBundle(target, { ...artifact, name: 'large' }, { provider: 'wasm' }, join(dir, 'large'));
    const tiny = await makeArtifact(dir, classifier, [
      { image: new Tensor('float32', new Float32Array(144).fill(0.5), [1, 1, 12, 12]) },
    ]);
    await buildBundle(target, tiny, {}, join(dir, 'small'));
    [server, small] = [await startHostile(join(dir, 'large')), await startHostile(join(dir, 'small'))];
    chrome = await launchChromium();
  });
  afterEach(async () => {
    for (const one of [server, small]) Object.assign(one, { faults: [], ranges: true, compresses: false, sent: [] });
    await context?.close();
  });
  afterAll(async () => {
    await chrome?.close();
    await server?.close();
    await small?.close();
  });

  it('joins pieces, keeps what was verified, and fetches nothing on the second visit', async () => {
    const page = await blank(server);
    const run = '(await model.run({ x: new Float32Array(2600).fill(0.5) })).y.data.slice(0, 3)';
    const first = await attempt(page, run);
    const expected = [...new Float32Array(new Uint8Array(artifact.golden[0]?.outputs[0]?.bytes ?? []).buffer)];
    const got = Object.values(first.value as Record<string, number>);
    for (const [n, value] of got.entries()) expect(value).toBeCloseTo(expected[n] ?? 0, 3);
    expect(weights(server).map(({ path, bytes }) => [path, bytes])).toEqual([
      ['/mlpack-model/model.onnx.000', pieceBytes],
      ['/mlpack-model/model.onnx.001', (artifact.files[0]?.bytes ?? 0) - pieceBytes],
    ]);
    server.sent.length = 0;
    expect((await attempt(page, run)).value).toEqual(first.value);
    expect(server.sent.filter(({ path }) => /\.(onnx|wasm)$/.test(path))).toEqual([]);
  });

  it('goes on where a connection broke, with ranges and without', async () => {
    for (const ranges of [true, false]) {
      const page = await blank(server);
      server.ranges = ranges;
      server.faults = [{ path: /onnx\.000/, cutAfter: 12_000_000, times: 2 }];
      expect((await attempt(page)).error).toBeUndefined();
      const [first, second, third] = weights(server).filter(({ path }) => path.endsWith('000'));
      expect(first).toMatchObject({ range: undefined, bytes: 12_000_000 });
      expect(Number(/\d+/.exec(second?.range ?? '')?.[0])).toBeGreaterThan(8_000_000);
      expect(Number(/\d+/.exec(third?.range ?? '')?.[0])).toBeGreaterThan(ranges ? 17_000_000 : 8_000_000);
      server.sent.length = 0;
      await context.close();
    }
  });

  it('says that the network is lost, and later fetches only what is missing', async () => {
    const page = await blank(server);
    server.faults = [
      { path: /onnx\.000/, cutAfter: 12_000_000, times: 1 },
      { path: /onnx\.000/, status: 403 },
    ];
    const lost = await attempt(page);
    expect(lost.error?.slice(0, 2)).toEqual(['ModelError', 'network']);
    expect(lost.error?.[2]).toMatch(/model\.onnx\.000\?v=\w+: the server answers 403/);
    server.faults = [];
    server.sent.length = 0;
    expect((await attempt(page)).error).toBeUndefined();
    const [again] = weights(server).filter(({ path }) => path.endsWith('000'));
    expect(again?.range).toBe(`bytes=${2 * 4 * 2 ** 20}-${pieceBytes - 1}`);
  });

  it('fetches a damaged part again, once, and only that', async () => {
    const page = await blank(server);
    server.faults = [{ path: /onnx\.000/, flip: 10_000_000, times: 1 }];
    expect((await attempt(page)).error).toBeUndefined();
    const asked = weights(server).filter(({ path }) => path.endsWith('000'));
    expect(asked.map(({ range }) => range)).toEqual([undefined, `bytes=${2 * 4 * 2 ** 20}-${3 * 4 * 2 ** 20 - 1}`]);
    await context.close();
    const other = await blank(server);
    server.faults = [{ path: /onnx\.000/, flip: 10_000_000 }];
    const { error } = await attempt(other);
    expect(error?.[1]).toBe('integrity');
    expect(error?.[2]).toMatch(/is damaged: its bytes 8388608 to 12582912/);
  });

  it('takes the gzip form of the runtime from hosts that compress nothing, and the file where that fails', async () => {
    const runtime = (): string[] =>
      small.sent.flatMap(({ method, path, range }) =>
        /\.wasm/.test(path) ? [`${method} ${path.split('.').pop()}${range ? ' part' : ''}`] : [],
      );
    const cases: [setting: Partial<HostileServer>, expected: readonly string[]][] = [
      [{}, ['HEAD wasm', 'GET gzip']],
      [{ compresses: true }, ['HEAD wasm', 'GET wasm']],
      [{ faults: [{ path: /gzip$/, status: 404 }] }, ['HEAD wasm', 'GET gzip', 'GET wasm']],
      [{ faults: [{ path: /gzip$/, cutAfter: 800_000 }] }, ['HEAD wasm', 'GET gzip', 'GET wasm part']],
      [{ faults: [{ path: /gzip$/, flip: 800_000 }] }, ['HEAD wasm', 'GET gzip', 'GET wasm part']],
    ];
    for (const [setting, expected] of cases) {
      const page = await blank(small);
      Object.assign(small, setting);
      expect(await attempt(page)).toMatchObject({ value: 1 });
      expect(runtime().slice(0, expected.length)).toEqual(expected);
      // What is damaged is found out part by part; nothing is fetched as a whole then.
      expect(runtime().filter((one) => one === 'GET wasm').length).toBe(expected.includes('GET wasm') ? 1 : 0);
      await context.close();
      Object.assign(small, { faults: [], compresses: false, sent: [] });
    }
  });

  it('ends at once when it is cancelled, also where nothing arrives', async () => {
    const page = await blank(server);
    server.faults = [{ path: /onnx\.000/, hangAfter: 5_000_000 }];
    const outcome = await page.evaluate(`import('/mlpack-model/index.js').then(async ({ load }) => {
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 500);
      const began = performance.now();
      try { await load({ signal: stop.signal }); } catch (error) { return [error.code, performance.now() - began]; }
    })`);
    // By itself a download is given up when nothing has come for half a minute.
    expect(outcome).toEqual(['cancelled', expect.toSatisfy((ms: number) => ms < 15_000)]);
  });

  it('runs without keeping where storage is full, and says so', async () => {
    const page = await blank(server);
    const session = await context.newCDPSession(page);
    await session.send('Storage.overrideQuotaForOrigin', { origin: server.url, quotaSize: 6_000_000 });
    const { error, reasons } = await attempt(page);
    expect(error).toBeUndefined();
    expect(reasons?.join(' ')).toContain("is not kept for the next visit: the browser's storage is full");
  });

  it('drops what older versions kept', async () => {
    const page = await blank(small);
    await page.evaluate(
      `caches.open('mlpack /mlpack-model/').then((cache) => cache.put('/mlpack-model/kept/old', new Response('old')))`,
    );
    await attempt(page);
    const keys = `caches.open('mlpack /mlpack-model/').then(async (cache) => (await cache.keys()).map(({ url }) => new URL(url).pathname.split('/').pop()))`;
    const kept = await page.evaluate<string[]>(keys);
    expect(kept).not.toContain('old');
    // Two parts of the runtime's first half, one of the model, and the description.
    expect(kept).toHaveLength(4);
  });

  it('has a reason for what it does not take, and takes what is asked for', async () => {
    const page = await blank(small, 'Object.defineProperty(Navigator.prototype, "gpu", { value: undefined });');
    const about = '[model.variant, model.provider, model.threads]';
    // Scripts that change the page do not reach its workers.
    expect(await attempt(page, about, '{ worker: false }')).toMatchObject({ value: ['base', 'wasm', 1] });
    expect(await attempt(page, about, `{ provider: 'webgpu', worker: false }`)).toEqual({
      error: ['ModelError', 'provider', 'The model cannot run here. base on webgpu: this browser has no WebGPU.'],
    });
    expect((await attempt(page, about, `{ variant: 'q4' }`)).error).toEqual([
      'ModelError',
      'provider',
      'The model cannot run here. q4: not part of this bundle.',
    ]);
    await context.close();
    const software = await blank(small);
    expect(await attempt(software, about, `{ provider: 'webgpu' }`)).toMatchObject({ value: ['base', 'webgpu', 1] });
    expect(await attempt(software, about, `{ worker: false }`)).toMatchObject({ value: ['base', 'wasm', 1] });
    const little = await blank(small, 'Object.defineProperty(Navigator.prototype, "deviceMemory", { value: 1e-6 });');
    expect((await attempt(little, '1', '{ worker: false }')).error?.[2]).toContain('and the device has 0.000001 GB');
  });

  it('names the place where the folder is not', async () => {
    const page = await blank(small);
    small.faults = [{ path: /model\.json/, html: '<!doctype html><title>app</title>' }];
    expect((await attempt(page)).error).toEqual(['ModelError', 'place', expect.stringContaining('load({ base })')]);
    const elsewhere = await attempt(page, '1', `{ base: '/nowhere/' }`);
    expect(elsewhere.error?.[1]).toBe('place');
    expect(elsewhere.error?.[2]).toContain('/nowhere/worker.js served?');
  });

  it('refuses what is no picture, and an answer that is none', async () => {
    const page = await blank(small);
    const { error } = await attempt(page, `await model.predict(new Blob(['text'], { type: 'text/plain' }))`);
    expect(error?.slice(0, 2)).toEqual(['ModelError', 'input']);
    expect(error?.[2]).toMatch(/^This browser cannot read a file of type text\/plain as a picture: /);
    expect((await attempt(page, 'await model.predict(7)')).error?.[1]).toBe('input');
    expect((await attempt(page, '(await model.predict(new ImageData(30, 20))).answer.length')).value).toBe(4);
  });

  it('isolates the page by its service worker, and works without a network afterwards', async () => {
    context = await chrome.newContext();
    await context.addInitScript('Object.defineProperty(Navigator.prototype, "hardwareConcurrency", { value: 4 });');
    const page = await context.newPage();
    await page.goto(small.url);
    await page.waitForSelector('.bars li');
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    expect((await attempt(page, 'model.threads', '{ threads: 2 }')).value).toBe(2);
    await page.waitForFunction(`caches.keys().then(async (names) => {
      const cache = await caches.open(names.find((name) => name.startsWith('mlpack page ')));
      return (await cache.keys()).length > 20;
    })`);
    await context.setOffline(true);
    await page.reload();
    await page.waitForSelector('.bars li');
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    expect(small.sent.filter(({ path }) => path === '/').length).toBeLessThan(4);
  });
});
