import type { BrowserLike } from './browser/browser-like.ts';
import { isSoftware } from './browser/host.ts';
import { PageServer, webRuntimeFolder } from './browser/server.ts';
import type { Diagnosis } from './diagnosis.ts';
import { tinyModel } from './tiny-model.ts';

/** Runs the tiny model in the browser on WASM and on WebGPU. */
export async function tryInBrowser(launch: (() => Promise<BrowserLike>) | undefined): Promise<Diagnosis[]> {
  const ids = ['web-wasm', 'web-webgpu'] as const;
  if (!launch) return ids.map((id) => ({ id, works: false, detail: 'not tried: no browser was asked for' }));
  const dist = webRuntimeFolder();
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
    const detail = (error as Error).message;
    const enable = /install/.test(detail) ? { enable: installChromium() } : {};
    return ids.map((id) => ({ id, works: false, detail, ...enable }));
  }
  const server = await PageServer.start(dist);
  try {
    const diagnoses: Diagnosis[] = [];
    for (const id of ids) diagnoses.push(await tryProvider(id, browser, server.url));
    return diagnoses;
  } finally {
    await browser.close();
    server.close();
  }
}

async function tryProvider(id: 'web-wasm' | 'web-webgpu', browser: BrowserLike, url: string): Promise<Diagnosis> {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    const result = (await page.evaluate(pageScript(id))) as
      | { ok: true; values: number[]; threads: number; adapter: string }
      | { ok: false; why: string };
    const { expected } = tinyModel();
    if (!result.ok) return { id, works: false, detail: result.why };
    if (result.values.join() !== expected.join())
      return {
        id,
        works: false,
        detail: `gives wrong results: [${result.values.join(', ')}] for [${expected.join(', ')}]`,
      };
    const software = isSoftware(result.adapter) ? ', a software adapter: correctness only, its times mean nothing' : '';
    const how = id === 'web-wasm' ? `${result.threads} threads` : `adapter ${result.adapter}${software}`;
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
      const info = (await navigator.gpu?.requestAdapter())?.info ?? {};
      const adapter = [info.vendor, info.architecture].filter(Boolean).join(' ') || 'without a name';
      return { ok: true, values: [...(await result.y.getData())], threads: ort.env.wasm.numThreads, adapter };
    } catch (error) {
      return { ok: false, why: String(error?.message ?? error).split('\\n')[0] };
    }
  })()`;
}

/** The command that puts a browser where it is looked for. */
function installChromium(): string {
  const commands: Partial<Record<NodeJS.Platform, string>> = {
    linux: 'apt-get install chromium   (Fedora: dnf install chromium)',
    darwin: 'brew install --cask google-chrome',
    win32: 'winget install Google.Chrome',
  };
  return commands[process.platform] ?? 'install Chromium or Chrome';
}
