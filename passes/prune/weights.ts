import { typedArray } from '../../src/ir/tensor.ts';
import { f16ToF32 } from '../../src/kernels/f16.ts';
import type { PruneTarget } from './targets.ts';

/** float32 weights as they are, float16 ones widened (exact both ways). */
export function weightsOf({ tensor }: PruneTarget): Float32Array {
  return tensor.dtype === 'float16' ? f16ToF32(typedArray(tensor, 'float16')) : typedArray(tensor, 'float32');
}
