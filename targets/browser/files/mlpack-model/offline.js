/**
 * Makes a page work without a network after its first visit, and isolates it where the host sets no headers (WebAssembly threads):
 * both through the service worker sw.js of the bundle, which has to lie at or above the page.
 */

const reloadedKey = 'mlpack reloaded to isolate';

/** Whether isolation would bring threads: on two cores or fewer the runtime takes one. */
function wantsThreads() {
  return (navigator.hardwareConcurrency || 1) > 2;
}

function readFlag() {
  try {
    return sessionStorage.getItem(reloadedKey);
  } catch {
    // Storage that is forbidden: better no threads than to reload for ever.
    return 'unknown';
  }
}

/**
 * Registers the service worker, before the model is loaded.
 * @param options.url of sw.js
 * @param options.isolate reload the page once, where that gives it threads; default true
 * @returns `active`, `reloading` (the page is about to go), or why there is none, in words
 */
export async function install({ url = 'sw.js', isolate = true } = {}) {
  if (!('serviceWorker' in navigator)) return 'this browser has no service workers, or the page is not secure';
  let registration;
  try {
    registration = await navigator.serviceWorker.register(url, { updateViaCache: 'none' });
  } catch (error) {
    return `the service worker cannot be registered: ${error.message}`;
  }
  if (!isolate || globalThis.crossOriginIsolated || !wantsThreads() || readFlag() !== null) return 'active';
  await active(registration);
  if (readFlag() === 'unknown') return 'active';
  sessionStorage.setItem(reloadedKey, 'yes');
  location.reload();
  return 'reloading';
}

function active(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  if (worker.state === 'activated') return undefined;
  return new Promise((resolve) => {
    worker.addEventListener('statechange', () => {
      if (worker.state === 'activated' || worker.state === 'redundant') resolve();
    });
  });
}

/**
 * Tells the service worker what the page is made of, once everything has loaded. Nothing is downloaded twice: the browser still has it.
 * @param model of `load`, whose worker loaded files too
 */
export async function keep(model) {
  if (!('serviceWorker' in navigator)) return;
  const { active: worker } = await navigator.serviceWorker.ready;
  const own = performance.getEntriesByType('resource').map(({ name }) => name);
  const urls = [location.href, ...own, ...(model?.urls ?? [])].map((url) => url.split('#')[0]);
  worker.postMessage({ keep: [...new Set(urls)] });
}
