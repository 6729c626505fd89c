import { UserError } from '../../errors.ts';
import type { ProviderInfo } from '../../report/timing.ts';
import type { BrowserLike } from './browser-like.ts';
import { Page } from './page.ts';
import { PageServer, webRuntimeFolder } from './server.ts';

export interface BrowserHostOptions {
  /** Starts the browser; `software`: WebGPU on the software adapter, without looking for another. */
  readonly launch: (options: { readonly software: boolean }) => Promise<BrowserLike>;
}

/**
 * A browser with a page for each provider and number of threads, so that sessions that are compared live in the same page.
 * The browser is started when the first page is asked for. Pages that crash are replaced by the next that is asked for.
 */
export class BrowserHost {
  readonly #launch: BrowserHostOptions['launch'];
  #server: Promise<PageServer> | undefined;
  readonly #browsers = new Map<boolean, Promise<BrowserLike>>();
  readonly #pages = new Map<string, Page>();
  readonly #infos = new Map<string, ProviderInfo>();

  constructor({ launch }: BrowserHostOptions) {
    this.#launch = launch;
  }

  /**
   * The page for a provider; WebGPU on the machine's own adapter where the browser has one, else on the software adapter.
   * @throws UserError when there is no browser, onnxruntime-web or adapter.
   */
  async page(id: string, threads = 1): Promise<Page> {
    const key = `${id} ${threads}`;
    const known = this.#pages.get(key);
    if (known && !known.broken) return known;
    const page = await this.#open(id, threads, false);
    const ready = id === 'web-webgpu' && page.adapter === null ? await this.#onSoftware(page, threads) : page;
    this.#pages.set(key, ready);
    const threadsAsked = id === 'web-wasm' ? { threads } : {};
    const adapter = id === 'web-webgpu' && ready.adapter !== null ? { adapter: ready.adapter } : {};
    this.#infos.set(key, {
      runtime: ready.runtime,
      ...adapter,
      ...threadsAsked,
      software: isSoftware(adapter.adapter),
    });
    return ready;
  }

  /** What a page's figures come from; undefined before it was opened. */
  info(id: string, threads = 1): ProviderInfo | undefined {
    return this.#infos.get(`${id} ${threads}`);
  }

  async close(): Promise<void> {
    for (const browser of this.#browsers.values()) await (await browser.catch(() => undefined))?.close();
    (await this.#server)?.close();
    this.#browsers.clear();
    this.#pages.clear();
    this.#server = undefined;
  }

  async #onSoftware(page: Page, threads: number): Promise<Page> {
    await page.close();
    const other = await this.#open('web-webgpu', threads, true);
    if (other.adapter !== null) return other;
    await other.close();
    throw new UserError('web-webgpu', 'the browser finds no WebGPU adapter, not even its software one.');
  }

  async #open(id: string, threads: number, software: boolean): Promise<Page> {
    const dist = webRuntimeFolder();
    if (dist === undefined)
      throw new UserError('web-runtime', `${id} needs the npm package onnxruntime-web; npm install onnxruntime-web.`);
    const server = await (this.#server ??= PageServer.start(dist));
    const starting = this.#browsers.get(software) ?? this.#launch({ software });
    this.#browsers.set(software, starting);
    return await Page.open(await starting, server, id, threads);
  }
}

/** Adapters made of software, by what they call themselves. */
export const isSoftware = (adapter: string | undefined): boolean =>
  adapter !== undefined && /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(adapter);
