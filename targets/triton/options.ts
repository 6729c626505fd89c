import { opt } from '../../src/pass/options.ts';

/**
 * Triton waits also where nobody else comes, so this is what a lone request pays at most. In this project's server, which does not, 1 ms gives a
 * third more requests/s where batches pay (docs/server.md); Triton itself was not to be had.
 */
const delayUs = 1000;

/** Options of everything that carries a Triton repository. */
export const tritonOptions = {
  maxBatch: opt.int(0, 'rows in one run; 0: measured on this machine, and none where the model does not take them', {
    min: 0,
    max: 65_536,
  }),
  delayUs: opt.int(delayUs, 'microseconds that Triton waits for a batch to fill up', { min: 0, max: 10_000_000 }),
  instances: opt.int(0, 'instances of the model, each with its own session; 0: measured for 2 CPUs', {
    min: 0,
    max: 1024,
  }),
  threads: opt.int(0, 'threads of each instance on the CPU; 0: measured for 2 CPUs', { min: 0, max: 1024 }),
  ort: opt.string('1.27', 'ONNX Runtime in the server, which must load the model (Triton 26.09 carries 1.27)'),
  kind: opt.choice(['cpu', 'gpu'], 'cpu', 'where instances run'),
  ensemble: opt.boolean(true, 'where pictures go in: a model that prepares their pixels, and an ensemble of both'),
};
