import { jobs, prepare } from './job.mjs';

/** Half precision that keeps the types of inputs and outputs. */
export const halfJobs = jobs([
  {
    format: 'float16',
    ours: [{ name: 'to-fp16', steps: [...prepare, 'to-fp16'] }],
    theirs: [{ name: 'float16.py', script: 'half.py' }],
  },
]);
