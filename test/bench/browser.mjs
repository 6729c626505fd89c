/**
 * The bars of the browser bundle, in headless Chromium, with a table of them at the end (`npm run bench:browser -- …`):
 *
 *   node test/bench/browser.mjs <folder of optimize, or bundle> [--base <fp32.onnx>] [--rival <ort-quantized.onnx> | --python <interpreter>]
 *     [--data <dir>] [--samples 200] [--only agreement,latency,bytes,blocking,code,storage,pictures] [--threads 1]
 *
 * agreement: top-1 of samples in the page against the same file on ONNX Runtime in Node, on WebAssembly with one and two threads, and on
 * WebGPU (software: right, its times mean nothing). latency: the bundle's WebAssembly variant in the page and through its worker, fp32 and the rival
 * files on a plain onnxruntime-web page, blocking it and with env.wasm.proxy, all interleaved. --python makes the rivals with ONNX Runtime's own tools
 * (dynamic, and static U8S8 per channel). bytes: everything that is transferred until the first prediction, from a host that compresses nothing and with
 * brotli, against the default import of onnxruntime-web with fp32. blocking: tasks of the page's thread over 50 ms while loading and running. storage: parts
 * of 4 MiB through the Cache API and the file system of the origin, in a profile on the disk. pictures: `predict` on picture files against mlpack's own reading
 * of them. Run it on a quiet machine; build first.
 */
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { findChromium, launchChromium } from '../../dist/src/target/chromium.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    base: { type: 'string' },
    rival: { type: 'string' },
    data: { type: 'string' },
    samples: { type: 'string', default: '200' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string' },
    variant: { type: 'string' },
    python: { type: 'string' },
  },
});
const given = resolve(positionals[0] ?? '.');
const fromOptimize = existsSync(join(given, 'bundles/browser'));
const bundle = fromOptimize ? join(given, 'bundles/browser') : given;
if (fromOptimize) values.base ??= join(given, 'variants/base/model.onnx');
const scratch = mkdtempSync(join(tmpdir(), 'mlpack-bench-browser-'));
const wanted = values.only?.split(',');
const asked = (part) => !wanted || wanted.includes(part);
const description = JSON.parse(readFileSync(join(bundle, 'mlpack-model/model.json'), 'utf8'));
const ortDist = fileURLToPath(new URL('../../node_modules/onnxruntime-web/dist/', import.meta.url));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm' };

/** One server for all: the bundle at /, the runtime's own files at /ort/, models and pictures under their own paths. */
const extra = new Map();
const packed = new Map();
function locate(path) {
  if (extra.has(path)) return extra.get(path);
  if (path.startsWith('/ort/')) return join(ortDist, path.slice(5));
  return join(bundle, path === '/' ? 'index.html' : path);
}
function compressed(place) {
  if (!packed.has(place)) {
    const params = { [constants.BROTLI_PARAM_QUALITY]: 5 };
    packed.set(place, brotliCompressSync(readFileSync(place), { params }).length);
  }
  return packed.get(place);
}
let log = [];
let hostCompresses = false;
const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
  if (path === '/blank') return response.writeHead(200, { ...headers, 'Content-Type': 'text/html' }).end('<!doctype html><link rel=icon href=data:,>');
  const place = locate(path);
  if (!statSync(place, { throwIfNoEntry: false })?.isFile()) return response.writeHead(404, headers).end();
  const bytes = readFileSync(place);
  if (request.method !== 'HEAD') log.push({ path, bytes: bytes.length, place });
  const type = types[extname(place)] ?? 'application/octet-stream';
  // Only said when asked for the head: what brotli makes of the files is computed, not sent.
  const encoding = hostCompresses && request.method === 'HEAD' ? { 'Content-Encoding': 'br' } : {};
  response.writeHead(200, { ...headers, ...encoding, 'Content-Type': type, 'Content-Length': bytes.length }).end(bytes);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${server.address().port}`;
const chrome = await launchChromium();
async function freshPage(path = '/blank') {
  const context = await chrome.newContext();
  const page = await context.newPage();
  await page.goto(url + path);
  return { page, close: () => context.close() };
}
const say = (name, text) => process.stdout.write(`${name.padEnd(11)} ${text}\n`);
/** Rows of the table at the end. */
const bars = [];
const bar = (name, figure, wanted, ok) => bars.push([name, figure, wanted, ok ? 'yes' : 'NO']);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const lowest = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 10)];
const mb = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;

const wasmWay = description.ways.find(({ provider, variant }) => provider === 'wasm' && (!values.variant || variant === values.variant));

/** Feeds of the data set as plain objects; 64-bit numbers as text. */
async function samplesOf(count) {
  const dataset = await openDataset(resolve(values.data), description.inputs);
  const feeds = [];
  for await (const batch of dataset.batches({ batch: 1, samples: count, inputs: description.inputs })) {
    const plain = (tensor) => ({
      dtype: tensor.dtype,
      dims: tensor.shape,
      base64: Buffer.from(tensor.bytes()).toString('base64'),
    });
    feeds.push(Object.fromEntries([...batch.feeds].map(([name, tensor]) => [name, plain(tensor)])));
  }
  await dataset.close();
  return feeds;
}

const inPage = `
  const stores = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, float64: Float64Array, bool: Uint8Array };
  const fromBase64 = ({ dtype, dims, base64 }) => ({ data: new stores[dtype](Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer), dims, dtype });
  const best = (data) => data.reduce((at, value, n) => (value > data[at] ? n : at), 0);
