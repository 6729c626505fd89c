import {
  add,
  constant,
  get,
  load,
  loopOver,
  moduleOf,
  number,
  set,
  simd,
  store,
  types,
  type WasmFunction,
} from '../wasm/assemble.ts';
import { type Piece, unsigned } from '../wasm/bytes.ts';

/** Most numbers of a block, and most grids, that the module takes. */
export const most = { numbers: 1024, grids: 128 } as const;
/** Numbers of one grid in memory: 1 / scale, scale, what is added before rounding, the lowest and the highest whole number. */
export const gridNumbers = 5;
const numbersEnd = 8 * most.numbers;
/** Where things lie in the module's memory, in bytes: all are doubles. The numbers of the block begin at 0. */
export const layout = {
  importance: numbersEnd,
  grids: 2 * numbersEnd,
  results: 2 * numbersEnd + 8 * gridNumbers * most.grids,
  pages: 1,
} as const;
/** Doubles that a function leaves for each grid: the two lanes of each of its sums. */
export const resultNumbers = { errors: 2, lines: 6 } as const;

const { i32, f64, v128 } = types;
/** Instructions on two doubles, by their numbers in the specification. */
const [splat, nearest, sum, subtract, multiply] = [simd(20), simd(148), simd(240), simd(241), simd(242)];
const [lesser, greater] = [simd(246), simd(247)];
/** The double at an address, in both lanes. */
const loadBoth = (offset: number): Piece => [simd(10), 3, unsigned(offset)];
const zeros = constant(new Float64Array(2));

/** For the grids up to the address in local 1: loads what `grid` wants, goes over the block up to the address in local 0, leaves the results. */
function overGrids(results: number, loaded: Piece, sums: readonly number[], body: Piece): Piece {
  const [at, grid, result] = [first, first + 1, first + 2];
  return [
    [number(layout.grids), set(grid), number(layout.results), set(result)],
    loopOver(grid, 8 * gridNumbers, 1, [
      loaded,
      sums.map((one) => [zeros, set(one)]),
      [number(0), set(at), loopOver(at, 16, 0, body)],
      sums.map((one, n) => [get(result), get(one), store(16 * n)]),
      [get(result), number(8 * results), add, set(result)],
    ]),
  ];
}

/** First local behind the parameters of both functions: addresses of numbers, of the grid and of its results. */
const first = 5;
const addresses = [3, i32] as const;
const [at, grid] = [first, first + 1];

/** `errors(end, grids end)`: Σ importance · (x − x̂)² on each grid. The other parameters are there to be like `lines`. */
const errors = ((): WasmFunction => {
  const [inverse, scale, part, low, high, x, q, total] = [8, 9, 10, 11, 12, 13, 14, 15];
  const loaded = [inverse, scale, part, low, high].map((one, n) => [get(grid), loadBoth(8 * n), set(one)]);
  const code = overGrids(
    resultNumbers.errors,
    loaded,
    [total],
    [
      [get(at), load(0), set(x)],
      [get(x), get(inverse), multiply, get(part), sum, nearest, get(low), greater, get(high), lesser, set(q)],
      // The error, which takes the place of the code.
      [get(x), get(q), get(part), subtract, get(scale), multiply, subtract, set(q)],
      [get(q), get(q), multiply, get(at), load(layout.importance), multiply, get(total), sum, set(total)],
    ],
  );
  return { name: 'errors', parameters: [i32, i32, f64, f64, f64], locals: [addresses, [8, v128]], code };
})();

/**
 * `lines(end, grids end, from, low, high)`: with q = clamp(round((x − from) / scale)) the sums of importance · q, importance · q² and
 * importance · q · x for each scale.
 */
const lines = ((): WasmFunction => {
  const [from, low, high, inverse, x, q, weighed, once, squared, mixed] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
  const splatted = [from, low, high].map((one, n) => [get(2 + n), splat, set(one)]);
  const code = overGrids(
    resultNumbers.lines,
    [get(grid), loadBoth(0), set(inverse)],
    [once, squared, mixed],
    [
      [get(at), load(0), set(x)],
      [get(x), get(from), subtract, get(inverse), multiply, nearest, get(low), greater, get(high), lesser, set(q)],
      [get(at), load(layout.importance), get(q), multiply, set(weighed)],
      [get(once), get(weighed), sum, set(once)],
      [get(squared), get(weighed), get(q), multiply, sum, set(squared)],
      [get(mixed), get(weighed), get(x), multiply, sum, set(mixed)],
    ],
  );
  return {
    name: 'lines',
    parameters: [i32, i32, f64, f64, f64],
    locals: [addresses, [10, v128]],
    code: [splatted, code],
  };
})();

/** A module that tries grids on a block in its own memory: exports `memory`, `errors` and `lines`. */
export function gridModule(): Uint8Array<ArrayBuffer> {
  return moduleOf(layout.pages, [errors, lines]);
}
