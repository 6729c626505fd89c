import type { Browser } from 'playwright-core';
import type { Finding } from './inspect.ts';
import type { Manifest } from './manifest.ts';
import { type GotTensor, judge, type LoadedCase, type Replay } from './replay.ts';

/** What `selftest.js` of a browser bundle leaves in `mlpackSelfTest`. */
interface SelfTest {
  readonly error?: string;
  readonly code?: string | null;
  readonly threads: number;
  readonly adapter: string | null;
  readonly cases: readonly {
    readonly outputs: readonly { name: string; dtype: string; shape: number[]; base64: string }[];
  }[];
}

interface Way {
  readonly provider: string;
  readonly query: string;
  how(result: SelfTest): string;
}

/** What is to be replayed: each variant on each of its providers, or the only one there is. */
function plansOf({ variants, providers }: Manifest): { readonly variant: string | undefined; readonly way: Way }[] {
  const all = variants ?? [{ name: undefined, providers }];
  return all.flatMap(({ name: variant, providers }) =>
    providers.flatMap((provider) => (ways[provider] ?? []).map((way) => ({ variant, way }))),
  );
}

const ways: Readonly<Record<string, readonly Way[]>> = {
  'web-wasm': [1, 2].map((threads) => ({
    provider: 'web-wasm',
    query: `provider=wasm&threads=${threads}`,
    how: (result) => `WebAssembly, ${result.threads} thread${result.threads === 1 ? '' : 's'}`,
  })),
  'web-webgpu': [
    {
      provider: 'web-webgpu',
      query: 'provider=webgpu',
      how: (result) => `WebGPU on ${result.adapter ?? 'an unknown adapter'}, a software adapter: correctness only`,
    },
  ],
};

/** Opens the self-test page once for each way the bundle says it runs, and judges what the page computed. */
export async function replayBrowser(
  browser: Browser,
  url: string,
  manifest: Manifest,
  cases: readonly LoadedCase[],
  { timeoutMs, findings, notes }: { timeoutMs: number; findings: Finding[]; notes: string[] },
): Promise<Replay[]> {
  const replays: Replay[] = [];
  for (const { variant, way } of plansOf(manifest)) {
    const own = cases.filter((one) => one.variant === undefined || one.variant === variant);
    const of = variant === undefined ? '' : `${variant} on `;
    const query = variant === undefined ? way.query : `${way.query}&variant=${encodeURIComponent(variant)}`;
    const result = await openSelfTest(browser, `${url}/selftest.html?${query}`, timeoutMs);
    if (result.error === undefined) {
      const outputs = result.cases.map((one) => one.outputs.map(decode));
      replays.push(judge({ provider: way.provider, how: of + way.how(result) }, own, outputs, findings));
    } else if (result.code === 'provider') {
      notes.push(`${of}${way.provider} was not replayed on this machine: ${result.error}`);
    } else {
      findings.push({ code: 'inference-failed', message: `${of}${way.provider} (${query}): ${result.error}` });
      replays.push({ provider: way.provider, how: query, cases: own.length, maxAbs: 0, ok: false });
    }
  }
  return replays;
}

function decode({ name, dtype, shape, base64 }: SelfTest['cases'][number]['outputs'][number]): GotTensor {
  return { name, dtype, shape, bytes: new Uint8Array(Buffer.from(base64, 'base64')) };
}

async function openSelfTest(browser: Browser, url: string, timeoutMs: number): Promise<SelfTest> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(url, { timeout: timeoutMs });
    const failed = (message: string): SelfTest => ({
      error: message,
      code: null,
      threads: 0,
      adapter: null,
      cases: [],
    });
    try {
      await page.waitForFunction('window.mlpackSelfTest?.then(() => true)', undefined, { timeout: timeoutMs });
    } catch (error) {
      const why = complaints.join('; ') || (error instanceof Error ? error.message.split('\n', 1)[0] : String(error));
      return failed(`the self-test page does not finish: ${why}`);
    }
    return await page.evaluate<SelfTest>('window.mlpackSelfTest');
  } finally {
    await context.close();
  }
}
