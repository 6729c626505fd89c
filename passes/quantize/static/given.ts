import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Affine } from '../../../src/kernels/quantize.ts';

export type ActivationType = 'uint8' | 'int8' | 'uint16' | 'int16';

/**
 * Scale and zero point that a value has already: it comes from a DequantizeLinear, or goes into one QuantizeLinear and nowhere else.
 * @returns undefined for a float value; a sentence where it is quantized in a way that a unit of `type` cannot take over.
 */
export function givenParams(value: Value, type: ActivationType): Affine | string | undefined {
  if (value.producer?.op === 'DequantizeLinear') return read(value, value.producer, type);
  const quantizers = value.consumers.filter(({ op }) => op === 'QuantizeLinear');
  const [only] = quantizers;
  if (!only) return undefined;
  if (value.useCount > 1 || value.isGraphOutput)
    return `"${value.name}" goes into a QuantizeLinear already, and elsewhere too`;
  return read(value, only, type);
}

function read(value: Value, node: Node, type: ActivationType): Affine | string {
  const scale = constantScalar(node.input(1));
  const zero = node.input(2);
  const zeroPoint = zero ? constantScalar(zero) : 0;
  const has = zero?.dtype ?? (node.op === 'DequantizeLinear' ? node.input(0)?.dtype : 'uint8');
  if (has !== type) return `"${value.name}" is quantized already, as ${has ?? 'an unknown type'} and not ${type}`;
  const single = (constantOf(node.input(1))?.shape ?? []).every((dim) => dim === 1);
  if (scale === undefined || zeroPoint === undefined || !single || !(scale > 0))
    return `"${value.name}" is quantized already, with scales that are not one constant`;
  return { scale, zeroPoint };
}
