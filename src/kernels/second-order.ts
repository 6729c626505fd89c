import { columnsOf, type GptqFactor, type Product32 } from './gptq.ts';
import { smallest } from './mask.ts';

/**
 * Which weights of a layer go. share: `drop` of all, wherever they do least harm · n-of-m: of each whole group of `m` inputs `n` stay ·
 * groups: `drop` whole groups of inputs of one output.
 */
export type Removal =
  | { readonly kind: 'share'; readonly drop: number }
  | { readonly kind: 'n-of-m'; readonly n: number; readonly m: number }
  | { readonly kind: 'groups'; readonly drop: number };

/** Columns, at least, between two updates of the rest, each of which is one product. */
const panel = 128;

/**
 * SparseGPT (Frantar and Alistarh 2023): weights are removed input by input, and what each removal does to the output is made up for
 * by the inputs still to come: with e = w / U_ii, w_j −= U_ij · e for all j behind i. Those go whose removal costs least, w² / U_ii².
 * @param rows weights [n, k]
 * @param groups inputs that are decided on together, in the order of the factor; single ones for `share`
 * @returns weights [n, k] with zeros
 */
export async function removeSecondOrder(
  rows: Float32Array,
  n: number,
  factor: GptqFactor,
  groups: readonly (readonly number[])[],
  removal: Removal,
  product: Product32,
): Promise<Float32Array> {
  const { k, order, upper } = factor;
  const current = new Float32Array(k * n);
  for (let i = 0; i < k; i++)
    for (let r = 0; r < n; r++) current[i * n + r] = rows[r * k + (order[i] as number)] as number;
  const units = removal.kind === 'groups' ? groups.length * n : k * n;
  let [seen, dropped] = [0, 0];
  for (let start = 0, g = 0; start < k; ) {
    const first = g;
    let next = start;
    while (next < k && next - start < panel) next += groups[g++]?.length ?? k;
    const length = next - start;
    const own = groups.slice(first, g);
    let mask: Uint8Array | undefined;
    if (removal.kind !== 'n-of-m') {
      seen += removal.kind === 'groups' ? own.length * n : length * n;
      const count = Math.round((removal.drop * seen) / units) - dropped;
      dropped += count;
      mask =
        removal.kind === 'share'
          ? cheapest(current, start, length, n, upper, k, count)
          : cheapestGroups(current, start, own, n, upper, k, count);
    }
    const errors = new Float32Array(length * n);
    let at = start;
    for (const { length: size } of own) {
      const chosen =
        removal.kind === 'n-of-m' ? nOfM(current, at, size, n, upper, k, removal) : mask?.subarray((at - start) * n);
      for (let i = at; i < at + size; i++) {
        const pivot = upper[i * k + i] as number;
        let any = false;
        for (let r = 0; r < n; r++) {
          if (chosen?.[(i - at) * n + r] !== 1) continue;
          const w = current[i * n + r] as number;
          current[i * n + r] = 0;
          if (w === 0) continue;
          errors[(i - start) * n + r] = w / pivot;
          any = true;
        }
        if (!any) continue;
        for (let j = i + 1; j < next; j++) {
          const share = upper[i * k + j] as number;
          if (share === 0) continue;
          // Weights that are gone already lie before i, or keep their mark and are set to zero in their turn.
          for (let r = 0; r < n; r++)
            current[j * n + r] = (current[j * n + r] as number) - share * (errors[(i - start) * n + r] as number);
        }
      }
      at += size;
    }
    if (next < k) {
      const handed = await product(columnsOf(upper, k, start, next), errors, k - next, length, n);
      const from = next * n;
      for (let i = 0; i < handed.length; i++) current[from + i] = (current[from + i] as number) - (handed[i] as number);
    }
    start = next;
  }
  const result = new Float32Array(n * k);
  for (let i = 0; i < k; i++)
    for (let r = 0; r < n; r++) result[r * k + (order[i] as number)] = current[i * n + r] as number;
  return result;
}

/** The `count` weights of the panel that cost least. */
function cheapest(
  current: Float32Array,
  start: number,
  length: number,
  n: number,
  upper: Float64Array,
  k: number,
  count: number,
): Uint8Array {
  const scores = new Float32Array(length * n);
  for (let i = 0; i < length; i++) {
    const pivot = upper[(start + i) * k + start + i] as number;
    for (let r = 0; r < n; r++) scores[i * n + r] = Math.abs(current[(start + i) * n + r] as number) / pivot;
  }
  return smallest(scores, count);
}

