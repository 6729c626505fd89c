import { jobs, prepare } from './job.mjs';

/** 4-bit weights in blocks of 32 as MatMulNBits, both sides at accuracy level 4. */
export const weightJobs = jobs([
  {
    format: 'int4 weights',
    skip: ({ ops }) => (ops.has('MatMul') || ops.has('Gemm') ? undefined : 'neither MatMul nor Gemm'),
    ours: [
      { name: 'rtn', steps: [...prepare, 'quantize-weights:method=rtn'] },
      { name: 'kquant', steps: [...prepare, 'quantize-weights:method=kquant'] },
      // Without data: text that a language model writes itself, else as kquant.
      { name: 'auto, no data', steps: [...prepare, 'quantize-weights'] },
      { name: 'awq', steps: [...prepare, 'quantize-weights:method=awq'], data: true },
      { name: 'gptq', steps: [...prepare, 'quantize-weights:method=gptq'], data: true },
    ],
    theirs: ['rtn', 'k_quant', 'hqq'].map((method) => ({ name: method, script: 'weights.py', options: { method } })),
  },
]);
