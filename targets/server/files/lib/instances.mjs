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

/** Lists that hold nothing do not say what is in them: [[]] for an input of [batch, heads, past, 8] is [1, heads, 0, 8] where `heads` is a number. */
function inFull(given, shape) {
  if (given.at(-1) !== 0 || shape === null) return given;
  const known = shape.slice(given.length - 1).map((dim) => (typeof dim === 'number' ? dim : 0));
  return [...given.slice(0, -1), ...known];
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
    const given = inFull(extents(rows), shape);
    // An input of one value a row may come as plain numbers: [1.5, 2] for shape [batch, 1].
    const dims = shape !== null && given.length === 1 && shape.length === 2 && shape[1] === 1 ? [...given, 1] : given;
    if (dims.includes(0) && rows.flat(Number.POSITIVE_INFINITY).length > 0)
      throw new RequestError(`input "${name}" is empty in one instance and not in another`);
    const data = dims.includes(0) ? [] : dims === given ? rows : rows.map((row) => [row]);
    return { name, datatype: type, shape: dims, data };
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
  const [first, ...others] = lists;
  if (others.length === 0)
    return { predictions: Array.isArray(first.rows) ? first.rows : [{ [first.name]: first.rows }] };
  // Nobody could tell which row of one output belongs to which of another.
  const countOf = ({ rows }) => (Array.isArray(rows) ? rows.length : 'no');
  const other = others.find((one) => countOf(one) !== countOf(first));
  if (other !== undefined)
    throw new RequestError(
      `output "${first.name}" has ${countOf(first)} rows and "${other.name}" ${countOf(other)}: that are no predictions for each instance; send the request in the form of the Open Inference Protocol ({"inputs": […]})`,
    );
  const rowsOf = (at) => Object.fromEntries(lists.map(({ name, rows }) => [name, at === undefined ? rows : rows[at]]));
  return { predictions: Array.isArray(first.rows) ? first.rows.map((_, i) => rowsOf(i)) : [rowsOf()] };
}

/** A flat list as nested lists of the given lengths; a length of 0 ends in empty ones. */
function nest(values, [dim, ...inner]) {
  if (dim === undefined) return values[0];
  const size = inner.reduce((product, one) => product * one, 1);
  return Array.from({ length: dim }, (_, i) => nest(values.slice(i * size, (i + 1) * size), inner));
}
