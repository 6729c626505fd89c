/** The signature of a model in terms of the protocol. */

import { createHash } from 'node:crypto';
import { datatypeOf } from './datatypes.mjs';

/** Tells models apart: of all files, since weights of their own (external data) may change where the graph does not. */
export function modelDigest({ model, files }) {
  const digests = model.files.map(({ path }) => files.find((file) => file.path === path)?.sha256);
  return digests.length === 1 ? model.sha256 : createHash('sha256').update(digests.join()).digest('hex');
}

/** @param manifest of the bundle @param {string} [version] by the folder it lies in; else by the bundle's option */
export function describeModel(manifest, version) {
  const tensor = ({ name, dtype, shape }) => ({ name, dtype, datatype: datatypeOf(dtype), shape });
  return {
    name: manifest.model.name,
    version: version ?? String(manifest.options.modelVersion ?? '1'),
    inputs: manifest.inputs.map(tensor),
    outputs: manifest.outputs.map(tensor),
    properties: { variant: manifest.variant, sha256: manifest.model.sha256 },
    digest: modelDigest(manifest),
    labels: manifest.labels,
    /** Why requests must not share a run, by what the bundle says about the model. */
    mixesRows: manifest.notes.find((note) => note.startsWith('Requests are not batched')),
    /** Why a run may take longer than others of its size, by the same. */
    loops: manifest.notes.find((note) => note.startsWith('A run may take any time')),
  };
}

const metadataTensor = ({ name, datatype, shape }) => ({
  name,
  datatype,
  shape: (shape ?? [-1]).map((dim) => (typeof dim === 'number' ? dim : -1)),
});

/** Model metadata as the protocol has it. */
export function metadataOf(info, versions) {
  return {
    name: info.name,
    versions,
    platform: 'onnx_onnxv1',
    inputs: info.inputs.map(metadataTensor),
    outputs: info.outputs.map(metadataTensor),
  };
}
