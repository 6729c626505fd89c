/** Recorded inputs and outputs of this bundle, from mlpack.json and the folder golden/. */

const here = new URL('./', import.meta.url);

const readers = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  int8: (view, at) => view.getInt8(at),
  int16: (view, at) => view.getInt16(at, true),
  int32: (view, at) => view.getInt32(at, true),
  int64: (view, at) => view.getBigInt64(at, true),
  uint8: (view, at) => view.getUint8(at),
  uint16: (view, at) => view.getUint16(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  uint64: (view, at) => view.getBigUint64(at, true),
  bool: (view, at) => view.getUint8(at),
  float16: (view, at) => view.getUint16(at, true),
};

const stores = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

async function fetchOk(path) {
  const response = await fetch(new URL(path, here), { cache: 'no-cache' });
  if (!response.ok) throw new Error(`Cannot download ${path}: the server answers ${response.status}.`);
  return response;
}

export async function readManifest() {
  return (await fetchOk('mlpack.json')).json();
}

function readStrings(view) {
  const values = [];
  for (let at = 0; at < view.byteLength; ) {
    const length = view.getUint32(at, true);
    values.push(new TextDecoder().decode(new Uint8Array(view.buffer, at + 4, length)));
    at += 4 + length;
  }
  return values;
}

/** One recorded tensor as { data, dims }. */
export async function readTensor({ dtype, shape, file }) {
  const view = new DataView(await (await fetchOk(file)).arrayBuffer());
  if (dtype === 'string') return { data: readStrings(view), dims: shape };
  const Store = stores[dtype];
  const data = new Store(view.byteLength / Store.BYTES_PER_ELEMENT);
  for (let i = 0; i < data.length; i++) data[i] = readers[dtype](view, i * Store.BYTES_PER_ELEMENT);
  return { data, dims: shape };
}

/** The inputs of a golden case, as `run` takes them. */
export async function goldenFeeds(golden) {
  const entries = golden.inputs.map(async (input) => [input.name, await readTensor(input)]);
  return Object.fromEntries(await Promise.all(entries));
}

function halfToNumber(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Elements as they are to be compared; halves may come as their bit patterns. */
export function numbersOf(data, dtype) {
  return dtype === 'float16' && data instanceof Uint16Array ? Float32Array.from(data, halfToNumber) : data;
}

/** Largest |got − expected|, and whether every element is within atol + rtol · max|expected|. */
export function compare(got, expected, { rtol, atol }) {
  const finite = Array.from(expected, (value) => Math.abs(Number(value))).filter(Number.isFinite);
  const allowed = atol + rtol * finite.reduce((max, value) => Math.max(max, value), 0);
  let maxAbs = 0;
  let ok = got.length === expected.length;
  for (let i = 0; i < expected.length && ok; i++) {
    const [a, b] = [got[i], expected[i]];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    // Texts are the same or are not: "1" is no "1.0".
    const difference = typeof b === 'string' ? Number.POSITIVE_INFINITY : Math.abs(Number(a) - Number(b));
    maxAbs = Math.max(maxAbs, difference);
    if (!(difference <= allowed)) ok = false;
  }
  return { ok, maxAbs, allowed };
}
