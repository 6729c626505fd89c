import { type DType, dtypeFromCode, dtypeKind } from '../../../src/ir/dtype.ts';
import type { Node } from '../../../src/ir/graph.ts';
import type { Known } from '../known.ts';
import { localRule } from '../local-rule.ts';

/** Cast and CastLike to the type the value has already. */
export const castNoop = localRule(
  'cast-noop',
  'Cast to the type it has: its input',
  ['Cast', 'CastLike'],
  (node, known) => {
    const input = node.input(0);
    const to = castTarget(node, known);
    return input && to !== undefined && known.dtype(input) === to ? { bypass: input } : undefined;
  },
);

/** Cast(Cast(x)): one Cast, or none, when the first loses nothing. */
export const castChain = localRule(
  'cast-chain',
  'Cast of a lossless Cast: one Cast, or none',
  ['Cast'],
  (node, known) => {
    const first = node.input(0)?.producer;
    const x = first?.input(0);
    if (!first?.is('Cast') || first.graph !== node.graph || !x) return undefined;
    const from = known.dtype(x);
    const middle = castTarget(first, known);
    const to = castTarget(node, known);
    if (!from || !middle || !to) return undefined;
    if (!isLossless(from, middle)) return { why: `the first Cast, ${from} to ${middle}, rounds or drops values` };
    if (from === to) return { bypass: x };
    if (isFloat(middle) && !isFloat(to) && to !== 'bool') {
      return { why: `${middle} to ${to} is not defined alike for values that do not fit` };
    }
    if (to === 'string' || dtypeKind(to) === 'complex') return undefined;
    return {
      detail: `${from} to ${to}`,
      make: (edit) => edit.insertLike(node, { inputs: [x] }),
    };
  },
);

/** The element type that a Cast gives, or that CastLike takes from its second input. */
function castTarget(node: Node, known: Known): DType | undefined {
  if (node.is('CastLike')) return known.dtype(node.input(1));
  const code = node.int('to');
  return code === undefined ? undefined : dtypeFromCode(code);
}

const isFloat = (dtype: DType): boolean => dtypeKind(dtype) === 'float';

/** Bits of integer range (sign included) and of float significand (hidden bit included), and exponent range. */
const floatFormats: Partial<Record<DType, { significand: number; minExponent: number; maxExponent: number }>> = {
  float16: { significand: 11, minExponent: -24, maxExponent: 15 },
  bfloat16: { significand: 8, minExponent: -133, maxExponent: 127 },
  float32: { significand: 24, minExponent: -149, maxExponent: 127 },
  float64: { significand: 53, minExponent: -1074, maxExponent: 1023 },
};

const integerBits: Partial<Record<DType, { signed: boolean; bits: number }>> = {
  int8: { signed: true, bits: 7 },
  int16: { signed: true, bits: 15 },
  int32: { signed: true, bits: 31 },
  int64: { signed: true, bits: 63 },
  uint8: { signed: false, bits: 8 },
  uint16: { signed: false, bits: 16 },
  uint32: { signed: false, bits: 32 },
  uint64: { signed: false, bits: 64 },
  bool: { signed: false, bits: 1 },
};

/** Every value of `from` is a value of `to`, so that the way back gives it again. 8-bit and packed types: no. */
function isLossless(from: DType, to: DType): boolean {
  if (from === to) return true;
  const wide = floatFormats[to];
  const narrow = floatFormats[from];
  if (wide && narrow) {
    return (
      wide.significand >= narrow.significand &&
      wide.minExponent <= narrow.minExponent &&
      wide.maxExponent >= narrow.maxExponent
    );
  }
  const integer = integerBits[from];
  if (!integer) return false;
  if (wide) return wide.significand >= integer.bits && wide.maxExponent >= integer.bits;
  const target = integerBits[to];
  if (!target || to === 'bool') return false;
  return target.bits >= integer.bits && (target.signed || !integer.signed);
}
