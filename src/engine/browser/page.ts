import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import type { IoInfo } from '../../report/report.ts';
import type { BrowserLike } from './browser-like.ts';
import { pageScript } from './page-script.ts';
import type { PageServer } from './server.ts';

type BrowserPage = Awaited<ReturnType<BrowserLike['newPage']>>;

/** What the page says of a session that it opened, or why there is none. */
export type Opened =
  | { readonly createMs: number; readonly inputs: readonly IoInfo[]; readonly outputs: readonly IoInfo[] }
  | { readonly why: string };

/** Builds of onnxruntime-web (targets.md §2.1): WebAssembly alone, and with WebGPU. */
const entries: Readonly<Record<string, string>> = {
  'web-wasm': '/ort.wasm.min.mjs',
  'web-webgpu': '/ort.webgpu.min.mjs',
};

/** A page that runs sessions of onnxruntime-web on one provider. */
export class Page {
  readonly server: PageServer;
  readonly provider: string;
  /** `onnxruntime-web 1.30.0 in Chromium 140.0.1`. */
  readonly runtime: string;
  /** WebGPU adapter as it names itself; null where there is none. */
  readonly adapter: string | null;
  /** True once the page has crashed or was closed. */
  broken = false;
  readonly #inner: BrowserPage;
  readonly #log: string[] = [];
  #count = 0;

  private constructor(
    inner: BrowserPage,
    server: PageServer,
    provider: string,
    runtime: string,
    adapter: string | null,
  ) {
    this.#inner = inner;
    this.server = server;
    this.provider = provider;
    this.runtime = runtime;
    this.adapter = adapter;
    inner.on('console', (message) => this.#log.push(message.text()));
    inner.on('crash', () => {
      this.broken = true;
    });
  }

  static async open(browser: BrowserLike, server: PageServer, provider: string, threads: number): Promise<Page> {
    const inner = await browser.newPage();
    await inner.goto(server.url);
    await inner.evaluate(pageScript);
    const started = (await inner.evaluate(`mlpack.start(${JSON.stringify(entries[provider])}, ${threads})`)) as {
      adapter: string | null;
    };
    const runtime = `onnxruntime-web ${webRuntimeVersion(server.dist)} in Chromium ${browser.version()}`;
    return new Page(inner, server, provider, runtime, started.adapter);
  }

  /** A number for a session or a set of inputs, unique in this page. */
  nextId(): number {
    return this.#count++;
  }

  /** Lines that the page wrote to its console since the last call. */
  takeLog(): string[] {
    return this.#log.splice(0);
  }

  /**
   * Calls a function of the page script with JSON arguments.
   * @throws UserError when the page has crashed: the next page starts afresh.
   */
  async call<T>(name: string, label: string, ...args: readonly unknown[]): Promise<T> {
    const list = args.map((argument) => JSON.stringify(argument) ?? 'undefined').join(', ');
    try {
      return (await this.#inner.evaluate(`mlpack.${name}(${list})`)) as T;
    } catch (error) {
      const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
      const crashed = this.broken || /crashed|closed/i.test(why);
      this.broken ||= crashed;
      const what = crashed ? 'crashed the page that ran it' : `failed in the page: ${why}`;
      throw new UserError(crashed ? 'page-crashed' : 'page-failed', `${label} ${what} (${this.provider}).`, {
        cause: error,
      });
    }
  }

  /** Kills the page's process, as a fault of the runtime would: for trying out what then happens. */
  async crash(): Promise<void> {
    // The navigation never ends, for there is nobody left to end it.
    await this.#inner.goto('chrome://crash').catch(() => undefined);
  }

  async close(): Promise<void> {
    this.broken = true;
    await this.#inner.close();
  }
}

function webRuntimeVersion(dist: string): string {
  return (JSON.parse(readFileSync(join(dist, '..', 'package.json'), 'utf8')) as { version: string }).version;
}
