import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Compiler, Lazy } from '../compile/compiler.ts';
import { integers } from '../compile/constants.ts';
import { type CType, cannot, countOf, floatLiteral } from '../compile/types.ts';

/** What an operator makes of its operands; type and shape are those of its output. */
export type Expression = Omit<Lazy, 'type' | 'shape'>;
export type Combine = (operands: readonly Lazy[], text: (parts: readonly string[]) => string) => Expression;

/** Scale and zero point where they are one constant for the whole tensor. */
export function scalarQuantization(compiler: Compiler, node: Node): { scale: number; zeroPoint: number } | undefined {
  const scale = compiler.constantOf(node.inputs[1]);
  const zero = compiler.constantOf(node.inputs[2]);
  if (!scale || scale.dtype !== 'float32' || countOf(scale.shape) !== 1 || (node.inputs[2] && !zero)) return undefined;
  return { scale: compiler.numbers(node, 1)?.[0] ?? 1, zeroPoint: (zero && integers(zero)?.[0]) ?? 0 };
}

/** Notes what an 8-bit tensor stands for, so that nobody need dequantize it; false where that cannot be said in two numbers. */
export function rememberQuantized(compiler: Compiler, node: Node, output: Value): boolean {
  if (compiler.constantOf(output)) return true;
  const parameters = scalarQuantization(compiler, node);
  const { type } = compiler.typeOf(compiler.input(node, 0));
  if (!parameters || (type !== 'i8' && type !== 'u8') || output.dtype !== 'float32') return false;
  compiler.setQuantized(output, { ref: compiler.ref(compiler.input(node, 0)), ...parameters });
  return true;
}

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32768, 32767],
  u16: [0, 65535],
};

export function rangeOf(node: Node, type: CType): readonly [number, number] {
  return ranges[type] ?? cannot(node, `it quantizes to ${type}, and 8 or 16 bits are known`);
}

export function quantize(compiler: Compiler, node: Node, x: Lazy, combine: Combine): Expression {
  const { type } = compiler.typeOf(node.output());
  const [lo, hi] = rangeOf(node, type);
  const parameters =
    scalarQuantization(compiler, node) ?? cannot(node, 'scale and zero point must be one constant each');
  return combine(
    [x],
    ([a]) => `(${type})quantize(${a}, ${floatLiteral(parameters.scale)}, ${parameters.zeroPoint}, ${lo}, ${hi})`,
  );
}

/** Scales along an axis, or of a type wider than 8 bits: as a product with vectors that are repeated. */
export function dequantizeAxis(compiler: Compiler, node: Node, x: Lazy, combine: Combine): Expression {
  const scales = compiler.numbers(node, 1) ?? cannot(node, 'its scale must be a constant');
  if (node.int('block_size', 0) !== 0) return cannot(node, 'scales of blocks are known for constants only');
  const zeroTensor = compiler.constantOf(node.inputs[2]);
  const zeros = Float32Array.from(scales, (_, i) => (zeroTensor && integers(zeroTensor)?.[i]) ?? 0);
  const rank = x.shape.length;
  const axis = (node.int('axis', 1) + rank) % Math.max(1, rank);
  const shape = x.shape.map((dim, i) => (scales.length > 1 && i === axis ? dim : 1));
  const leaf = (values: Float32Array): Lazy => {
    const ref = compiler.floats(values, shape);
    return { type: 'f32', shape, leaves: [ref], weight: 0, text: (read) => read(ref) };
  };
  return combine([x, leaf(zeros), leaf(scales)], ([q, z, s]) => `(((f32)${q} - ${z}) * ${s})`);
}
