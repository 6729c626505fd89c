import type { Node, Value } from '../../../src/ir/graph.ts';

/** What activations and norms are spelled with. */
const kernels = new Set(['Erf', 'Tanh', 'Sigmoid', 'Softplus', 'Sqrt', 'Reciprocal', 'HardSigmoid', 'Exp', 'Clip']);
const between = new Set(['Mul', 'Div', 'Add', 'Sub', 'Pow', 'Cast']);

/** Steps that are looked back: an exact Gelu has four between its Erf and its last product. */
const furthest = 6;

/**
 * The product may be the last step of an activation or a norm that is written out (x · ½ · (1 + erf …), x / σ · γ): taking its
 * factor away would hide that from level runtime, or from a later opset.
 */
export function endsFormula(product: Node): boolean {
  const pending: { value: Value | undefined; left: number }[] = product.inputs.map((value) => ({
    value,
    left: furthest,
  }));
  for (let next = pending.pop(); next; next = pending.pop()) {
    const node = next.value?.producer;
    if (!node || node.domain !== '' || next.left === 0) continue;
    if (kernels.has(node.op)) return true;
    if (!between.has(node.op)) continue;
    for (const value of node.inputs) pending.push({ value, left: next.left - 1 });
  }
  return false;
}

/**
 * Factors of input channels are taken into a weight where they lie within this of each other. Behind it, integers with one scale for
 * all channels (activations, and weights by rows) would have to cover the spread too: each doubling costs one of their 8 bits.
 */
const widestSpread = 2;

/** A sentence where the factors of channels differ so much that integers behind them would suffer. */
export function spreads(factors: ArrayLike<number>, name: string): string | undefined {
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  for (let at = 0; at < factors.length; at++) {
    const size = Math.abs(factors[at] as number);
    [least, most] = [Math.min(least, size), Math.max(most, size)];
  }
  if (most <= widestSpread * least) return undefined;
  return `the factors "${name}" lie between ${least.toPrecision(3)} and ${most.toPrecision(3)}: in float they level the channels, which 8 bits behind them rely on`;
}
