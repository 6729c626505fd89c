import type { Node } from '../../../src/ir/graph.ts';

const dequantizers = new Set(['DequantizeLinear']);
const quantizers = new Set(['QuantizeLinear', 'DynamicQuantizeLinear']);
const integerProducts = new Set(['MatMulInteger', 'ConvInteger']);

/** Operators that read scales of quantized weights or activations; their kernels want constants. */
const scaledOps =
  /^(QuantizeLinear|DequantizeLinear|QLinear\w+|QGemm|QAttention|QMoE|QEmbedLayerNormalization|MatMulIntegerToFloat|DynamicQuantize(MatMul|LSTM)|MatMulNBits\w*|MatMulBnb4|GatherBlockQuantized)$/;

export const readsScales = ({ op }: Node): boolean => scaledOps.test(op);

/**
 * Why a node belongs to 8-bit arithmetic, whose float parts must stay float32 for runtimes to fuse them: it stands
 * between DequantizeLinear and QuantizeLinear, or scales the 32-bit sums of MatMulInteger or ConvInteger (which
 * would not fit float16).
 */
export function quantizedUnit(node: Node): string | undefined {
  const producers = node.inputs.map((value) => value?.producer);
  if (producers.some((producer) => producer && dequantizers.has(producer.op)))
    return 'it reads dequantized values, and 8-bit kernels fuse with float32 only';
  const readers = node.outputs.flatMap((value) => value?.consumers ?? []);
  if (readers.some((reader) => quantizers.has(reader.op)))
    return 'its result is quantized, and 8-bit kernels fuse with float32 only';
  const scaled = producers.some((producer) => {
    const cast = producer?.is('Cast') ? producer.input(0)?.producer : undefined;
    return (producer && integerProducts.has(producer.op)) || (cast && integerProducts.has(cast.op));
  });
  if (scaled) return 'it scales 32-bit sums of an integer product, which float16 cannot hold';
  // The scale of the activation times that of the weights, on its way to such a product.
  const feedsScaling = readers.some(
    (reader) =>
      reader.is('Mul') &&
      reader.inputs.some(
        (value) => value?.producer?.is('Cast') && integerProducts.has(value.producer.input(0)?.producer?.op ?? ''),
      ),
  );
  if (feedsScaling && producers.some((producer) => producer?.is('DynamicQuantizeLinear')))
    return 'it is the scale of an integer product';
  return undefined;
}
