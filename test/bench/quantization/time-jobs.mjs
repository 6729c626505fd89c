/**
 * What is timed on both sides, job for job. `same`: what the Python tool does and no more, on the same arrays; `more`: what we do by default,
 * or what `optimize` builds.
 *
 * @typedef {object} TimedJob
 * @property {string} name shown in the table
 * @property {'same' | 'more'} kind
 * @property {readonly string[]} ours arguments of mlpack behind the model
 * @property {string} command `run`, or the name of a pass
 * @property {{ script: string, options?: Readonly<Record<string, string | number>> }} theirs
 * @property {boolean} [data] samples are read
 * @property {readonly string[]} ops the model must have one of these
 */

const products = ['MatMul', 'Gemm'];
const layers = ['Conv', ...products];

/** @returns {TimedJob} */
const staticJob = (name, theirs, kind, steps) => ({
  name,
  kind,
  command: 'run',
  ours: ['simplify', 'fuse', `quantize-static:cpu=vnni,${steps}`],
  theirs: { script: 'static.py', options: { method: theirs } },
  data: true,
  ops: layers,
});

/** @returns {TimedJob} */
const weightsJob = (name, theirs, kind, ours, data = false) => ({
  name,
  kind,
  command: 'quantize-weights',
  ours,
  theirs: { script: 'weights.py', options: { method: theirs } },
  data,
  ops: products,
});

/** @type {readonly TimedJob[]} */
export const timedJobs = [
  staticJob('static, minmax', 'MinMax', 'same', 'calibrate=minmax,weights=minmax,place=all'),
  staticJob('static, percentile', 'Percentile', 'same', 'calibrate=percentile,weights=minmax,place=all'),
  staticJob('static, entropy', 'Entropy', 'same', 'calibrate=entropy,weights=minmax,place=all'),
  // What `optimize` builds: codes of weights fitted to what the layers see, and floats where they are faster.
  staticJob('static, fitted weights', 'MinMax', 'more', 'weights=auto'),
  {
    name: 'dynamic, per channel',
    kind: 'same',
    command: 'quantize-dynamic',
    ours: ['--cpu', 'vnni'],
    theirs: { script: 'dynamic.py', options: { per_channel: 1 } },
    ops: [...products, 'LSTM'],
  },
  { name: 'float16', kind: 'same', command: 'to-fp16', ours: [], theirs: { script: 'half.py' }, ops: [...layers, 'LSTM'] },
  weightsJob('4 bits, rtn', 'rtn', 'same', ['--method', 'rtn']),
  weightsJob('4 bits, k-quant', 'k_quant', 'same', ['--method', 'kquant']),
  weightsJob('4 bits, hqq', 'hqq', 'same', ['--method', 'hqq']),
  weightsJob('4 bits, gptq', 'gptq', 'same', ['--method', 'gptq'], true),
];
