/** Between JSON values and tensors: `{ "x": [[1, 2], [3, 4]] }` in, outputs nested by their shape out. */

import { datatype } from './datatypes.mjs';
import { RequestError } from './errors.mjs';

/** Lengths of nested lists, level by level, by their first elements. */
function depthOf(value) {
  const shape = [];
  for (let level = value; Array.isArray(level); level = level[0]) shape.push(level.length);
  return shape;
}

function fits(shape, expected) {
  return shape.length === expected.length && expected.every((dim, i) => typeof dim !== 'number' || dim === shape[i]);
}

function show(shape) {
  return `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
}

/** A variable dimension counts as 1: a flat list then says all. */
function filled(expected) {
  return expected.map((dim) => (typeof dim === 'number' ? dim : 1));
}

/**
 * Lists end at a dimension of 0 (an empty past of a language model, [batch, heads, 0, 24]): what comes behind it is as the model has it.
 * @param {number[]} own @returns {number[]} `own`, completed where it ends so at a dimension that the model leaves open
 */
function completed(own, expected) {
  const last = own.length - 1;
  if (last < 0 || own[last] !== 0 || own.length >= expected.length || typeof expected[last] === 'number') return own;
  return [...own, ...filled(expected).slice(own.length)];
}

/**
 * The shape that a value stands for: its own, or one row without its first dimension, or a flat list of one row.
 * @returns {{ shape: number[], row: boolean }}
 */
function shapeOf(name, value, expected) {
  const own = depthOf(value);
  if (expected === null || fits(own, expected)) return { shape: own, row: false };
  const free = typeof expected[0] !== 'number' && expected.length > 0;
  // No rows at all are no empty row: lists that end at once are read as one.
  const whole = completed(own, expected);
  if (own.length > 1 && fits(whole, expected)) return { shape: whole, row: false };
  const one = expected.slice(1);
  const inner = completed(own, one);
  if (free && fits(inner, one)) return { shape: [1, ...inner], row: true };
  const flat = filled(expected);
  if (own.length <= 1 && flat.reduce((product, dim) => product * dim, 1) === (own[0] ?? 1))
    return { shape: flat, row: free };
  throw new RequestError(`input "${name}" has shape ${show(own)}, and the model takes ${show(expected)}`);
}

function flatten(name, value, shape) {
  let level = [value];
  for (const dim of shape) {
    const next = [];
    for (const part of level) {
      if (!Array.isArray(part) || part.length !== dim)
        throw new RequestError(`input "${name}": the lists are not all of the same length`);
      for (const item of part) next.push(item);
    }
    level = next;
  }
  return level;
}

/**
 * Feeds of one sample or batch.
 * @param {Record<string, unknown>} given values by the names of the inputs; a model of one input also takes the bare value
 * @returns {{ feeds: {name, dtype, shape, data}[], row: boolean }} `row`: the first dimension was left out everywhere
 */
export function readValues(info, given) {
  const [only, ...others] = info.inputs;
  const named = typeof given === 'object' && given !== null && !Array.isArray(given);
  if (!named && others.length > 0)
    throw new RequestError(`give an object with ${info.inputs.map(({ name }) => `"${name}"`).join(', ')}`);
  const values = named ? given : { [only.name]: given };
  for (const name of Object.keys(values)) {
    if (!info.inputs.some((input) => input.name === name)) {
      const names = info.inputs.map((input) => `"${input.name}"`).join(', ');
      throw new RequestError(`the model has no input "${name.slice(0, 100)}"; it has ${names}`);
    }
  }
  let row = true;
  const feeds = info.inputs.map(({ name, dtype, datatype: type, shape: expected }) => {
    if (!Object.hasOwn(values, name)) throw new RequestError(`input "${name}" is missing`);
    const value = values[name];
    const found = shapeOf(name, value, expected);
    row &&= found.row;
    const own = depthOf(value);
    const flat = flatten(name, value, own);
    const { Store, read } = datatype(type);
    const data = new Store(flat.length);
    try {
      for (let i = 0; i < flat.length; i++) data[i] = read(flat[i]);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new RequestError(`input "${name}": ${error.message}`);
    }
    return { name, dtype, shape: found.shape, data };
  });
  return { feeds, row };
}

function nest(values, shape) {
  if (shape.length === 0) return values[0];
  let level = values;
  for (const dim of shape.slice(1).reverse()) {
    const count = dim === 0 ? 0 : level.length / dim;
    level = Array.from({ length: count }, (_, i) => level.slice(i * dim, (i + 1) * dim));
  }
  return level;
}

/** Outputs as JSON values; those of one row without their first dimension. */
export function writeValues(info, results, row) {
  return Object.fromEntries(
    info.outputs.map(({ name, datatype: type }) => {
      const { dims, data } = results[name];
      const shape = row && dims[0] === 1 ? dims.slice(1) : dims;
      try {
        return [name, nest(Array.from(data, datatype(type).show), shape)];
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        throw new RequestError(`output "${name}": ${error.message}`);
      }
    }),
  );
}

/** One JSON value through the model. */
export async function predict({ info, run }, given) {
  const { feeds, row } = readValues(info, given);
  return writeValues(info, await run(feeds), row);
}
