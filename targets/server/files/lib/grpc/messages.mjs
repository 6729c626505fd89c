/** Between the messages of the protocol and what the model is fed: lists of numbers or raw bytes. */

import { datatype, fromBytes, textOf, toBytes } from '../datatypes.mjs';
import { RequestError } from '../errors.mjs';
import { guarded, readInputs, readOutputs } from '../request.mjs';

/** Datatype → the list of InferTensorContents that carries it. */
const lists = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
};

/** Whole numbers of 64 bits come as text, since a JavaScript number would round them. */
const isWide = (type) => type === 'INT64' || type === 'UINT64';

/**
 * @param message ModelInferRequest @returns { id, feeds, outputs, raw } raw: the client sends raw bytes, and gets them
 * @throws RequestError
 */
export function readMessage(model, message) {
  const { inputs, raw_input_contents: contents } = message;
  refuseExtensions(message);
  const raw = contents.length > 0;
  if (raw && contents.length !== inputs.length) {
    throw new RequestError(`raw_input_contents has ${contents.length} entries for ${inputs.length} inputs`);
  }
  const tensors = inputs.map((input, i) => ({ ...input, shape: input.shape.map(Number), raw: contents[i] }));
  const feeds = readInputs(model, tensors, raw ? readRaw : readList);
  const wanted = message.outputs.length === 0 ? undefined : message.outputs.map(({ name }) => ({ name }));
  return { id: message.id === '' ? undefined : message.id, feeds, outputs: readOutputs(model, wanted, raw), raw };
}

/** Extensions that would change the answer are refused rather than passed over; what says which sequence a request is of changes nothing here. */
function refuseExtensions({ parameters, inputs, outputs }) {
  for (const holder of [{ parameters }, ...inputs, ...outputs]) {
    for (const name of ['shared_memory_region', 'classification']) {
      if (Object.hasOwn(holder.parameters ?? {}, name)) {
        throw new RequestError(`the extension behind "${name}" is not supported`);
      }
    }
  }
}

function readRaw(where, { raw, contents }, count, known) {
  if (contents !== null) throw new RequestError(`${where} has both contents and raw_input_contents`);
  // A copy: the message's own memory is not aligned, and belongs to the HTTP/2 stream.
  return guarded(where, () => fromBytes(known.datatype, raw, count));
}

function readList(where, { contents }, count, { datatype: type }) {
  const list = lists[type];
  if (list === undefined) throw new RequestError(`${where}: ${type} has no list of contents; send raw_input_contents`);
  const values = contents?.[list] ?? [];
  if (values.length !== count) {
    throw new RequestError(`${where}: the shape asks for ${count} elements, and ${list} has ${values.length}`);
  }
  const other = Object.entries(contents ?? {}).find(([name, one]) => name !== list && one?.length > 0);
  if (other !== undefined) throw new RequestError(`${where}: ${type} belongs into ${list}, not ${other[0]}`);
  if (type === 'BYTES') return guarded(where, () => values.map(textOf));
  const { Store, read } = datatype(type);
  return guarded(where, () => Store.from(values, isWide(type) ? BigInt : read));
}

/** ModelInferResponse of results. */
export function writeMessage(model, id, outputs, results, raw) {
  // FP16 has no list, and a response has either form, not both.
  const asBytes = raw || outputs.some(({ tensor }) => lists[tensor.datatype] === undefined);
  const rows = outputs.map(({ tensor: { name, datatype: type } }) => {
    const { dims, data } = results[name];
    const head = { name, datatype: type, shape: [...dims] };
    return asBytes ? head : { ...head, contents: { [lists[type]]: listOf(type, data) } };
  });
  return {
    model_name: model.name,
    model_version: model.version,
    id: id ?? '',
    outputs: rows,
    raw_output_contents: asBytes
      ? outputs.map(({ tensor: { name, datatype: type } }) => toBytes(type, results[name].data))
      : [],
  };
}

function listOf(type, data) {
  if (type === 'BYTES') return data.map((value) => Buffer.from(value, 'utf8'));
  if (type === 'BOOL') return Array.from(data, (value) => value !== 0);
  return isWide(type) ? Array.from(data, String) : Array.from(data);
}
