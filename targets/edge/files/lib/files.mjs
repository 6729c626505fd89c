/** Inputs from files: JSON, JSON Lines, a NumPy array, or the raw elements of the one input. */

import { datatype, fromBytes } from './datatypes.mjs';
import { RequestError } from './errors.mjs';
import { halfToNumber } from './half.mjs';

const numpy = {
  '|b1': 'BOOL',
  '|u1': 'UINT8',
  '|i1': 'INT8',
  '<u2': 'UINT16',
  '<i2': 'INT16',
  '<u4': 'UINT32',
  '<i4': 'INT32',
  '<u8': 'UINT64',
  '<i8': 'INT64',
  '<f2': 'FP16',
  '<f4': 'FP32',
  '<f8': 'FP64',
};

function parse(text, where) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RequestError(`${where} is not JSON: ${error.message}`);
  }
}

function onlyInput(info, name) {
  const [input, ...others] = info.inputs;
  if (others.length > 0)
    throw new RequestError(`${name} has one array, and the model takes ${info.inputs.length} inputs; use JSON`);
  return input;
}

function nested(values, shape) {
  let level = values;
  for (const dim of shape.slice(1).reverse())
    level = Array.from({ length: level.length / dim }, (_, i) => level.slice(i * dim, (i + 1) * dim));
  return shape.length === 0 ? level[0] : level;
}

function fromNumpy(name, bytes, info) {
  const input = onlyInput(info, name);
  if (bytes.subarray(0, 6).toString('latin1') !== '\x93NUMPY') throw new RequestError(`${name} is no NumPy array`);
  const wide = bytes[6] >= 2;
  const length = wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  const start = wide ? 12 : 10;
  const header = bytes.subarray(start, start + length).toString('latin1');
  const descr = header.match(/'descr':\s*'([^']+)'/)?.[1];
  const dims = header.match(/'shape':\s*\(([^)]*)\)/)?.[1];
  const type = numpy[descr];
  if (type === undefined || dims === undefined || !/'fortran_order':\s*False/.test(header))
    throw new RequestError(
      `${name}: arrays of type ${descr} or in Fortran order are not read; save it as ${input.dtype} in C order`,
    );
  if (type !== input.datatype)
    throw new RequestError(`${name} has elements of type ${type}, and input "${input.name}" takes ${input.datatype}`);
  const shape = dims
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number);
  return arrayValue(name, bytes.subarray(start + length), type, shape, input);
}

const same = (value) => value;

/** Elements as `predict` reads them. NaN has no form in JSON, and an array may well hold it: a value that is missing. */
const numbers = { FP16: halfToNumber, FP32: same, FP64: same };

function arrayValue(name, bytes, type, shape, input) {
  const count = shape.reduce((product, dim) => product * dim, 1);
  try {
    return {
      [input.name]: nested(Array.from(fromBytes(type, bytes, count), numbers[type] ?? datatype(type).show), shape),
    };
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new RequestError(`${name}: ${error.message}`);
  }
}

function fromRaw(name, bytes, info) {
  const input = onlyInput(info, name);
  const one = (input.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
  return arrayValue(name, bytes, input.datatype, one, input);
}

/** Without the byte order mark that some editors put in front. */
function textOf(bytes) {
  return new TextDecoder().decode(bytes);
}

/** The values of a file, one after the other, as `predict` takes them. @throws RequestError */
export function* fileValues(name, bytes, info) {
  if (name.endsWith('.npy')) yield fromNumpy(name, bytes, info);
  else if (name.endsWith('.bin')) yield fromRaw(name, bytes, info);
  else if (name.endsWith('.jsonl')) {
    for (const [i, line] of textOf(bytes).split('\n').entries())
      if (line.trim() !== '') yield parse(line, `${name}, line ${i + 1},`);
  } else if (name.endsWith('.json')) yield parse(textOf(bytes), name);
  else throw new RequestError(`${name}: only .json, .jsonl, .npy and .bin are read`);
}
