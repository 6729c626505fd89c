/**
 * Replays the golden cases of mlpack.json in this browser. `mlpackSelfTest` on the window is a promise of the outcome, with
 * every output as base64, for `mlpack check`, which does its own comparison.
 */
import { load } from './mlpack-model/index.js';
import { compare, goldenFeeds, numbersOf, readManifest, readTensor } from './golden.js';

function toBase64(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Little-endian bytes of an output; strings with their lengths in front. */
function outputBytes({ data, type }) {
  if (type !== 'string') return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const parts = data.map((text) => new TextEncoder().encode(text));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    new DataView(bytes.buffer).setUint32(at, part.length, true);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

function addRow(cells, ok) {
  const row = document.querySelector('#cases tbody').insertRow();
  row.className = ok ? 'good' : 'bad';
  for (const cell of cells) row.insertCell().textContent = cell;
}

async function replay(model, golden, n) {
  const feeds = await goldenFeeds(golden);
  const started = performance.now();
  const outputs = await model.run(feeds);
  const ms = model.lastMs ?? performance.now() - started;
  const rows = [];
  for (const expected of golden.outputs) {
    const got = outputs[expected.name];
    const recorded = await readTensor(expected);
    const { ok, maxAbs, allowed } = compare(numbersOf(got.data, got.type), numbersOf(recorded.data, got.type), expected.tolerance ?? golden.tolerance);
    addRow([n, expected.name, maxAbs.toExponential(2), allowed.toExponential(2), `${ms.toFixed(1)} ms`], ok);
    rows.push({ name: expected.name, dtype: got.type, shape: got.dims, base64: toBase64(outputBytes(got)), ok });
  }
  return { ms, outputs: rows };
}

async function selfTest() {
  const query = new URLSearchParams(location.search);
  const threads = query.has('threads') ? Number(query.get('threads')) : undefined;
  const variant = query.get('variant') ?? undefined;
  const model = await load({ provider: query.get('provider') ?? 'auto', variant, threads, cache: query.get('cache') !== 'no' });
  const manifest = await readManifest();
  const own = manifest.golden.filter((golden) => (golden.variant ?? model.variant) === model.variant);
  const cases = [];
  for (const [n, golden] of own.entries()) cases.push(await replay(model, golden, n));
  const { provider, adapter, reasons } = model;
  await model.dispose();
  return { provider, variant: model.variant, threads: model.threads, adapter: adapter ?? null, reasons, cases };
}

const status = document.querySelector('#status');
window.mlpackSelfTest = selfTest().then(
  (result) => {
    const good = result.cases.every(({ outputs }) => outputs.every(({ ok }) => ok));
    const where = result.provider === 'wasm' ? `WebAssembly, ${result.threads === 1 ? 'one thread' : `${result.threads} threads`}` : `WebGPU (${result.adapter})`;
    status.textContent = `${good ? 'All recorded outputs agree' : 'Some outputs differ'}: variant ${result.variant}, ${where}.`;
    return result;
  },
  (error) => {
    status.textContent = error.message;
    return { error: error.message, code: error.code ?? null };
  },
);
