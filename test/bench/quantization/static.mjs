import { jobs, prepare } from './job.mjs';

const ours = (calibrate, cpu) => ({
  name: calibrate,
  steps: [...prepare, `quantize-static:calibrate=${calibrate},cpu=${cpu}`],
  data: true,
});
const theirs = (method) => ({ name: method, script: 'static.py', options: { method } });

/** Static INT8 on the processor at hand; both sides with each of their calibrators, 8-bit weights per channel. */
export const staticJobs = jobs([
  {
    format: 'int8 static',
    skip: ({ calibrated, ops }) =>
      calibrated ? (ops.has('Conv') || ops.has('Gemm') || ops.has('MatMul') ? undefined : 'nothing to quantize') : 'no calibration data',
    ours: [
      // What `optimize` builds: codes of weights fitted by GPTQ where that does not take minutes.
      { name: 'gptq', steps: [...prepare, 'quantize-static:weights=auto,cpu=vnni'], data: true },
      ...['minmax', 'percentile', 'mse', 'entropy'].map((method) => ours(method, 'vnni')),
    ],
    theirs: ['MinMax', 'Percentile', 'Entropy'].map(theirs),
  },
]);
