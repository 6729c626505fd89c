import { UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import type { Placement } from '../../report/evidence.ts';
import type { IoInfo } from '../../report/report.ts';
import { runtimeSentence } from '../failure.ts';
import { placementFromLog } from '../placement.ts';
import type { Session, SessionOptions, Timer } from '../session.ts';
import { checkFeeds, wantedOutputs } from '../session-io.ts';
import { webModelFiles } from '../web-session.ts';
import type { BrowserHost } from './host.ts';
import type { Opened, Page } from './page.ts';
import { packTensors, unpackTensors } from './wire.ts';

/** A session in a page. */
export interface PageSession extends Session {
  /** Where the runtime placed the nodes, when it was asked to tell. */
  readonly placement: Placement | undefined;
}

/**
 * Opens a model in a page of the browser: WebAssembly with the threads asked for, or WebGPU.
 * With `placement` the runtime tells by its verbose log where it puts nodes, which takes a little longer.
 * @throws UserError when there is no browser, the runtime refuses the model, or the page crashes.
 */
export async function openPageSession(
  host: BrowserHost,
  model: Uint8Array | string,
  spec: { readonly id: string; readonly threads?: number },
  options: SessionOptions,
): Promise<PageSession> {
  const label = options.label ?? (typeof model === 'string' ? model : 'the model');
  const files = await webModelFiles(model, options.modelDir, label);
  const page = await host.page(spec.id, spec.threads);
  const main = page.server.offer(files.model);
  const data = files.externalData.map(({ path, file }) => ({ path, offered: page.server.offer(file) }));
  try {
    page.takeLog();
    const id = page.nextId();
    const opened = await page.call<Opened>(
      'open',
      label,
      id,
      main.url,
      data.map(({ path, offered }) => ({ path, url: offered.url })),
      {
        executionProviders: [spec.id === 'web-webgpu' ? 'webgpu' : 'wasm'],
        graphOptimizationLevel: options.graphOptimizationLevel ?? 'all',
        ...(options.placement === true ? { logSeverityLevel: 0, logVerbosityLevel: 1 } : { logSeverityLevel: 4 }),
        extra: { ...options.extra },
      },
    );
    if ('why' in opened)
      throw new UserError('session-load', `ONNX Runtime (${spec.id}) cannot load ${label}: ${readable(opened.why)}`);
    const placement = options.placement === true ? placementFromLog(spec.id, page.takeLog()) : undefined;
    return new InPage(page, id, label, opened, placement);
  } finally {
    main.close();
    for (const { offered } of data) offered.close();
  }
}

/** WebAssembly throws its C++ exceptions as bare addresses. */
const readable = (why: string): string => runtimeSentence(/^\d+$/.test(why) ? Number(why) : why);

class InPage implements PageSession {
  readonly provider: string;
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly createMs: number;
  readonly placement: Placement | undefined;
  readonly #page: Page;
  readonly #id: number;
  readonly #label: string;
  #disposed = false;

  constructor(
    page: Page,
    id: number,
    label: string,
    opened: Exclude<Opened, { why: string }>,
    placement: Placement | undefined,
  ) {
    this.#page = page;
    this.#id = id;
    this.#label = label;
    this.provider = page.provider;
    this.inputs = opened.inputs;
    this.outputs = opened.outputs;
    this.createMs = opened.createMs;
    this.placement = placement;
  }

  async run(feeds: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Map<string, Tensor>> {
    const wanted = wantedOutputs(this.outputs, outputs, this.#label);
    const fed = await this.#feed(feeds);
    const out = this.#page.server.accept();
    try {
      const { why } = await this.#page.call<{ why?: string }>('run', this.#label, this.#id, fed, wanted, out.url);
      if (why !== undefined) throw this.#failed(why);
      return unpackTensors(await out.body);
    } finally {
      out.close();
      if (!this.#page.broken) await this.#page.call('drop', this.#label, fed);
    }
  }

  timer(feeds: ReadonlyMap<string, Tensor>): Timer {
    checkFeeds(this.inputs, feeds, this.#label);
    const wanted = wantedOutputs(this.outputs, undefined, this.#label);
    let fed: Promise<number> | undefined;
    return async ({ count, settleMs }) => {
      const id = await (fed ??= this.#feed(feeds));
      const { times, why } = await this.#page.call<{ times?: number[]; why?: string }>(
        'time',
        this.#label,
        this.#id,
        id,
        wanted,
        count,
        settleMs,
      );
      if (times === undefined) throw this.#failed(why ?? 'it gave no times');
      return times;
    };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#page.broken) await this.#page.call('release', this.#label, this.#id);
  }

  async #feed(feeds: ReadonlyMap<string, Tensor>): Promise<number> {
    checkFeeds(this.inputs, feeds, this.#label);
    const id = this.#page.nextId();
    const offered = this.#page.server.offer(packTensors(feeds));
    try {
      await this.#page.call('feed', this.#label, id, offered.url);
    } finally {
      offered.close();
    }
    return id;
  }

  #failed(why: string): UserError {
    return new UserError('session-run', `Running ${this.#label} failed: ${readable(why)}`);
  }
}