`;

async function agreement() {
  const ort = await import('onnxruntime-node');
  const feeds = await samplesOf(Number(values.samples));
  const output = description.outputs[0].name;
  for (const variant of description.variants) {
    const file = join(bundle, 'mlpack-model', variant.files[0].pieces[0].url);
    const expected = [];
    const session = await ort.InferenceSession.create(file);
    for (const feed of feeds) {
      const tensors = Object.fromEntries(
        Object.entries(feed).map(([name, { dtype, dims, base64 }]) => {
          const { buffer } = new Uint8Array(Buffer.from(base64, 'base64'));
          const Store = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array }[dtype];
          return [name, new ort.Tensor(dtype, new Store(buffer), [...dims])];
        }),
      );
      const { data } = (await session.run(tensors))[output];
      expected.push(data.reduce((at, value, n) => (value > data[at] ? n : at), 0));
    }
    await session.release();
    for (const [name, options, part] of [
      ['wasm, 1 thread', { provider: 'wasm', threads: 1 }, 1],
      ['wasm, 2 threads', { provider: 'wasm', threads: 2 }, 1],
      ['webgpu', { provider: 'webgpu' }, 0.25],
    ]) {
      if (!description.ways.some((way) => way.variant === variant.name && way.provider === options.provider)) continue;
      const { page, close } = await freshPage();
      const own = feeds.slice(0, Math.ceil(feeds.length * part));
      const got = await page.evaluate(`(async () => { ${inPage}
        const { load } = await import('/mlpack-model/index.js');
        try {
          const model = await load({ ...${JSON.stringify(options)}, variant: ${JSON.stringify(variant.name)} });
          const got = [];
          for (const feed of ${JSON.stringify(own)}) {
            const outputs = await model.run(Object.fromEntries(Object.entries(feed).map(([name, one]) => [name, fromBase64(one)])));
            got.push(best(Array.from(outputs[${JSON.stringify(output)}].data, Number)));
          }
          return got;
        } catch (error) { return error.message; }
      })()`);
      await close();
      if (typeof got === 'string') say('agreement', `${variant.name}, ${name}: ${got}`);
      else {
        const share = (100 * got.filter((one, n) => one === expected[n]).length) / got.length;
        bar(`top-1 agrees, ${variant.name} on ${name}`, `${share.toFixed(1)} %`, '≥ 99 %', share >= 99);
        say('agreement', `${variant.name}, ${name}: ${share.toFixed(1)} % of ${got.length} samples`);
      }
    }
  }
}

/** Sessions beside each other in one page, taking turns. */
async function latency() {
  const [feed] = values.data ? await samplesOf(1) : [undefined];
  const rivals = { fp32: values.base, ...(values.rival ? { rival: values.rival } : values.python ? makeRivals() : {}) };
  const urls = Object.entries(rivals).flatMap(([name, file]) => {
    if (!file) return [];
    const path = `/models/${name.replace(' ', '-')}.onnx`;
    extra.set(path, resolve(file));
    return [[name, path]];
  });
  const { page, close } = await freshPage();
  const times = await page.evaluate(`(async () => { ${inPage}
    const { load } = await import('/mlpack-model/index.js');
    const { goldenFeeds, readManifest } = await import('/golden.js');
    const manifest = await readManifest();
    const feed = ${feed ? `Object.fromEntries(Object.entries(${JSON.stringify(feed)}).map(([name, one]) => [name, fromBase64(one)]))` : 'await goldenFeeds(manifest.golden[0])'};
    const threads = ${Number(values.threads)};
    const model = await load({ provider: 'wasm', variant: ${JSON.stringify(wasmWay.variant)}, threads });
    // In the page itself, as the rivals run: what the way to the worker adds shows beside it.
    const here = await load({ provider: 'wasm', variant: ${JSON.stringify(wasmWay.variant)}, threads, worker: false });
    const ort = await import('/ort/ort.wasm.min.mjs');
    ort.env.wasm.wasmPaths = '/ort/';
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.proxy = false;
    const types = Object.fromEntries(model.inputs.map(({ name, dtype }) => [name, dtype]));
    const subjects = [{ name: 'bundle', run: () => model.run(feed) }, { name: 'page', run: () => here.run(feed) }];
    for (const [name, url] of ${JSON.stringify(urls)}) {
      // The plain way that does not block: the runtime's own worker, one for each as the bundle has one.
      const aside = await import('/ort/ort.wasm.min.mjs?aside=' + subjects.length);
      Object.assign(aside.env.wasm, { wasmPaths: '/ort/', numThreads: threads, proxy: true });
      for (const [runtime, place] of [[ort, ''], [aside, ' aside']]) {
        const session = await runtime.InferenceSession.create(url, { executionProviders: ['wasm'] });
        // The proxy hands buffers over: each run needs its own, as with a new picture.
        const own = (data) => (place === '' ? data : data.slice());
        const feeds = () => Object.fromEntries(Object.entries(feed).map(([key, { data, dims }]) => [key, new runtime.Tensor(types[key], own(data), dims)]));
        subjects.push({ name: name + place, run: () => session.run(feeds()) });
      }
    }
    const times = Object.fromEntries(subjects.map(({ name }) => [name, []]));
    times.inWorker = [];
    times.hop = [];
    for (const { run } of subjects) for (let n = 0; n < 5; n++) await run();
    const until = performance.now() + 12000;
    while (performance.now() < until) {
      for (const { name, run } of subjects) {
        const began = performance.now();
        await run();
        times[name].push(performance.now() - began);
        if (name === 'bundle') {
          times.inWorker.push(model.lastMs);
          times.hop.push(times.bundle.at(-1) - model.lastMs);
        }
      }
    }
    return times;
  })()`);
  await close();
  const own = median(times.bundle);
  say('latency', `bundle (${wasmWay.variant}, wasm, ${values.threads} thread${values.threads === '1' ? '' : 's'}): ${own.toFixed(2)} ms, of which the runtime takes ${median(times.inWorker).toFixed(2)} ms (${times.bundle.length} rounds)`);
  for (const [name] of urls) say('latency', `${name} on a plain page: ${median(times[name]).toFixed(2)} ms; bundle / ${name} = ${(own / median(times[name])).toFixed(3)}, runtime alone ${(median(times.inWorker) / median(times[name])).toFixed(3)}`);
  say('latency', `way to the worker and back: ${median(times.hop).toFixed(2)} ms (10 % of the rounds under ${lowest(times.hop).toFixed(2)} ms)`);
  // Like with like: in the page against a plain page that blocks; through the worker against a plain page with the runtime's own worker.
  for (const [name] of urls) {
    const blocks = median(times.page) / median(times[name]);
    const aside = own / median(times[`${name} aside`]);
    bar(`latency of ${wasmWay.variant} in the page / ${name} in the page`, `×${blocks.toFixed(2)}`, '≤ 1', blocks <= 1);
    bar(`  through the worker / ${name} with env.wasm.proxy`, `×${aside.toFixed(2)}`, '≤ 1', aside <= 1);
    say('latency', `${name} with env.wasm.proxy: ${median(times[`${name} aside`]).toFixed(2)} ms`);
  }
}

/** The model as ONNX Runtime's own tools quantize it, in Python. */
function makeRivals() {
  const script = `
