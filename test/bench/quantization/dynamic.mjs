import { jobs, prepare } from './job.mjs';

/** INT8 with activations quantized at run time: models of matrix products and recurrence. */
export const dynamicJobs = jobs([
  {
    format: 'int8 dynamic',
    skip: ({ ops }) =>
      ops.has('MatMul') || ops.has('Gemm') || ops.has('LSTM') ? undefined : 'neither MatMul nor Gemm nor LSTM',
    ours: [{ name: 'full range', steps: [...prepare, 'quantize-dynamic:cpu=vnni'] }],
    theirs: [
      { name: 'default', script: 'dynamic.py' },
      { name: 'per channel', script: 'dynamic.py', options: { per_channel: 1 } },
    ],
  },
]);
