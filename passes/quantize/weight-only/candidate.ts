import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import {
  type BlockFit,
  type BlockFormat,
  clipFit,
  hqqFit,
  kquantFit,
  rangeFit,
} from '../../../src/kernels/block-fit.ts';
import { type LinearWeights, quantizeBlocks } from '../../../src/kernels/blockwise.ts';
import { allFinite } from '../../../src/kernels/quantize.ts';
import { float32First, floatWeights, type Linear, readLinear } from '../linear.ts';
import { looksUp } from '../table.ts';
import {
  blockFormat,
  type MethodName,
  type QuantizedLayer,
  smallestBlock,
  type WeightOnlyOptions,
  weightDecibels,
} from './format.ts';
import { lostToUnderflow } from './underflow.ts';

/** How the grid of a block is chosen where there is no data: GPTQ and AWQ have loops of their own, which begin here. */
export const fits: Readonly<Record<MethodName, (format: BlockFormat) => BlockFit>> = {
  rtn: rangeFit,
  clip: clipFit,
  kquant: kquantFit,
  hqq: hqqFit,
  awq: clipFit,
  gptq: rangeFit,
};

/**
 * A layer whose weights can be stored in blocks, or the sentence that says why not. Reads shapes only.
 * @param tied whether embeddings that read the same weights take the same codes
 */
export function candidate(node: Node, options: WeightOnlyOptions, tied: (gather: Node) => boolean): Linear | string {
  const found = readLinear(node);
  if (typeof found === 'string') return found;
  const linear = withoutOnes(found);
  const { weight, tensor, batch, k } = linear;
  const name = `its weights "${weight.name}"`;
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'float16')
    return `${name} are ${tensor.dtype}, not float32 or float16${float32First(tensor.dtype)}`;
  if (batch.length > 0)
    return `${name} are a batch of matrices (${tensor.shape.join('×')}): weight-only formats take a single matrix`;
  const elements = elementCount(tensor.shape);
  if (elements < options.minElements) {
    return `${name} have ${elements} elements: below ${options.minElements} there is nothing to gain (--min-elements)`;
  }
  const reader = otherReader(linear, tied);
  if (reader)
    return `${name} are read by ${reader} too: the float table would stay beside the codes, and the file would grow`;
  if (k < smallestBlock) return `${name} have ${k} inputs, fewer than the smallest block (${smallestBlock})`;
  return linear;
}

/** Leading dimensions of 1 say nothing where the activations have as many dimensions. */
function withoutOnes(linear: Linear): Linear {
  const { batch, a, tensor } = linear;
  const rank = a.shape?.length;
  if (batch.length === 0 || batch.some((dim) => dim !== 1) || rank === undefined || rank < tensor.shape.length)
    return linear;
  return { ...linear, batch: [] };
}

/** A node that reads the weights as they are, an embedding's Gather for one; directly, or behind a Transpose. */
function otherReader({ weight, rows, alpha, k }: Linear, tied: (gather: Node) => boolean): Node | undefined {
  const multiplies = (node: Node, value: Value): boolean =>
    (node.is('MatMul') || node.is('Gemm')) && node.input(1) === value && node.input(0) !== value;
  for (const node of weight.consumers) {
    if (node.is('Transpose')) {
      const turned = node.output();
      if (turned.isGraphOutput) return node;
      const other = turned.consumers.find((reader) => !multiplies(reader, turned));
      if (other) return other;
    } else if (looksUp(node, weight)) {
      // Rows of the table are rows of the codes where neither a factor nor padding stands between.
      if (rows !== 'n' || alpha !== 1 || k % smallestBlock !== 0 || !tied(node)) return node;
    } else if (!multiplies(node, weight)) return node;
  }
  return undefined;
}

/** The layer's weights; alpha of a Gemm is part of them. A sentence when the numbers cannot be stored. */
export function layerWeights({ tensor, weight, k, n, rows, alpha }: Linear): LinearWeights | string {
  const source = floatWeights(tensor) ?? new Float32Array();
  if (!allFinite(source)) return `its weights "${weight.name}" hold NaN or infinite numbers`;
  return { data: alpha === 1 ? source : source.map((x) => x * alpha), k, n, rows };
}

/** The layer quantized without data. A sentence when the numbers cannot be stored. */
export function quantizeLayer(linear: Linear, options: WeightOnlyOptions): QuantizedLayer | string {
  const weights = layerWeights(linear);
  if (typeof weights === 'string') return weights;
  const format = blockFormat(linear, options);
  const quantized = quantizeBlocks(weights, format, fits[options.method](format));
  return (
    lostToUnderflow(linear.weight, weights, quantized, format) ?? {
      quantized,
      format,
      quality: weightDecibels(quantized),
    }
  );
}
