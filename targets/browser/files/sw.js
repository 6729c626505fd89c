/**
 * Service worker of a browser bundle. Keeps the page and the loader (the model keeps itself, see mlpack-model/store.js), so that they
 * work without a network, and adds the headers that isolate the page where the host does not.
 */
const version = 'version';
const name = `mlpack page ${new URL(self.registration.scope).pathname} ${version}`;

self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('activate', (event) => {
  const mine = `mlpack page ${new URL(self.registration.scope).pathname} `;
  const clean = async () => {
    for (const key of await caches.keys()) if (key.startsWith(mine) && key !== name) await caches.delete(key);
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

/** The same response with the headers that isolate a page and let it be embedded in one. */
function isolated(response) {
  if (response.status === 0 || response.type === 'opaqueredirect') return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', headers.get('Cross-Origin-Embedder-Policy') ?? 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', headers.get('Cross-Origin-Resource-Policy') ?? 'same-origin');
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** Large files that the loader verifies and keeps by itself pass by. */
function isOurs(request) {
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin || request.headers.has('range')) return false;
  return !url.searchParams.has('v') && !url.pathname.endsWith('/sw.js');
}

async function answer(request) {
  const cache = await caches.open(name);
  // A page is found whatever its query says.
  const kept = await cache.match(request, { ignoreSearch: request.mode === 'navigate' });
  if (kept) return isolated(kept);
  return isolated(await fetch(request));
}

self.addEventListener('fetch', (event) => {
  if (isOurs(event.request)) event.respondWith(answer(event.request));
});

async function keepAll(urls) {
  const cache = await caches.open(name);
  for (const url of urls) {
    const request = new Request(url, { cache: 'force-cache' });
    if (!isOurs(request) || (await cache.match(request))) continue;
    try {
      const response = await fetch(request);
      if (response.ok && !response.redirected) await cache.put(request, response);
    } catch (error) {
      console.warn(`mlpack: ${url} is not kept: ${error.message}`);
    }
  }
}

self.addEventListener('message', (event) => {
  if (Array.isArray(event.data?.keep)) event.waitUntil(keepAll(event.data.keep));
});
