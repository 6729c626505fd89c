import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.txt': 'text/plain',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** What a request gets instead of, or in the middle of, what it asked for. */
export interface Fault {
  /** Of the path; the query is not part of it. */
  readonly path: RegExp;
  /** So many requests; default all. */
  times?: number;
  /** The connection is cut after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Nothing more comes after so many bytes, and the connection stays open. */
  readonly hangAfter?: number;
  /** The byte at this place of the file is another. */
  readonly flip?: number;
  /** Answered instead. */
  readonly status?: number;
  readonly html?: string;
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  bytes: number;
}

/** A static web server with faults on demand. */
export interface HostileServer {
  readonly url: string;
  /** Requests so far, with the bytes of the bodies that were sent. */
  readonly sent: Sent[];
  faults: Fault[];
  /** Servers may ignore ranges. */
  ranges: boolean;
  /** Servers may compress what they send whole. */
  compresses: boolean;
  /** Sets the headers that isolate pages; default not. */
  isolates: boolean;
  close(): Promise<void>;
}

export async function startHostile(root: string): Promise<HostileServer> {
  const state = { sent: [] as Sent[], faults: [] as Fault[], ranges: true, compresses: false, isolates: false };
  const takeFault = (path: string): Fault | undefined => {
    const fault = state.faults.find((one) => one.path.test(path) && (one.times === undefined || one.times > 0));
    if (fault?.times !== undefined) fault.times--;
    return fault;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET' } = request;
    const { range } = request.headers;
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const place = join(root, path.endsWith('/') ? `${path}index.html` : path);
    const fault = method === 'HEAD' ? undefined : takeFault(path);
    const row: Sent = { method, path, range, bytes: 0 };
    state.sent.push(row);
    if (fault?.status !== undefined || fault?.html !== undefined) {
      response.writeHead(fault.status ?? 200, { 'Content-Type': 'text/html' }).end(fault.html ?? 'no');
      return;
    }
    const info = await stat(place).catch(() => undefined);
    if (!info?.isFile()) {
      response.writeHead(404).end('not found');
      return;
    }
    const bytes = await readFile(place);
    if (fault?.flip !== undefined) bytes[fault.flip] = (bytes[fault.flip] ?? 0) ^ 1;
    const asked = state.ranges ? /^bytes=(\d+)-(\d*)$/.exec(range ?? '') : null;
    const last = asked?.[2] ? Number(asked[2]) : bytes.length - 1;
    const packs = state.compresses && !asked;
    const body = asked ? bytes.subarray(Number(asked[1]), last + 1) : packs ? gzipSync(bytes) : bytes;
    const headers = {
      'Content-Type': types[extname(place)] ?? 'application/octet-stream',
      'Content-Length': body.length,
      ...(packs && { 'Content-Encoding': 'gzip' }),
      ...(state.isolates && {
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      }),
    };
    response.writeHead(asked ? 206 : 200, {
      ...headers,
      'Cache-Control': 'no-cache',
      ...(asked && { 'Content-Range': `bytes ${asked[1]}-${last}/${bytes.length}` }),
    });
    if (method === 'HEAD') {
      response.end();
      return;
    }
    const part = body.subarray(0, fault?.cutAfter ?? fault?.hangAfter ?? body.length);
    row.bytes = part.length;
    if (part.length === body.length) response.end(part);
    else if (fault?.hangAfter !== undefined) response.write(part);
    // What the browser has not handed to the page by the time of the cut is lost, too: on a busy machine it takes a while.
    else response.write(part, () => setTimeout(() => response.destroy(), 1000));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
