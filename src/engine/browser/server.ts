import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const types: Readonly<Record<string, string>> = { mjs: 'text/javascript', wasm: 'application/wasm' };

/** Folder of onnxruntime-web's builds, or undefined where it is not installed. */
export function webRuntimeFolder(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  } catch {
    // Not installed: the caller says so.
    return undefined;
  }
}

/**
 * Serves a page and the runtime's files to the browser on this machine, cross-origin isolated so that WebAssembly may have
 * threads; and what is put up for the page: files, bytes, and places that the page may send bytes to.
 */
export class PageServer {
  /** Folder of onnxruntime-web's builds. */
  readonly dist: string;
  readonly #files = new Map<string, string | Uint8Array>();
  readonly #waiting = new Map<string, (body: Uint8Array) => void>();
  readonly #server: Server;
  #count = 0;

  private constructor(dist: string) {
    this.dist = dist;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(500);
        response.end(error instanceof Error ? error.message : String(error));
      });
    });
  }

  static async start(dist: string): Promise<PageServer> {
    const page = new PageServer(dist);
    await new Promise<void>((resolve, reject) => {
      page.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return page;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** Puts a file (path) or bytes up. @returns the URL path, and how to take it down again. */
  offer(content: string | Uint8Array): { readonly url: string; readonly close: () => void } {
    const url = `/offered/${this.#count++}`;
    this.#files.set(url, content);
    return { url, close: () => this.#files.delete(url) };
  }

  /** A place for the page to send one body to. */
  accept(): { readonly url: string; readonly body: Promise<Uint8Array>; readonly close: () => void } {
    const url = `/accepted/${this.#count++}`;
    const body = new Promise<Uint8Array>((resolve) => {
      this.#waiting.set(url, resolve);
    });
    return { url, body, close: () => this.#waiting.delete(url) };
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cache-Control', 'no-store');
    const waiting = this.#waiting.get(path);
    if (request.method === 'POST' && waiting) {
      this.#waiting.delete(path);
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      response.end();
      waiting(Buffer.concat(chunks));
      return;
    }
    const offered = this.#files.get(path);
    const type = types[path.split('.').at(-1) ?? ''];
    if (offered instanceof Uint8Array) response.end(offered);
    else if (offered !== undefined) await send(offered, response);
    else if (type !== undefined) await send(join(this.dist, basename(path)), response.setHeader('Content-Type', type));
    else if (path === '/') response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>mlpack</title>');
    else response.writeHead(404).end(`nothing at ${path}`);
  }
}

async function send(file: string, response: ServerResponse): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!found) {
    response.writeHead(404).end(`there is no ${basename(file)}`);
    return;
  }
  response.setHeader('Content-Length', found.size);
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), response);
}
