/** IEEE 754 binary16, for which this version of Node.js has no typed array. */

const scratch = new Float32Array(1);
const bits = new Uint32Array(scratch.buffer);

/** Rounds to the nearest half, ties to even; values beyond 65504 become infinite as the standard says. */
export function numberToHalf(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24);
  scratch[0] = magnitude;
  // The exponent by the float bits; it can only be one too high when the cast rounded up, which the carry below absorbs.
  const exponent = ((bits[0] >>> 23) & 0xff) - 127;
  const mantissa = roundEven((magnitude / 2 ** exponent) * 1024) - 1024;
  return sign | (((exponent + 15) << 10) + mantissa);
}

function roundEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

export function halfToNumber(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/**
 * ONNX Runtime's tensor of a feed. From Node.js 24 on its constructor makes a Float16Array of the bits of half-precision numbers, which
 * onnxruntime-node 1.30 reads as empty; it takes the bits themselves.
 * @param Tensor the constructor @param feed { dtype, data, shape }
 */
export function ortTensor(Tensor, { dtype, data, shape }) {
  const tensor = new Tensor(dtype, data, shape);
  if (dtype === 'float16' && tensor.data !== data) Object.defineProperty(tensor, 'data', { value: data });
  return tensor;
}

/** Elements of ONNX Runtime's tensor. Half-precision numbers are their bits, also where Node.js has an array for them. */
export function elementsOf({ type, data }) {
  if (type !== 'float16' || data instanceof Uint16Array) return data;
  return new Uint16Array(data.buffer, data.byteOffset, data.length);
}
