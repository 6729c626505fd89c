import { instantiate } from '../wasm/assemble.ts';
import { gridModule, gridNumbers, layout, most, resultNumbers } from './grid-module.ts';
import { roundHalfEven } from './round.ts';

/** What a block's codes stand for: x̂ = (code − zero) · scale, both as they are stored. A scale of 0 stands for zeros. */
export interface Grid {
  readonly scale: number;
  readonly zero: number;
}

/** Whole numbers that codes are, on a grid that begins at `from`. */
export interface Codes {
  readonly from: number;
  readonly low: number;
  readonly high: number;
}

/** Tries grids on one block of weights after another. */
export interface GridSearch {
  /** The first of the grids with the smallest Σ importance·(x − x̂)². */
  best(x: Float64Array, importance: Float64Array | undefined, grids: readonly Grid[], levels: number): Grid;
  /**
   * With q = clamp(round((x − from) / scale)) the sums Σ w·q, Σ w·q² and Σ w·q·x for each scale, none of which is 0: three numbers
   * behind three, good until the next call.
   */
  lines(x: Float64Array, weights: Float64Array, scales: Float64Array, codes: Codes): Float64Array;
}

/**
 * Σ importance·(x − x̂)². The codes are looked for with the inverse of the scale, which may differ from `codeOf` where a weight
 * lies between two.
 * @param limit the sum need not be exact above this
 */
export function gridError(
  x: Float64Array,
  importance: Float64Array | undefined,
  { scale, zero }: Grid,
  levels: number,
  limit = Number.POSITIVE_INFINITY,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  const whole = Math.floor(zero);
  const part = zero - whole;
  const [low, high] = [-whole, levels - 1 - whole];
  const { length } = x;
  let sum = 0;
  for (let start = 0; start < length && sum <= limit; start += 16) {
    const end = start + 16 < length ? start + 16 : length;
    for (let i = start; i < end; i++) {
      const value = x[i] as number;
      let q = roundHalfEven(value * inverse + part);
      q = q < low ? low : q > high ? high : q;
      const error = value - (q - part) * scale;
      sum += (importance === undefined ? 1 : (importance[i] as number)) * error * error;
    }
  }
  return sum;
}

/** In plain loops. */
export const plainSearch: GridSearch = {
  best(x, importance, grids, levels) {
    let best = grids[0] as Grid;
    let lowest = Number.POSITIVE_INFINITY;
    for (const grid of grids) {
      const value = gridError(x, importance, grid, levels, lowest);
      if (value < lowest) {
        lowest = value;
        best = grid;
      }
    }
    return best;
  },
  lines(x, weights, scales, { from, low, high }) {
    const sums = new Float64Array(3 * scales.length);
    for (let n = 0; n < scales.length; n++) {
      const inverse = 1 / (scales[n] as number);
      let [sq, sqq, sxq] = [0, 0, 0];
      for (let i = 0; i < x.length; i++) {
        const value = x[i] as number;
        let q = roundHalfEven((value - from) * inverse);
        q = q < low ? low : q > high ? high : q;
        const weighed = (weights[i] as number) * q;
        sq += weighed;
        sqq += weighed * q;
        sxq += weighed * value;
      }
      sums[3 * n] = sq;
      sums[3 * n + 1] = sqq;
      sums[3 * n + 2] = sxq;
    }
    return sums;
  },
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  errors(end: number, gridsEnd: number, from: number, low: number, high: number): void;
  lines(end: number, gridsEnd: number, from: number, low: number, high: number): void;
}

/** Two doubles at a time, in WebAssembly; sums are those of the plain loops in another order. Blocks that are too large go there. */
class VectorSearch implements GridSearch {
  readonly #exports: Exports;
  readonly #x: Float64Array;
  readonly #importance: Float64Array;
  readonly #grids: Float64Array;
  readonly #results: Float64Array;
  readonly #sums = new Float64Array(3 * most.grids);

  constructor(exports: Exports) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#x = new Float64Array(buffer, 0, most.numbers);
    this.#importance = new Float64Array(buffer, layout.importance, most.numbers);
    this.#grids = new Float64Array(buffer, layout.grids, gridNumbers * most.grids);
    this.#results = new Float64Array(buffer, layout.results, resultNumbers.lines * most.grids);
  }

  best(x: Float64Array, importance: Float64Array | undefined, grids: readonly Grid[], levels: number): Grid {
    if (x.length > most.numbers || grids.length > most.grids) return plainSearch.best(x, importance, grids, levels);
    const numbers = this.#grids;
    for (let n = 0; n < grids.length; n++) {
      const { scale, zero } = grids[n] as Grid;
      const whole = Math.floor(zero);
      numbers[gridNumbers * n] = scale === 0 ? 0 : 1 / scale;
      numbers[gridNumbers * n + 1] = scale;
      numbers[gridNumbers * n + 2] = zero - whole;
      numbers[gridNumbers * n + 3] = -whole;
      numbers[gridNumbers * n + 4] = levels - 1 - whole;
    }
    this.#exports.errors(this.#take(x, importance), layout.grids + 8 * gridNumbers * grids.length, 0, 0, 0);
    let best = 0;
    let lowest = Number.POSITIVE_INFINITY;
    for (let n = 0; n < grids.length; n++) {
      const value = (this.#results[2 * n] as number) + (this.#results[2 * n + 1] as number);
      if (value < lowest) {
        lowest = value;
        best = n;
      }
    }
    return grids[best] as Grid;
  }

  lines(x: Float64Array, weights: Float64Array, scales: Float64Array, codes: Codes): Float64Array {
    if (x.length > most.numbers || scales.length > most.grids) return plainSearch.lines(x, weights, scales, codes);
    for (let n = 0; n < scales.length; n++) this.#grids[gridNumbers * n] = 1 / (scales[n] as number);
    const gridsEnd = layout.grids + 8 * gridNumbers * scales.length;
    this.#exports.lines(this.#take(x, weights), gridsEnd, codes.from, codes.low, codes.high);
    const [lanes, sums] = [this.#results, this.#sums];
    for (let n = 0; n < 3 * scales.length; n++) sums[n] = (lanes[2 * n] as number) + (lanes[2 * n + 1] as number);
    return sums;
  }

  /** Puts a block into the module's memory, with a weightless number behind an odd one. @returns where it ends */
  #take(x: Float64Array, importance: Float64Array | undefined): number {
    this.#x.set(x);
    if (importance) this.#importance.set(importance);
    else this.#importance.fill(1, 0, x.length);
    if (x.length % 2 === 1) this.#x[x.length] = this.#importance[x.length] = 0;
    return 8 * (x.length + (x.length % 2));
  }
}

let made: GridSearch | undefined;

/** The quickest there is on this machine. Compiled once: a module that many layers use becomes faster by being used. */
export function gridSearch(): GridSearch {
  if (!made) {
    const exports = instantiate(gridModule()) as Exports | undefined;
    made = exports ? new VectorSearch(exports) : plainSearch;
  }
  return made;
}
