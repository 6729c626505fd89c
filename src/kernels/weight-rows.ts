import { columnsOf, type GptqFactor, type Product32 } from './gptq.ts';
import { isPruned } from './mask.ts';
import type { IntRange } from './quantize.ts';
import { roundHalfEven } from './round.ts';

/**
 * Symmetric integer weights as rows [N, K], one for each output: what range search and rounding work on, whatever the layout in the
 * file. `scales` has one number for each row, or one for all.
 */
export interface CodedRows {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

/** Clip ratios tried, as shares of the full range. Below 0.6 nothing ever won on the models we measured. */
const ratios = Array.from({ length: 21 }, (_, i) => 1 - i * 0.02);

/**
 * Scales among the clipped ranges with the least Σ energy · (w − ŵ)², rounding to nearest.
 * @param rows [n, k] @param full scales of the full range @param energyOf mean squares of the inputs of a row; undefined: all alike
 */
export function searchScales(
  rows: Float32Array,
  k: number,
  full: Float32Array,
  range: IntRange,
  energyOf?: (row: number) => ArrayLike<number>,
): Float32Array {
  const n = rows.length / k;
  const single = full.length === 1;
  const best = full.slice();
  const least = new Float64Array(full.length).fill(Number.POSITIVE_INFINITY);
  for (const ratio of ratios) {
    const errors = new Float64Array(full.length);
    for (let row = 0; row < n; row++) {
      const at = single ? 0 : row;
      const scale = Math.fround((full[at] as number) * ratio);
      errors[at] = (errors[at] as number) + rowError(rows, row * k, k, scale, range, energyOf?.(row));
    }
    for (let at = 0; at < full.length; at++) {
      if (!((errors[at] as number) < (least[at] as number))) continue;
      least[at] = errors[at] as number;
      best[at] = Math.fround((full[at] as number) * ratio);
    }
  }
  return best;
}

function rowError(
  rows: Float32Array,
  from: number,
  k: number,
  scale: number,
  range: IntRange,
  energy: ArrayLike<number> | undefined,
): number {
  let sum = 0;
  for (let i = 0; i < k; i++) {
    const w = rows[from + i] as number;
    const error = w - clamp(roundHalfEven(w / scale), range) * scale;
    sum += (energy ? (energy[i] as number) : 1) * error * error;
  }
  return sum;
}

/** Each weight to its nearest code. */
export function roundRows(rows: Float32Array, k: number, scales: Float32Array, range: IntRange): CodedRows {
  const codes = new Int8Array(rows.length);
  for (let at = 0; at < rows.length; at++) {
    const scale = scales[scales.length === 1 ? 0 : Math.floor(at / k)] as number;
    codes[at] = clamp(roundHalfEven((rows[at] as number) / scale), range);
  }
  return { codes, scales };
}

/** Columns handled between two updates of the rest, each of which is one product. */
const panel = 64;

/**
 * GPTQ on given scales (see `gptqBlocks`): column by column, each rounding error handed on to the columns still to come, e = (w − ŵ) / U_ii,
 * w_j −= U_ij · e. Zeros of pruned weights stay zero. Writes the codes of rows `first` … `first + count − 1`.
 */
export async function gptqRows(
  rows: Float32Array,
  first: number,
  count: number,
  factor: GptqFactor,
  coded: CodedRows,
  range: IntRange,
  product: Product32,
): Promise<void> {
  const { k, order, upper } = factor;
  const { codes, scales } = coded;
  // [k, count] in the order of the factor.
  const current = new Float32Array(k * count);
  for (let i = 0; i < k; i++)
    for (let r = 0; r < count; r++) current[i * count + r] = rows[(first + r) * k + (order[i] as number)] as number;
  const errors = new Float32Array(panel * count);
  const pruned = isPruned(rows);
  for (let start = 0; start < k; start += panel) {
    const length = Math.min(panel, k - start);
    for (let i = start; i < start + length; i++) {
      const pivot = upper[i * k + i] as number;
      for (let r = 0; r < count; r++) {
        const row = first + r;
        const scale = scales[scales.length === 1 ? 0 : row] as number;
        const w = current[i * count + r] as number;
        const at = row * k + (order[i] as number);
        const code = pruned && rows[at] === 0 ? 0 : clamp(roundHalfEven(w / scale), range);
        codes[at] = code;
        errors[(i - start) * count + r] = (w - code * scale) / pivot;
      }
      for (let j = i + 1; j < start + length; j++) {
        const share = upper[i * k + j] as number;
        if (share === 0) continue;
        for (let r = 0; r < count; r++)
          current[j * count + r] =
            (current[j * count + r] as number) - share * (errors[(i - start) * count + r] as number);
      }
    }
    const next = start + length;
    if (next === k) break;
    const own = errors.subarray(0, length * count);
    const handed = await product(columnsOf(upper, k, start, next), own, k - next, length, count);
    const at = next * count;
    for (let i = 0; i < handed.length; i++) current[at + i] = (current[at + i] as number) - (handed[i] as number);
  }
}

const clamp = (code: number, { min, max }: IntRange): number => (code < min ? min : code > max ? max : code);
