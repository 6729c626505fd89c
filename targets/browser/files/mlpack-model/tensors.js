import { ModelError } from './errors.js';

const stores = {
  float32: Float32Array,
  float64: Float64Array,
  float16: globalThis.Float16Array ?? Uint16Array,
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

/** Nearest IEEE 754 half of a number as its bits, for browsers without Float16Array. */
function toHalf(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.min(15, Math.floor(Math.log2(magnitude || 1e-9))));
  const steps = magnitude / 2 ** (exponent - 10);
  const floor = Math.floor(steps);
  const up = steps - floor > 0.5 || (steps - floor === 0.5 && floor % 2 === 1);
  // Adding the mantissa with its leading one to the exponent below lets a round-up carry into it.
  return sign | (((exponent + 14) << 10) + floor + (up ? 1 : 0));
}

function show(shape) {
  return shape === null ? 'any shape' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
}

/** Dimensions for a bare list of numbers: given by the model, with at most one that the length decides. */
function deduceDims({ name, shape }, length) {
  const free = shape?.filter((dim) => typeof dim !== 'number').length ?? 2;
  if (free > 1) throw new ModelError('input', `Input "${name}" has shape ${show(shape)}: give { data, dims }.`);
  const rest = shape.reduce((product, dim) => (typeof dim === 'number' ? product * dim : product), 1);
  return shape.map((dim) => (typeof dim === 'number' ? dim : length / rest));
}

function checkDims({ name, shape }, dims, length) {
  const whole = Array.isArray(dims) && dims.every((dim) => Number.isInteger(dim) && dim >= 0);
  const fits =
    whole && (shape === null || (shape.length === dims.length && shape.every((dim, i) => typeof dim !== 'number' || dim === dims[i])));
  if (!fits) throw new ModelError('input', `Input "${name}" has shape ${show(shape)}, not ${whole ? show(dims) : dims}.`);
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (count !== length) {
    throw new ModelError('input', `Input "${name}": ${show(dims)} asks for ${count} elements, and data has ${length}.`);
  }
}

function toStore({ name, dtype }, data) {
  if (dtype === 'string') return Array.from(data);
  const Store = stores[dtype];
  if (data instanceof Store) return data;
  if (dtype === 'float16' && data instanceof Uint16Array) return data;
  if (ArrayBuffer.isView(data) && !(data instanceof Array)) {
    throw new ModelError('input', `Input "${name}" is ${dtype}: give a ${Store.name}, not a ${data.constructor.name}.`);
  }
  try {
    if (dtype === 'float16' && Store === Uint16Array) return Uint16Array.from(data, (value) => toHalf(Number(value)));
    return Store.from(data, dtype.endsWith('int64') ? BigInt : Number);
  } catch (error) {
    throw new ModelError('input', `Input "${name}" cannot be read as ${dtype}: ${error.message}.`, { cause: error });
  }
}

/** Feeds of `run` as tensors of the runtime, checked against the model's signature. */
export function toTensors(ort, inputs, feeds) {
  for (const name of Object.keys(feeds)) {
    if (!inputs.some((input) => input.name === name)) {
      const known = inputs.map((input) => `"${input.name}"`).join(', ');
      throw new ModelError('input', `The model has no input "${name}"; it has ${known}.`);
    }
  }
  const tensors = {};
  for (const input of inputs) {
    const feed = feeds[input.name];
    if (feed === undefined || feed === null) throw new ModelError('input', `Input "${input.name}" is missing.`);
    const raw = feed.data ?? feed;
    if (typeof raw?.length !== 'number') throw new ModelError('input', `Input "${input.name}" is neither a list nor { data, dims }.`);
    const data = toStore(input, raw);
    const dims = feed.dims ?? deduceDims(input, data.length);
    checkDims(input, dims, data.length);
    tensors[input.name] = new ort.Tensor(input.dtype, data, dims);
  }
  return tensors;
}
