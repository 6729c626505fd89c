/** From the body of an infer request to what the model is fed, everything checked against the model's signature. */

import { datatype, datatypeOf, fromBytes } from './datatypes.mjs';
import { RequestError } from './errors.mjs';

/**
 * @param body bytes of the request, in memory of their own: tensors may be views of it
 * @param jsonLength value of Inference-Header-Content-Length, or undefined where all of the body is JSON
 * @returns { id, feeds: [{name, dtype, shape, data}], outputs: [{tensor, binary}] }
 */
export function readRequest(model, body, jsonLength) {
  if (jsonLength === undefined) return fromJson(model, parse(body), undefined);
  if (!/^\d{1,15}$/.test(jsonLength)) throw new RequestError('Inference-Header-Content-Length is not a whole number');
  const length = Number(jsonLength);
  if (length === 0) return fromRaw(model, body);
  if (length > body.length) {
    throw new RequestError(`Inference-Header-Content-Length is ${length}, and the body has ${body.length} bytes`);
  }
  return fromJson(model, parse(body.subarray(0, length)), body.subarray(length));
}

/**
 * The same where the parts came into memory of their own (parted.mjs).
 * @param parted its `request` is what the JSON part says, undefined: it is to be read again, for what is wrong with it. What was checked is kept
 *   in its `plan`, and done without where the same comes again
 */
export function readParts(model, parted) {
  const { json, request, binary, plan } = parted;
  if (plan !== undefined && plan.model === model && plan.bytes === binary.length) return readPlanned(plan, binary);
  const read = fromJson(model, request ?? parse(json), binary);
  parted.plan = planOf(model, read, binary);
  return read;
}

/** How the bytes of such a request are to be read; undefined where numbers or texts are in the JSON part, or among the bytes. */
function planOf(model, { id, feeds, outputs }, binary) {
  let at = 0;
  const parts = feeds.map(({ name, dtype, shape }) => {
    const type = datatypeOf(dtype);
    const count = shape.reduce((product, dim) => product * dim, 1);
    const from = at;
    at += count * datatype(type).bytes;
    return { name, dtype, type, shape, count, from, to: at };
  });
  // All of the bytes, in the order of the inputs: then none was given as JSON, and none of variable length.
  return at === binary.length && parts.every(({ type }) => type !== 'BYTES')
    ? { model, bytes: binary.length, id, parts, outputs }
    : undefined;
}

function readPlanned({ id, parts, outputs }, binary) {
  const feeds = parts.map(({ name, dtype, type, shape, count, from, to }) => ({
    name,
    dtype,
    shape,
    data: guarded(`input "${name}"`, () => fromBytes(type, binary.subarray(from, to), count, true)),
  }));
  return { id, feeds, outputs };
}

/** @returns the JSON part. @throws RequestError */
export function parse(bytes) {
  let value;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new RequestError('the request is not valid JSON');
  }
  if (!isObject(value)) throw new RequestError('the request must be a JSON object');
  return value;
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parametersOf(holder, where) {
  const parameters = holder.parameters ?? {};
  if (!isObject(parameters)) throw new RequestError(`${where}: parameters must be an object`);
  for (const name of ['shared_memory_region', 'classification']) {
    if (name in parameters) throw new RequestError(`${where}: the extension behind "${name}" is not supported`);
  }
  return parameters;
}

function flag(value, where) {
  if (value !== undefined && typeof value !== 'boolean') throw new RequestError(`${where} must be true or false`);
  return value;
}

function fromJson(model, request, binary) {
  const { inputs } = request;
  // Clients that write every field of their classes (MLServer's) have null in those that are left out.
  const id = request.id ?? undefined;
  if (id !== undefined && typeof id !== 'string') throw new RequestError('id must be a string');
  if (!Array.isArray(inputs)) throw new RequestError('inputs must be a list of tensors');
  const parameters = parametersOf(request, 'request');
  const source = { bytes: binary, at: 0 };
  const feeds = readInputs(model, inputs, (...tensor) => fromJsonOrBinary(source, ...tensor));
  if (binary !== undefined && source.at !== binary.length) {
    throw new RequestError(`${binary.length - source.at} bytes after the last binary tensor belong to no input`);
  }
  const binaryDefault = flag(parameters.binary_data_output, 'binary_data_output') ?? false;
  return { id, feeds, outputs: readOutputs(model, request.outputs, binaryDefault) };
}

