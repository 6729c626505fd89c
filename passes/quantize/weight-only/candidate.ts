import type { Node } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import type { BlockFormat, BlockQuantized } from '../../../src/kernels/blockwise.ts';
import { allFinite } from '../../../src/kernels/quantize.ts';
import { floatWeights, type Linear, readLinear } from '../linear.ts';
import { methods, type WeightOnlyOptions } from './format.ts';

/** A layer whose weights can be stored in blocks, or the sentence that says why not. Reads shapes only. */
export function candidate(node: Node, options: WeightOnlyOptions): Linear | string {
  const linear = readLinear(node);
  if (typeof linear === 'string') return linear;
  const { weight, tensor, batch, k } = linear;
  const name = `its weights "${weight.name}"`;
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'float16')
    return `${name} are ${tensor.dtype}, not float32 or float16`;
  if (batch.length > 0)
    return `${name} are a batch of matrices (${tensor.shape.join('×')}): weight-only formats take a single matrix`;
  const elements = elementCount(tensor.shape);
  if (elements < options.minElements) {
    return `${name} have ${elements} elements: below ${options.minElements} there is nothing to gain (--min-elements)`;
  }
  if (options.block > k)
    return `a block of ${options.block} is longer than the ${k} inputs of ${name}: use a smaller --block`;
  return linear;
}

/** Codes and scales of the layer; alpha of a Gemm is part of the scales. A sentence when the numbers cannot be stored. */
export function quantizeLayer(
  linear: Linear,
  options: WeightOnlyOptions,
): { quantized: BlockQuantized; format: BlockFormat } | string {
  const { tensor, weight, k, n, rows, alpha } = linear;
  const source = floatWeights(tensor) ?? new Float32Array();
  if (!allFinite(source)) return `its weights "${weight.name}" hold NaN or infinite numbers`;
  const data = alpha === 1 ? source : source.map((x) => x * alpha);
  const format: BlockFormat = {
    bits: options.bits,
    block: options.block,
    symmetric: options.symmetric,
    scaleType: tensor.dtype === 'float16' ? 'float16' : 'float32',
  };
  return { quantized: methods[options.method]({ data, k, n, rows }, format), format };
}