import sys, numpy as np, onnx
import onnxruntime as ort
from onnxruntime.quantization import quantize_dynamic, quantize_static, CalibrationDataReader, QuantType, QuantFormat
base, out = sys.argv[1:3]
quantize_dynamic(base, out + '/dynamic.onnx')
class Reader(CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(0)
        feeds = {}
        for i in ort.InferenceSession(base).get_inputs():
            shape = [d if isinstance(d, int) else 1 for d in i.shape]
            feeds[i.name] = rng.normal(size=shape).astype(np.float32) if 'float' in i.type else np.ones(shape, np.int64)
        self.left = [feeds]
    def get_next(self):
        return self.left.pop() if self.left else None
model = onnx.load(base)
if model.opset_import[0].version < 13:
    model = onnx.version_converter.convert_version(model, 13)
    onnx.save(model, out + '/base13.onnx')
    base = out + '/base13.onnx'
quantize_static(base, out + '/static.onnx', Reader(), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True)
`;
  execFileSync(values.python, ['-c', script, resolve(values.base), scratch], { stdio: ['ignore', 'ignore', 'ignore'] });
  return { 'ORT dynamic': join(scratch, 'dynamic.onnx'), 'ORT static': join(scratch, 'static.onnx') };
}

async function bytes() {
  const own = await bytesOfDemo(false);
  const ownPacked = await bytesOfDemo(true);
  extra.set('/models/fp32.onnx', resolve(values.base));
  log = [];
  const naive = await freshPage();
  await naive.page.evaluate(`(async () => {
    const { goldenFeeds, readManifest } = await import('/golden.js');
    const manifest = await readManifest();
    const feed = await goldenFeeds(manifest.golden[0]);
    const ort = await import('/ort/ort.bundle.min.mjs');
    const session = await ort.InferenceSession.create('/models/fp32.onnx');
    const types = Object.fromEntries(manifest.inputs.map(({ name, dtype }) => [name, dtype]));
    await session.run(Object.fromEntries(Object.entries(feed).map(([key, { data, dims }]) => [key, new ort.Tensor(types[key], data, dims)])));
  })()`);
  await naive.close();
  const theirs = log.filter(({ path }) => /\/ort\/|models/.test(path));
  const sum = (rows, of) => rows.reduce((all, row) => all + of(row), 0);
  const raw = [sum(own, (row) => row.bytes), sum(theirs, (row) => row.bytes)];
  const brotli = [sum(ownPacked, (row) => compressed(row.place)), sum(theirs, (row) => compressed(row.place))];
  bar('bytes to the first prediction, host compresses nothing', `${mb(raw[0])}, ÷${(raw[1] / raw[0]).toFixed(2)}`, '÷2', raw[1] / raw[0] >= 2);
  bar('the same with brotli', `${mb(brotli[0])}, ÷${(brotli[1] / brotli[0]).toFixed(2)}`, '÷2', brotli[1] / brotli[0] >= 2);
  say('bytes', `until the first prediction: ${mb(raw[0])} (${own.length} files), default import with fp32 ${mb(raw[1])}: ${(raw[1] / raw[0]).toFixed(2)} times`);
  say('bytes', `with brotli: ${mb(brotli[0])} against ${mb(brotli[1])}: ${(brotli[1] / brotli[0]).toFixed(2)} times`);
}

/** What the demo fetches until it answers; `compresses`: the host says that it does, so that the files themselves are fetched. */
async function bytesOfDemo(compresses) {
  log = [];
  hostCompresses = compresses;
  const context = await chrome.newContext();
  const page = await context.newPage();
  await page.goto(`${url}/?provider=wasm`);
  await page.waitForSelector('.bars li, #output pre');
  await context.close();
  hostCompresses = false;
  return log.filter(({ path }) => !/golden|mlpack\.json|selftest|sw\.js/.test(path));
}

async function blocking() {
  const context = await chrome.newContext();
  const page = await context.newPage();
  await page.addInitScript(`window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask', buffered: true });`);
  await page.goto(`${url}/?provider=wasm`);
  await page.waitForSelector('.bars li, #output pre');
  const loading = await page.evaluate('window.tasks.splice(0)');
  for (let n = 0; n < 20; n++) {
    const buttons = page.locator('#extras button:visible, #input .row button:visible');
    await buttons.nth(n % (await buttons.count())).click();
    await page.waitForTimeout(50);
  }
  const running = await page.evaluate('window.tasks.splice(0)');
  await context.close();
  const worst = (tasks) => (tasks.length === 0 ? 'none' : `${tasks.length}, the longest ${Math.max(...tasks)} ms`);
  bar('tasks over 50 ms on the page’s thread', `${loading.length + running.length}`, '0', loading.length + running.length === 0);
  say('blocking', `tasks over 50 ms on the page's thread: ${worst(loading)} while loading, ${worst(running)} in 20 predictions`);
}

