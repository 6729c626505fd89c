/** From the model's outputs to the body of an infer response. */

import { datatype, toBytes } from './datatypes.mjs';
import { RequestError } from './errors.mjs';

/**
 * @param outputs [{ tensor: {name, datatype}, binary }] in the order of the response
 * @returns { body: Buffer, jsonLength: number | undefined } where jsonLength is set when binary tensors follow the JSON
 */
export function writeResponse(model, id, outputs, results) {
  if (outputs.length > 0 && outputs.every(({ binary }) => binary)) return writeBinary(model, id, outputs, results);
  const parts = [];
  const rows = outputs.map(({ tensor, binary }) => {
    const { dims, data } = results[tensor.name];
    if (!binary) return { ...rowOf(tensor, dims), data: showData(tensor, data) };
    const bytes = toBytes(tensor.datatype, data);
    parts.push(bytes);
    return binaryRow(tensor, dims, bytes);
  });
  const json = headOf(model, id, rows);
  return {
    body: parts.length === 0 ? json : Buffer.concat([json, ...parts]),
    jsonLength: parts.length === 0 ? undefined : json.length,
  };
}

const rowOf = ({ name, datatype }, dims) => ({ name, datatype, shape: [...dims] });
const binaryRow = (tensor, dims, { length }) => ({ ...rowOf(tensor, dims), parameters: { binary_data_size: length } });

function headOf(model, id, outputs) {
  const named = id === undefined ? {} : { id };
  const head = { model_name: model.name, model_version: model.version, ...named, outputs };
  return Buffer.from(JSON.stringify(head), 'utf8');
}

/** What was asked for (`readParts` hands out the same list for the same request) → the JSON part of its last answer, and of what. */
const heads = new WeakMap();

function writeBinary(model, id, outputs, results) {
  const parts = outputs.map(({ tensor }) => toBytes(tensor.datatype, results[tensor.name].data));
  const dims = outputs.map(({ tensor }) => results[tensor.name].dims);
  const last = heads.get(outputs);
  const same = last?.model === model && last.id === id && dims.every((one, i) => sameDims(one, last.dims[i]));
  if (same && parts.every(({ length }, i) => length === last.sizes[i])) return joined(last.json, parts);
  const json = headOf(
    model,
    id,
    outputs.map(({ tensor }, i) => binaryRow(tensor, dims[i], parts[i])),
  );
  heads.set(outputs, { model, id, dims: dims.map((one) => [...one]), sizes: parts.map(({ length }) => length), json });
  return joined(json, parts);
}

function sameDims(a, b) {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

const joined = (json, parts) => ({ body: Buffer.concat([json, ...parts]), jsonLength: json.length });

function showData({ name, datatype: type }, data) {
  const { show } = datatype(type);
  try {
    return Array.from(data, show);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new RequestError(`output "${name}": ${error.message}; ask for it with binary_data`);
  }
}