/**
 * Tensors of a request, checked against the signature.
 * @param {object[]} inputs each { name, datatype, shape } and whatever `dataOf` reads
 * @param dataOf (where, input, count, known) → elements of one input
 */
export function readInputs(model, inputs, dataOf) {
  const feeds = [];
  const seen = new Set();
  for (const input of inputs) {
    const feed = readInput(model, input, dataOf);
    if (seen.has(feed.name)) throw new RequestError(`input "${feed.name}" is given twice`);
    seen.add(feed.name);
    feeds.push(feed);
  }
  for (const { name } of model.inputs) {
    if (!seen.has(name)) throw new RequestError(`input "${name}" is missing`);
  }
  checkSymbols(model, feeds);
  return feeds;
}

function readInput(model, input, dataOf) {
  if (!isObject(input)) throw new RequestError('each input must be an object');
  const known = model.inputs.find(({ name }) => name === input.name);
  if (!known) {
    const names = model.inputs.map(({ name }) => `"${name}"`).join(', ');
    if (typeof input.name !== 'string') throw new RequestError(`an input has no name; the model has ${names}`);
    throw new RequestError(`the model has no input "${input.name.slice(0, 100)}"; it has ${names}`);
  }
  const where = `input "${known.name}"`;
  if (input.datatype !== known.datatype) {
    throw new RequestError(
      `${where} has datatype ${known.datatype}, not ${String(JSON.stringify(input.datatype)).slice(0, 40)}`,
    );
  }
  const count = checkShape(known, input.shape);
  const data = dataOf(where, input, count, known);
  return { name: known.name, dtype: known.dtype, shape: input.shape, data };
}

function fromJsonOrBinary(source, where, input, count, known) {
  const size = parametersOf(input, where).binary_data_size;
  if (size === undefined) return readData(where, input, count);
  if (input.data !== undefined) throw new RequestError(`${where} has both data and binary_data_size`);
  if (source.bytes === undefined) {
    throw new RequestError(`${where} has binary_data_size, which needs the header Inference-Header-Content-Length`);
  }
  if (!Number.isInteger(size) || size < 0 || source.at + size > source.bytes.length) {
    throw new RequestError(
      `${where}: binary_data_size does not fit the ${source.bytes.length - source.at} bytes that are left`,
    );
  }
  const bytes = source.bytes.subarray(source.at, source.at + size);
  source.at += size;
  return guarded(where, () => fromBytes(known.datatype, bytes, count, true));
}

/** Runs `work`; what it finds wrong with the values of an input is the client's. */
export function guarded(where, work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw new RequestError(`${where}: ${error.message}`);
    throw error;
  }
}

/** Checks a shape against the model's and returns the number of elements. */
function checkShape({ name, shape: expected }, shape) {
  const where = `input "${name}"`;
  if (!Array.isArray(shape) || shape.length > 32 || !shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new RequestError(`${where}: shape must be a list of whole numbers`);
  }
  const fits =
    expected === null ||
    (expected.length === shape.length && expected.every((dim, i) => typeof dim !== 'number' || dim === shape[i]));
  if (!fits) throw new RequestError(`${where} has shape ${showShape(expected)}, not ${showShape(shape)}`);
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (!Number.isSafeInteger(count)) throw new RequestError(`${where}: shape ${showShape(shape)} is too large`);
  return count;
}

function showShape(shape) {
  return `[${shape.map((dim) => dim ?? '?').join(', ')}]`;
}

/** A symbol that several inputs share (batch, sequence) must stand for one number. */
function checkSymbols(model, feeds) {
  const values = new Map();
  for (const { name, shape } of feeds) {
    const expected = model.inputs.find((input) => input.name === name).shape ?? [];
    for (const [i, symbol] of expected.entries()) {
      if (typeof symbol !== 'string') continue;
      const first = values.get(symbol);
      if (first === undefined) values.set(symbol, { dim: shape[i], name });
      else if (first.dim !== shape[i]) {
        throw new RequestError(
          `"${symbol}" is ${first.dim} in input "${first.name}" and ${shape[i]} in input "${name}"`,
        );
      }
    }
  }
}

