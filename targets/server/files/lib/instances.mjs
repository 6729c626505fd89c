/** The JSON form of Vertex AI: `{instances: [...]}`, one entry for each row; answered as `{predictions: [...]}`. */

import { datatype } from './datatypes.mjs';
import { RequestError } from './errors.mjs';
import { readRequest } from './request.mjs';

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Lengths of nested lists along their first elements. */
function extents(value) {
  const shape = [];
  for (let at = value; Array.isArray(at) && shape.length < 32; at = at[0]) shape.push(at.length);
  return shape;
}

/**
 * @param request parsed body: instances are values of the one input, or objects of input name → value
 * @returns as readRequest does
 */
export function readInstances(info, { instances }) {
  if (!Array.isArray(instances) || instances.length === 0) {
    throw new RequestError('instances must be a list of at least one entry');
  }
  const single = info.inputs.length === 1 && !instances.every((one) => isObject(one) && info.inputs[0].name in one);
  const inputs = info.inputs.map(({ name, datatype: type, shape }) => {
    const rows = instances.map((one) => {
      const value = single ? one : isObject(one) ? one[name] : undefined;
      if (value === undefined) throw new RequestError(`an instance has no value for input "${name}"`);
      return value;
    });
    const given = extents(rows);
    // An input of one value a row may come as plain numbers: [1.5, 2] for shape [batch, 1].
    const dims = shape !== null && given.length === 1 && shape.length === 2 && shape[1] === 1 ? [...given, 1] : given;
    return { name, datatype: type, shape: dims, data: dims === given ? rows : rows.map((row) => [row]) };
  });
  return readRequest(info, Buffer.from(JSON.stringify({ inputs })), undefined);
}

/** @returns {{ predictions: unknown[] }} one entry for each row; objects of output name → value where there are several */
export function writePredictions(info, outputs, results) {
  const lists = outputs.map(({ tensor }) => {
    const { dims, data } = results[tensor.name];
    const { show } = datatype(tensor.datatype);
    const values = Array.from(data, (value) => {
      try {
        return show(value);
      } catch (error) {
        if (error instanceof TypeError) throw new RequestError(`output "${tensor.name}": ${error.message}`);
        throw error;
      }
    });
    return { name: tensor.name, rows: nest(values, dims) };
  });
  const [first] = lists;
  if (!Array.isArray(first.rows))
    return { predictions: [Object.fromEntries(lists.map(({ name, rows }) => [name, rows]))] };
  if (lists.length === 1) return { predictions: first.rows };
  return {
    predictions: first.rows.map((_, i) => Object.fromEntries(lists.map(({ name, rows }) => [name, rows[i] ?? null]))),
  };
}

/** A flat list as nested lists of the given lengths. */
function nest(values, dims) {
  if (dims.length === 0) return values[0];
  let level = values;
  for (const dim of dims.slice(1).reverse()) {
    const next = [];
    for (let at = 0; at < level.length; at += dim) next.push(level.slice(at, at + dim));
    level = next;
  }
  return level;
}
