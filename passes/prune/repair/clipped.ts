import { transpose } from '../../../src/kernels/quantize.ts';
import type { Clip, Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';
import type { Fitted } from './fitted.ts';
import { type HeldOut, PairRows } from './held-out.ts';
import { solveBy } from './moments.ts';

/** What holds weights near those that are there. */
export interface Ridge {
  /** U with (H + strength)⁻¹ = Uᵀ·U, H over all rows of the sum. */
  readonly factor: Float64Array;
  readonly towards: Float32Array;
  readonly strength: number;
}

/** Rounds at most: the first two bring nearly all. */
const rounds = 4;
/** Less of the error than this won in a round is not worth another. */
const leastWon = 1e-3;

/**
 * Fits what a Relu (or Clip) behind the layer lets through, from a fit to all of it: where target and output lie beyond the same bound nothing is
 * asked for, else the target is clipped. Each round fits to what is asked for behind the round before, which never makes it worse on the rows fitted to
 * (majorize and minimize; after Zhang, Zou, He, Sun 2015). Kept as far as the rows held out agree.
 */
export async function fitClipped(
  from: Fitted,
  gram: Gram,
  n: number,
  withBias: boolean,
  clip: Clip,
  { factor, towards, strength }: Ridge,
  held: HeldOut,
  products: Products,
  stop: () => void,
): Promise<Fitted> {
  const k = gram.k - n;
  const kept = new PairRows(gram.kept ?? new Float32Array(), gram, k, n);
  // Fewer would say too little of so many weights.
  if (kept.count < 4 * k) return from;
  const turned = transpose(kept.x, kept.count, k);
  const meanX = Float64Array.from({ length: k }, (_, i) => (gram.total[i] as number) / Math.max(1, gram.rows));
  let best = from;
  for (let round = 0; round < rounds; round++) {
    stop();
    const asked = missing(await kept.outputs(best.rows, best.bias, products), kept, clip);
    const means = withBias ? columnMeans(asked, n) : new Float64Array(n);
    const open = Float64Array.from(
      await products.float32(
        turned,
        asked.map((e, i) => e - (means[i % n] as number)),
        k,
        kept.count,
        n,
      ),
    );
    for (let i = 0; i < k; i++)
      for (let o = 0; o < n; o++) {
        const at = o * k + i;
        const pulled = strength * ((best.rows[at] as number) - (towards[at] as number));
        open[i * n + o] = ((open[i * n + o] as number) * gram.rows) / kept.count - pulled;
      }
    const change = await solveBy(factor, open, k, n, products);
    const rows = best.rows.map((w, at) => w + (change[(at % k) * n + Math.floor(at / k)] as number));
    const bias = best.bias.map((b, o) => {
      if (!withBias) return b;
      let moved = b + (means[o] as number);
      for (let i = 0; i < k; i++) moved -= (change[i * n + o] as number) * (meanX[i] as number);
      return moved;
    });
    const after = await held.error(rows, bias);
    if (!(after < best.after * (1 - leastWon))) break;
    best = { ...best, rows, bias, after };
  }
  return best;
}

/** What each output still lacks of what is asked for. */
function missing(y: Float32Array, { t, beside }: PairRows, { low, high }: Clip): Float32Array {
  return y.map((value, i) => {
    const aside = beside ? (beside[i] as number) : 0;
    const [wanted, now] = [(t[i] as number) + aside, value + aside];
    if (wanted <= low) return Math.min(0, low - now);
    if (wanted >= high) return Math.max(0, high - now);
    return wanted - now;
  });
}

function columnMeans(rows: Float32Array, n: number): Float64Array {
  const means = new Float64Array(n);
  for (const [i, value] of rows.entries()) means[i % n] = (means[i % n] as number) + value;
  return means.map((sum) => sum / Math.max(1, rows.length / n));
}
