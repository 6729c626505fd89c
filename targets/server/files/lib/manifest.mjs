/**
 * What mlpack.json has to hold for its model to be run. It may have been edited by hand, or come from somewhere: what is wrong with it is told in
 * words, before it breaks something else.
 */

import { datatypeOf } from './datatypes.mjs';
import { BundleError } from './errors.mjs';

/** Checks one value; else throws where it stands, what it is and what it must be. */
function need(good, place, value, what) {
  if (good) return;
  const shown = value === undefined ? 'missing' : JSON.stringify(value).slice(0, 100);
  throw new BundleError(
    `mlpack.json: ${place} is ${shown}, and must be ${what}; put the file back as mlpack bundle wrote it`,
  );
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === 'string' && value !== '';
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isDigest = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

function list(value, place, check) {
  need(Array.isArray(value), place, value, 'a list');
  for (const [i, one] of value.entries()) {
    need(isObject(one), `${place}[${i}]`, one, 'an object');
    check(one, `${place}[${i}]`);
  }
}

function typed({ name, dtype }, place) {
  need(typeof name === 'string', `${place}.name`, name, 'text');
  try {
    datatypeOf(dtype);
  } catch (error) {
    need(false, `${place}.dtype`, dtype, `the type of a tensor (${error.message})`);
  }
}

/** An input or output: a dimension is a number, or a name or null where it varies. */
function signature(tensor, place) {
  typed(tensor, place);
  const { shape } = tensor;
  const dims = (dim) => dim === null || typeof dim === 'string' || isCount(dim);
  need(
    shape === null || (Array.isArray(shape) && shape.every(dims)),
    `${place}.shape`,
    shape,
    'null or a list of dimensions (whole numbers, names, null)',
  );
}

function tolerance(value, place) {
  const { rtol, atol } = isObject(value) ? value : {};
  need(
    [rtol, atol].every((one) => typeof one === 'number' && one >= 0),
    place,
    value,
    '{ "rtol": …, "atol": … }',
  );
}

/** Tensors of a golden case: those of the signature, in its order. */
function recorded(tensors, place, expected) {
  list(tensors, place, (tensor, at) => {
    typed(tensor, at);
    const { shape, file } = tensor;
    need(Array.isArray(shape) && shape.every(isCount), `${at}.shape`, shape, 'a list of whole numbers');
    need(isText(file), `${at}.file`, file, 'the path of a file');
    if (tensor.tolerance !== undefined) tolerance(tensor.tolerance, `${at}.tolerance`);
  });
  const names = (list) => JSON.stringify(list.map(({ name }) => name).sort());
  need(
    names(tensors) === names(expected),
    place,
    tensors.map(({ name }) => name),
    `the tensors ${names(expected)}`,
  );
}

/** @throws BundleError about the first thing that is wrong */
export function checkManifest(manifest) {
  need(isObject(manifest) && manifest.schema === 'mlpack.bundle/1', 'schema', manifest?.schema, '"mlpack.bundle/1"');
  const { tool, options, model, inputs, outputs, notes, golden, files } = manifest;
  need(isText(tool?.version), 'tool.version', tool?.version, 'text');
  need(isObject(options), 'options', options, 'an object');
  need(isText(model?.name), 'model.name', model?.name, 'text');
  need(isDigest(model.sha256), 'model.sha256', model.sha256, 'a SHA-256 in hexadecimal');
  list(files, 'files', ({ path, bytes, sha256 }, at) => {
    need(isText(path), `${at}.path`, path, 'the path of a file');
    need(isCount(bytes), `${at}.bytes`, bytes, 'a number of bytes');
    need(isDigest(sha256), `${at}.sha256`, sha256, 'a SHA-256 in hexadecimal');
  });
  list(model.files, 'model.files', ({ name, path }, at) => {
    need(isText(name), `${at}.name`, name, 'text');
    need(isText(path), `${at}.path`, path, 'the path of a file');
  });
  need(model.files.length > 0, 'model.files', model.files, 'a list with the model');
  list(inputs, 'inputs', signature);
  list(outputs, 'outputs', signature);
  need(Array.isArray(notes) && notes.every((note) => typeof note === 'string'), 'notes', notes, 'a list of texts');
  list(golden, 'golden', (one, at) => {
    recorded(one.inputs, `${at}.inputs`, inputs);
    recorded(one.outputs, `${at}.outputs`, outputs);
    tolerance(one.tolerance, `${at}.tolerance`);
  });
  return manifest;
}
