import { type BlockFormat, clipGrids, clipRatios } from './block-fit.ts';
import type { BlockWriter } from './block-writer.ts';
import { type Grid, gridError } from './grid-search.ts';
import { roundHalfEven } from './round.ts';

/** Columns read together: neighbours share cache lines. */
const PANEL = 16;
/**
 * Grids that are tried with the errors they would pass on, those with the smallest error of their own first. The best four are within 0.01 dB
 * of trying all, at 4 and at 2 bits (the layer of test/bench/weight-only.mjs, 4096 rows); how much time that saves was not measured.
 */
const tried = 4;

/** Quantizes blocks of GPTQ: for each column the grid and the codes, and the errors that they leave. */
export class BlockSolver {
  readonly #n: number;
  readonly #levels: number;
  readonly #gridsFor: (x: Float64Array) => readonly Grid[];
  /** Of each grid, the error that it makes without handing on. */
  readonly #own = new Float64Array(2 * clipRatios.length);
  readonly #x: Float64Array;
  readonly #scratch: Float64Array;
  /** What the last grid that was tried makes of the block, and what the best one so far does: they change places. */
  #error: Float64Array;
  #codes: Uint8Array;
  #bestError: Float64Array;
  #bestCodes: Uint8Array;
  readonly #placed: Uint8Array;
  /** 1 for weights of the block that are to become zero. */
  readonly #gone: Uint8Array;

  constructor(format: BlockFormat, n: number) {
    const { block, bits } = format;
    this.#n = n;
    this.#levels = 2 ** bits;
    this.#gridsFor = clipGrids(format);
    this.#x = new Float64Array(block * PANEL);
    this.#scratch = new Float64Array(block);
    this.#error = new Float64Array(block);
    this.#codes = new Uint8Array(block);
    this.#bestError = new Float64Array(block);
    this.#bestCodes = new Uint8Array(block);
    this.#placed = new Uint8Array(block);
    this.#gone = new Uint8Array(block * PANEL);
  }

  /**
   * @param current weights [k, n] as they are by now, in the order of `order`; the block's rows begin at `start`
   * @param corner the factor's rows and columns of this block [length, length]
   * @param errors receives e = (w − ŵ)/U_ii [length, n]
   */
  run(
    current: Float32Array,
    start: number,
    block: {
      readonly index: number;
      readonly length: number;
      readonly places: Int32Array;
      /** [k, n], 1 for weights that are to become zero. */
      readonly gone: Uint8Array | undefined;
    },
    corner: Float64Array,
    errors: Float32Array,
    result: BlockWriter,
  ): void {
    const n = this.#n;
    const { index, length, places, gone } = block;
    const importance = new Float64Array(length);
    for (let i = 0; i < length; i++) importance[i] = 1 / (corner[i * length + i] as number) ** 2;
    for (let n0 = 0; n0 < n; n0 += PANEL) {
      const count = Math.min(PANEL, n - n0);
      for (let i = 0; i < length; i++) {
        const from = (start + i) * n + n0;
        for (let p = 0; p < count; p++) {
          this.#x[p * length + i] = current[from + p] as number;
          if (gone) this.#gone[p * length + i] = gone[from + p] as number;
        }
      }
      for (let p = 0; p < count; p++) {
        const x = this.#x.subarray(p * length, (p + 1) * length);
        const zeros = this.#gone.subarray(p * length, (p + 1) * length);
        const grid = this.#choose(x, importance, corner, zeros);
        for (let i = 0; i < length; i++) {
          errors[i * n + n0 + p] = this.#bestError[i] as number;
          this.#placed[places[i] as number] = this.#bestCodes[i] as number;
        }
        result.write(n0 + p, index, grid, this.#placed, length);
      }
    }
  }

  /** Among the clipped grids the one whose errors, passed on within the block, sum up to least. Leaves its errors and codes in the best ones. */
  #choose(x: Float64Array, importance: Float64Array, corner: Float64Array, zeros: Uint8Array): Grid {
    const grids = this.#gridsFor(x);
    const own = this.#own;
    for (let g = 0; g < grids.length; g++) own[g] = gridError(x, importance, grids[g] as Grid, this.#levels);
    let best = -1;
    let lowest = Number.POSITIVE_INFINITY;
    for (let round = 0; round < tried; round++) {
      let next = 0;
      for (let g = 1; g < grids.length; g++) if ((own[g] as number) < (own[next] as number)) next = g;
      own[next] = Number.POSITIVE_INFINITY;
      const cost = this.#pass(x, corner, grids[next] as Grid, zeros, lowest);
      if (cost >= lowest) continue;
      lowest = cost;
      best = next;
      this.#keep();
    }
    if (best >= 0) return grids[best] as Grid;
    // Nothing finite: the whole range.
    this.#pass(x, corner, grids[0] as Grid, zeros, Number.POSITIVE_INFINITY);
    this.#keep();
    return grids[0] as Grid;
  }

  #keep(): void {
    [this.#error, this.#bestError] = [this.#bestError, this.#error];
    [this.#codes, this.#bestCodes] = [this.#bestCodes, this.#codes];
  }

  /** Quantizes the weights of a block on a grid, each error passed on within it. @returns Σe², or more than `limit`. */
  #pass(x: Float64Array, corner: Float64Array, grid: Grid, zeros: Uint8Array, limit: number): number {
    const { length } = x;
    const [scratch, errors, codes] = [this.#scratch, this.#error, this.#codes];
    const { scale, zero } = grid;
    const whole = Math.floor(zero);
    // As `codeOf` has it.
    const part = scale === 0 ? roundHalfEven(zero) - whole : zero - whole;
    const by = scale === 0 ? Number.POSITIVE_INFINITY : scale;
    const last = this.#levels - 1;
    scratch.set(x);
    let sum = 0;
    for (let i = 0; i < length; i++) {
      const value = scratch[i] as number;
      let code = roundHalfEven((zeros[i] === 1 ? 0 : value) / by + part) + whole;
      code = code < 0 ? 0 : code > last ? last : code;
      const at = i * length;
      const error = (value - (code - zero) * scale) / (corner[at + i] as number);
      codes[i] = code;
      errors[i] = error;
      sum += error * error;
      if (sum > limit) return sum;
      for (let j = i + 1; j < length; j++) scratch[j] = (scratch[j] as number) - (corner[at + j] as number) * error;
    }
    return sum;
  }
}
