/** Rules of fuse about linear operators: fired by the graphs of random-graph.ts, the others by those of random-blocks.ts. */
export const linearRules: ReadonlySet<string> = new Set([
  'conv-bn',
  'gemm-bn',
  'conv-add',
  'conv-mul',
  'gemm-add',
  'gemm-mul',
  'matmul-add',
  'pad-conv',
  'pad-pool',
  'bn-conv',
  'clip-clip',
  'add-chain',
  'mul-chain',
]);
