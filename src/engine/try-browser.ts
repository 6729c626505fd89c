import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { Diagnosis } from './doctor.ts';
import { tinyModel } from './tiny-model.ts';

/** As much of a Playwright browser as is needed here. */
export interface BrowserLike {
  version(): string;
  newPage(): Promise<{
    goto(url: string): Promise<unknown>;
    evaluate(script: string): Promise<unknown>;
    close(): Promise<unknown>;
  }>;
  close(): Promise<unknown>;
}

const types: Readonly<Record<string, string>> = { mjs: 'text/javascript', wasm: 'application/wasm' };

/** Runs the tiny model in the browser on WASM and on WebGPU. */
export async function tryInBrowser(launch: (() => Promise<BrowserLike>) | undefined): Promise<Diagnosis[]> {
  const ids = ['web-wasm', 'web-webgpu'] as const;
  if (!launch) return ids.map((id) => ({ id, works: false, detail: 'not tried: no browser was asked for' }));
  const dist = runtimeFolder();
  if (dist === undefined) {
    return ids.map((id) => ({
      id,
      works: false,
      detail: 'the npm package onnxruntime-web is not installed',
      enable: 'npm install onnxruntime-web',
    }));
  }
  let browser: BrowserLike;
  try {
    browser = await launch();
  } catch (error) {
    return ids.map((id) => ({ id, works: false, detail: (error as Error).message }));
  }
  const server = await serve(dist);
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const diagnoses: Diagnosis[] = [];
    for (const id of ids) diagnoses.push(await tryProvider(id, browser, url));
    return diagnoses;
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

async function tryProvider(id: 'web-wasm' | 'web-webgpu', browser: BrowserLike, url: string): Promise<Diagnosis> {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    const result = (await page.evaluate(pageScript(id))) as
      | { ok: true; values: number[]; threads: number }
      | { ok: false; why: string };
    const { expected } = tinyModel();
    if (!result.ok) return { id, works: false, detail: result.why };
    if (result.values.join() !== expected.join())
      return {
        id,
        works: false,
        detail: `gives wrong results: [${result.values.join(', ')}] for [${expected.join(', ')}]`,
      };
    const how = id === 'web-wasm' ? `${result.threads} threads` : 'adapter found';
    return { id, works: true, detail: `onnxruntime-web in Chromium ${browser.version()}, ${how}` };
  } catch (error) {
    return { id, works: false, detail: (error as Error).message.split('\n')[0] ?? '' };
  } finally {
    await page.close();
  }
}

/** Runs in the page: the file names are those of onnxruntime-web's own builds (see targets.md §2.1). */
function pageScript(id: 'web-wasm' | 'web-webgpu'): string {
  const { bytes, feeds } = tinyModel();
  const x = [...new Float32Array(feeds.get('x')?.bytes().slice().buffer ?? new ArrayBuffer(0))];
  const [entry, provider] = id === 'web-wasm' ? ['ort.wasm.min.mjs', 'wasm'] : ['ort.webgpu.min.mjs', 'webgpu'];
  return `(async () => {
    try {
      const ort = await import('/${entry}');
      ort.env.wasm.wasmPaths = '/';
      ort.env.wasm.numThreads = self.crossOriginIsolated ? 2 : 1;
      ort.env.logLevel = 'error';
      const strict = { extra: { session: { disable_cpu_ep_fallback: '1' } } };
      const options = { executionProviders: ['${provider}'], ...(${provider === 'webgpu'} ? strict : {}) };
      const session = await ort.InferenceSession.create(new Uint8Array(${JSON.stringify([...bytes])}), options);
      const result = await session.run({ x: new ort.Tensor('float32', new Float32Array(${JSON.stringify(x)}), [1, 4]) });
      return { ok: true, values: [...(await result.y.getData())], threads: ort.env.wasm.numThreads };
    } catch (error) {
      return { ok: false, why: String(error?.message ?? error).split('\\n')[0] };
    }
  })()`;
}

function runtimeFolder(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  } catch {
    // Not installed: the caller says so.
    return undefined;
  }
}

/** Serves the runtime's files, cross-origin isolated so that threads are allowed. */
async function serve(dist: string): Promise<Server> {
  const server = createServer((request, response) => {
    const name = basename(new URL(request.url ?? '/', 'http://localhost').pathname);
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    const type = types[name.split('.').at(-1) ?? ''];
    if (!type) {
      response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>mlpack doctor</title>');
      return;
    }
    readFile(join(dist, name)).then(
      (body) => response.setHeader('Content-Type', type).end(body),
      (error: Error) => response.writeHead(404).end(error.message),
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return server;
}