function readData(where, { data, shape, datatype: name }, count) {
  if (!Array.isArray(data)) throw new RequestError(`${where}: data must be a list`);
  const type = datatype(name);
  const values = Array.isArray(data[0]) ? flatten(where, data, shape, count) : data;
  if (values.length !== count) {
    throw new RequestError(
      `${where}: shape ${showShape(shape)} asks for ${count} elements, and data has ${values.length}`,
    );
  }
  return guarded(where, () => {
    const store = new type.Store(count);
    for (let i = 0; i < count; i++) {
      const value = values[i];
      // JSON has no infinity: this is what JSON.parse makes of 1e999.
      if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
        throw new RangeError('a number is too large for JSON in JavaScript; an infinity can be sent as binary data');
      store[i] = type.read(value);
    }
    return store;
  });
}

/** Nested lists must have exactly the lengths of the shape, level by level. */
function flatten(where, data, shape, count) {
  let level = [data];
  for (const dim of shape) {
    const next = [];
    for (const part of level) {
      if (!Array.isArray(part) || part.length !== dim) {
        throw new RequestError(`${where}: nested data does not have the shape ${showShape(shape)}`);
      }
      for (const item of part) next.push(item);
    }
    if (next.length > count)
      throw new RequestError(`${where}: nested data does not have the shape ${showShape(shape)}`);
    level = next;
  }
  return level;
}

/**
 * @param wanted what a request asks for; null or an empty list is as none, which is all that the protocol's gRPC form can say
 * @returns [{ tensor, binary }] in the order asked for; all where none is named
 */
export function readOutputs(model, wanted, binaryDefault) {
  const named = wanted ?? [];
  if (!Array.isArray(named)) throw new RequestError('outputs must be a list of outputs');
  if (named.length === 0) return model.outputs.map((tensor) => ({ tensor, binary: binaryDefault }));
  const seen = new Set();
  return named.map((output) => {
    const tensor = isObject(output) ? model.outputs.find(({ name }) => name === output.name) : undefined;
    if (!tensor) {
      const names = model.outputs.map(({ name }) => `"${name}"`).join(', ');
      throw new RequestError(`outputs names something the model does not have; it has ${names}`);
    }
    if (seen.has(tensor.name)) throw new RequestError(`output "${tensor.name}" is asked for twice`);
    seen.add(tensor.name);
    const parameters = parametersOf(output, `output "${tensor.name}"`);
    return { tensor, binary: flag(parameters.binary_data, 'binary_data') ?? binaryDefault };
  });
}

/** Raw mode: the body is the one input's elements; the length gives the one dimension that may vary. */
function fromRaw(model, body) {
  const [input, ...others] = model.inputs;
  const free = input?.shape?.filter((dim) => typeof dim !== 'number').length ?? 2;
  const elementBytes = input === undefined ? 0 : datatype(input.datatype).bytes;
  if (others.length > 0 || free > 1 || elementBytes === 0) {
    throw new RequestError('a raw body needs a model with one numeric input that has at most one variable dimension');
  }
  const rest = input.shape.reduce((product, dim) => (typeof dim === 'number' ? product * dim : product), elementBytes);
  const size = free === 0 ? 1 : body.length / rest;
  const shape = input.shape.map((dim) => (typeof dim === 'number' ? dim : size));
  if (!Number.isInteger(size) || size * rest !== body.length) {
    throw new RequestError(`${body.length} bytes do not fill shape ${showShape(input.shape)} of ${input.datatype}`);
  }
  const where = `input "${input.name}"`;
  const data = guarded(where, () => fromBytes(input.datatype, body, body.length / elementBytes, true));
  return {
    id: undefined,
    feeds: [{ name: input.name, dtype: input.dtype, shape, data }],
    outputs: model.outputs.map((tensor) => ({ tensor, binary: true })),
  };
}