/** Marks of the weights of the `count` groups that cost least. */
function cheapestGroups(
  current: Float32Array,
  start: number,
  groups: readonly (readonly number[])[],
  n: number,
  upper: Float64Array,
  k: number,
  count: number,
): Uint8Array {
  const scores = new Float32Array(groups.length * n);
  let at = start;
  for (const [g, { length }] of groups.entries()) {
    for (let i = at; i < at + length; i++) {
      const pivot = upper[i * k + i] as number;
      for (let r = 0; r < n; r++)
        scores[g * n + r] = (scores[g * n + r] as number) + ((current[i * n + r] as number) / pivot) ** 2 / length;
    }
    at += length;
  }
  const chosen = smallest(scores, count);
  const mask = new Uint8Array((at - start) * n);
  let row = 0;
  for (const [g, { length }] of groups.entries())
    for (let i = 0; i < length; i++, row++) mask.set(chosen.subarray(g * n, (g + 1) * n), row * n);
  return mask;
}

/** Of each whole group of m inputs all but the n dearest; an incomplete one stays whole. */
function nOfM(
  current: Float32Array,
  start: number,
  size: number,
  n: number,
  upper: Float64Array,
  k: number,
  removal: { readonly n: number; readonly m: number },
): Uint8Array {
  const mask = new Uint8Array(size * n);
  if (size < removal.m) return mask;
  const costs = new Float64Array(size);
  for (let r = 0; r < n; r++) {
    for (let i = 0; i < size; i++)
      costs[i] = Math.abs(current[(start + i) * n + r] as number) / (upper[(start + i) * k + start + i] as number);
    for (let gone = 0; gone < size - removal.n; gone++) {
      let least = 0;
      for (let i = 1; i < size; i++) if ((costs[i] as number) < (costs[least] as number)) least = i;
      costs[least] = Number.POSITIVE_INFINITY;
      mask[least * n + r] = 1;
    }
  }
  return mask;
}

/**
 * The weights that are left, brought to where the output is nearest to that of the original: conjugate gradients on
 * tr((w − ŵ)·H·(w − ŵ)ᵀ) over the places where ŵ is not zero, each output on its own, all in one product a step.
 * @param rows original weights [n, k]
 * @param pruned [n, k], where to begin
 * @param hessian [k, k], symmetric, its diagonal free of zeros
 */
export async function refitKept(
  rows: Float32Array,
  pruned: Float32Array,
  n: number,
  k: number,
  hessian: Float32Array,
  steps: number,
  product: Product32,
): Promise<Float32Array> {
  const weights = pruned.slice();
  const kept = Uint8Array.from(pruned, (w) => (w === 0 ? 0 : 1));
  const difference = new Float32Array(n * k);
  for (let i = 0; i < difference.length; i++) difference[i] = (rows[i] as number) - (weights[i] as number);
  const residual = await product(difference, hessian, n, k, k);
  const direction = new Float32Array(n * k);
  const before = new Float64Array(n);
  for (let step = 0; step < steps; step++) {
    // Preconditioned by the diagonal.
    for (let r = 0; r < n; r++) {
      let rho = 0;
      for (let i = 0; i < k; i++) {
        const at = r * k + i;
        if (kept[at] === 0) residual[at] = 0;
        else rho += (residual[at] as number) ** 2 / (hessian[i * k + i] as number);
      }
      const last = before[r] as number;
      const carry = step > 0 && last > 0 ? rho / last : 0;
      before[r] = rho;
      for (let i = 0; i < k; i++) {
        const at = r * k + i;
        direction[at] = (residual[at] as number) / (hessian[i * k + i] as number) + carry * (direction[at] as number);
      }
    }
    const image = await product(direction, hessian, n, k, k);
    let moved = false;
    for (let r = 0; r < n; r++) {
      let curvature = 0;
      for (let at = r * k; at < (r + 1) * k; at++) curvature += (direction[at] as number) * (image[at] as number);
      if (!(curvature > 0)) continue;
      const length = (before[r] as number) / curvature;
      if (!Number.isFinite(length)) continue;
      moved = true;
      for (let at = r * k; at < (r + 1) * k; at++) {
        weights[at] = (weights[at] as number) + length * (direction[at] as number);
        residual[at] = (residual[at] as number) - length * (image[at] as number);
      }
    }
    if (!moved) break;
  }
  // A weight that comes out as exactly zero is still one that was kept: nothing is to be done about it.
  return weights;
}
