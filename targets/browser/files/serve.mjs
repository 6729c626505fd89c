/**
 * Serves this folder for a look at it: `node serve.mjs`, then open the address it prints. Node.js 20 or newer, nothing to
 * install. Sends the headers in `_headers`, which hosts like Netlify and Cloudflare Pages read too; they allow
 * WebAssembly threads. PORT and HOST may be set.
 */
import { createReadStream, readFileSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.wasm': 'application/wasm',
  '.md': 'text/markdown; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The headers under `/*` in `_headers`. */
const headers = Object.fromEntries(
  readFileSync(join(root, '_headers'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('  '))
    .map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]),
);

/** The file behind a request target, or undefined: it must exist and lie inside the folder, links followed. */
async function find(target) {
  let place;
  try {
    // Throws for what is no URL, `//` for one.
    const { pathname: path } = new URL(target, 'http://localhost');
    place = join(root, decodeURIComponent(path.endsWith('/') ? `${path}index.html` : path));
    if (!(await realpath(place)).startsWith(root + sep)) return undefined;
    const info = await stat(place);
    return info.isFile() ? { place, size: info.size } : undefined;
  } catch {
    return undefined;
  }
}

const server = createServer(async (request, response) => {
  if (request.method !== 'GET' && request.method !== 'HEAD') return response.writeHead(405, headers).end();
  const file = await find(request.url ?? '/');
  if (!file) return response.writeHead(404, { ...headers, 'Content-Type': 'text/plain' }).end('not found\n');
  response.writeHead(200, {
    ...headers,
    'Content-Type': types[extname(file.place)] ?? 'application/octet-stream',
    'Content-Length': file.size,
    'Cache-Control': 'no-cache',
  });
  if (request.method === 'HEAD') return response.end();
  createReadStream(file.place)
    .on('error', () => response.destroy())
    .pipe(response);
});

const port = Number(process.env.PORT || 8080);
const host = process.env.HOST || '127.0.0.1';
server.on('error', (error) => {
  process.stderr.write(`cannot listen on ${host}:${port}: ${error.message}\n`);
  process.exitCode = 1;
});
server.listen(port, host, () => process.stdout.write(`http://${host}:${server.address().port}/\n`));
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