/** Of what the demo page asks for, what mlpack wrote. */
async function code() {
  log = [];
  const page = await chrome.newPage();
  await page.goto(`${url}/?provider=wasm`);
  await page.waitForSelector('.bars li, #output pre');
  await page.close();
  const own = log.filter(({ path }) => (path === '/' || /\.(js|css|html)$/.test(path)) && !/runtime|tokenizers/.test(path));
  const files = [...new Set(own.map(({ place }) => place))];
  const raw = files.reduce((sum, file) => sum + statSync(file).size, 0);
  const brotli = files.reduce((sum, file) => sum + compressed(file), 0);
  bar('own code of the demo page', `${(raw / 1000).toFixed(1)} KB`, '< 100 KB', raw < 100_000);
  say('code', `own scripts, styles and pages that the demo loads: ${(raw / 1000).toFixed(1)} KB in ${files.length} files, ${(brotli / 1000).toFixed(1)} KB with brotli`);
}

/** Writes and reads 42 MB in parts, in a worker, in a profile on the disk (a private window keeps all of it in memory). */
async function storage() {
  const { chromium } = await import('playwright-core');
  const args = ['--no-sandbox', '--disable-dev-shm-usage'];
  const context = await chromium.launchPersistentContext(join(scratch, 'profile'), { executablePath: findChromium(), headless: true, args });
  const page = await context.newPage();
  await page.goto(`${url}/blank`);
  const result = await page.evaluate(`(async () => {
    const script = 'const origin = ' + JSON.stringify(location.origin) + ';' + \`onmessage = async () => {
      const noise = crypto.getRandomValues(new Uint8Array(65536));
      const parts = Array.from({ length: 10 }, (_, n) => { const part = new Uint8Array(4 << 20); for (let at = 0; at < part.length; at += noise.length) part.set(noise, at); part[0] = n; return part; });
      const time = async (work) => { const began = performance.now(); for (const [n, part] of parts.entries()) await work(n, part); return performance.now() - began; };
      const root = await navigator.storage.getDirectory();
      const sync = async (n, create) => (await root.getFileHandle('part' + n, { create })).createSyncAccessHandle();
      const rounds = [];
      for (let round = 0; round < 7; round++) {
        const cache = await caches.open('bench' + round);
        const row = {};
        row.cacheWrite = await time((n, part) => cache.put(origin + '/part' + n, new Response(part)));
        row.cacheRead = await time(async (n) => (await cache.match(origin + '/part' + n)).arrayBuffer());
        row.opfsWrite = await time(async (n, part) => { const handle = await sync(n, true); handle.write(part); handle.flush(); handle.close(); });
        row.opfsRead = await time(async (n) => { const handle = await sync(n, false); handle.read(new Uint8Array(handle.getSize())); handle.close(); });
        row.opfsReadFile = await time(async (n) => (await (await root.getFileHandle('part' + n)).getFile()).arrayBuffer());
        await caches.delete('bench' + round);
        for (const n of parts.keys()) await root.removeEntry('part' + n);
        rounds.push(row);
      }
      return rounds;
    };
    const work = onmessage;
    onmessage = () => work().then((rounds) => postMessage({ rounds }), (error) => postMessage({ error: String(error) }));\`;
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })));
    const { rounds, error } = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => resolve({ error: message });
      worker.postMessage(1);
    });
    if (error) throw new Error(error);
    return rounds;
  })()`);
  await context.close();
  const of = (key) => `${median(result.map((row) => row[key])).toFixed(0)} ms`;
  say('storage', `42 MB in parts of 4 MiB, median of 7: Cache API ${of('cacheWrite')} to write, ${of('cacheRead')} to read; file system ${of('opfsWrite')} to write, ${of('opfsRead')} to read (${of('opfsReadFile')} outside of a worker)`);
}

