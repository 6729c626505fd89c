/** The one input as numpy saves an array (.npy, numpy.lib.format): what SageMaker's NumpySerializer sends as application/x-npy. */

import { datatype, fromBytes } from './datatypes.mjs';
import { RequestError } from './errors.mjs';
import { guarded, readInputs, readOutputs } from './request.mjs';

const magic = '\x93NUMPY';
/** numpy's kinds, with their size → datatype. */
const datatypes = {
  ...{
    b1: 'BOOL',
    u1: 'UINT8',
    u2: 'UINT16',
    u4: 'UINT32',
    u8: 'UINT64',
    i1: 'INT8',
    i2: 'INT16',
    i4: 'INT32',
    i8: 'INT64',
  },
  ...{ f2: 'FP16', f4: 'FP32', f8: 'FP64' },
};

/** @param {Buffer} body @returns as readRequest does @throws RequestError */
export function readNpy(model, body) {
  const [input, ...others] = model.inputs;
  if (input === undefined || others.length > 0)
    throw new RequestError('application/x-npy carries one array, and needs a model with one input');
  const { type, shape, from } = headOf(body);
  const elements = body.subarray(from);
  const given = { name: input.name, datatype: type, shape };
  const feeds = readInputs(model, [given], (where, _given, count) =>
    guarded(where, () => fromBytes(type, elements, count, true)),
  );
  return { id: undefined, feeds, outputs: readOutputs(model, undefined, false) };
}

/** Magic, version, the length of a Python literal, and that: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. */
function headOf(body) {
  const wide = body[6] > 1;
  const from = wide ? 12 : 10;
  if (body.length < 12 || body.toString('latin1', 0, 6) !== magic)
    throw new RequestError('the body does not begin as a .npy file does; raw elements are application/octet-stream');
  const end = from + (wide ? body.readUInt32LE(8) : body.readUInt16LE(8));
  const text = body.toString('latin1', from, end);
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1] ?? '';
  const dims = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  if (end > body.length || dims === undefined || order === undefined)
    throw new RequestError('the head of the .npy file cannot be read');
  const shape = (dims.match(/\d+/g) ?? []).map(Number);
  const [, sign, kind] = /^([<>|=]?)(\w+)$/.exec(descr) ?? [];
  const type = Object.hasOwn(datatypes, kind) ? datatypes[kind] : undefined;
  if (type === undefined || (sign === '>' && datatype(type).bytes > 1))
    throw new RequestError(
      `the .npy file has elements of "${descr}"; plain little-endian numbers and booleans are read`,
    );
  if (order === 'True' && shape.length > 1)
    throw new RequestError('the .npy file is in Fortran order; save numpy.ascontiguousarray(…)');
  return { type, shape, from: end };
}
