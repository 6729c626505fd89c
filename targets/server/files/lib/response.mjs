/** From the model's outputs to the body of an infer response. */

import { datatype, toBytes } from './datatypes.mjs';
import { RequestError } from './errors.mjs';

/**
 * @param outputs [{ tensor: {name, datatype}, binary }] in the order of the response
 * @returns { body: Buffer, jsonLength: number | undefined } where jsonLength is set when binary tensors follow the JSON
 */
export function writeResponse(model, id, outputs, results) {
  const parts = [];
  const rows = outputs.map(({ tensor, binary }) => {
    const { dims, data } = results[tensor.name];
    const row = { name: tensor.name, datatype: tensor.datatype, shape: [...dims] };
    if (!binary) return { ...row, data: showData(tensor, data) };
    const bytes = toBytes(tensor.datatype, data);
    parts.push(bytes);
    return { ...row, parameters: { binary_data_size: bytes.length } };
  });
  const head = {
    model_name: model.name,
    model_version: model.version,
    ...(id === undefined ? {} : { id }),
    outputs: rows,
  };
  const json = Buffer.from(JSON.stringify(head), 'utf8');
  if (!outputs.some(({ binary }) => binary)) return { body: json, jsonLength: undefined };
  return { body: Buffer.concat([json, ...parts]), jsonLength: json.length };
}

function showData({ name, datatype: type }, data) {
  const { show } = datatype(type);
  try {
    return Array.from(data, show);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new RequestError(`output "${name}": ${error.message}; ask for it with binary_data`);
  }
}
