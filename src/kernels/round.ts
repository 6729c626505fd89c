/** 1.5·2⁵²: adding it pushes the fraction of a double out, and the processor rounds ties to even. */
const MAGIC = 6755399441055744;

/** Nearest integer, ties to even, for |x| < 2⁵¹; NaN stays NaN. QuantizeLinear rounds like this. */
export function roundHalfEven(x: number): number {
  return x + MAGIC - MAGIC;
}