/** The page's own reading of pictures against mlpack's. */
async function pictures() {
  const dir = resolve(values.data);
  const spec = JSON.parse(readFileSync(join(dir, 'dataset.json'), 'utf8'));
  const [section] = Object.values(spec.inputs);
  const dataset = await openDataset(dir, description.inputs);
  const count = Math.min(Number(values.samples), dataset.samples);
  const { page, close } = await freshPage();
  await page.evaluate(`import('/mlpack-model/index.js').then(async ({ load }) => { window.model = await load({ provider: 'wasm', variant: ${JSON.stringify(wasmWay.variant)} }); })`);
  let same = 0;
  let right = [0, 0];
  let n = 0;
  const differences = [];
  for await (const batch of dataset.batches({ batch: 1, samples: count, inputs: description.inputs })) {
    const name = dataset.sampleName('eval', batch.indices[0]);
    extra.set(`/pictures/${n}`, join(dir, section.images, name));
    const [[input, tensor]] = batch.feeds;
    const fed = Buffer.from(tensor.bytes()).toString('base64');
    const [own, theirs, difference] = await page.evaluate(`(async () => { ${inPage}
      const blob = await (await fetch('/pictures/${n}')).blob();
      const { outputs, feeds } = await model.predict(blob);
      const feed = fromBase64({ dtype: 'float32', dims: ${JSON.stringify(tensor.shape)}, base64: ${JSON.stringify(fed)} });
      const other = await model.run({ ${JSON.stringify(input)}: feed });
      const own = feeds[${JSON.stringify(input)}].data;
      const difference = feed.data.reduce((sum, value, at) => sum + Math.abs(value - own[at]), 0) / own.length;
      const first = (all) => best(Array.from(Object.values(all)[0].data, Number));
      return [first(outputs), first(other), difference];
    })()`);
    same += own === theirs;
    right = [right[0] + (own === batch.labels?.[0]), right[1] + (theirs === batch.labels?.[0])];
    differences.push(difference);
    n++;
  }
  await close();
  await dataset.close();
  say('pictures', `${n} files: same top-1 as mlpack's own reading in ${((100 * same) / n).toFixed(1)} %, right ${((100 * right[0]) / n).toFixed(1)} % against ${((100 * right[1]) / n).toFixed(1)} %; mean difference of a fed value ${median(differences).toFixed(4)}`);
}

try {
  if (asked('code')) await code();
  if (asked('bytes') && values.base) await bytes();
  if (asked('blocking')) await blocking();
  if (asked('agreement') && values.data) await agreement();
  if (asked('latency')) await latency();
  if (wanted?.includes('pictures')) await pictures();
  if (wanted?.includes('storage')) await storage();
  if (bars.length > 0) {
    const rows = [['bar', 'measured', 'wanted', 'kept'], ...bars];
    const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column].length)));
    process.stdout.write(`\n${rows.map((row) => row.map((cell, n) => cell.padEnd(widths[n])).join('  ').trimEnd()).join('\n')}\n`);
  }
} finally {
  await chrome.close();
  server.close();
  rmSync(scratch, { recursive: true, force: true });
}
