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
  tee,
  types,
  type WasmFunction,
} from '../wasm/assemble.ts';
import { type Piece, unsigned } from '../wasm/bytes.ts';

/** Bins of one bank; the middle one begins at 0. */
export const bankBins = 8192;
/** Each of the four lanes counts for itself: neighbours often fall into the same bin. The banks lie at the start of the memory. */
export const banks = 4;
const banksEnd = banks * bankBins * 4;
/** Where things lie in the module's memory behind the banks, in bytes; and how large it is. */
export const layout = { results: banksEnd, chunk: banksEnd + 128, pages: 4 } as const;
/** Floats of one chunk, and how many are taken in one turn of a loop. */
export const chunkFloats = 16384;
export const turnFloats = 16;

const { i32, f32, v128 } = types;
/** Aligned to four bytes. */
const loadWord = (offset: number): Piece => [0x28, 2, unsigned(offset)];
const storeWord = (offset: number): Piece => [0x36, 2, unsigned(offset)];

/** Instructions on vectors of four, by their numbers in the specification. */
const floats = (value: number): Piece => constant(new Float32Array(4).fill(value));
const ints = (value: number): Piece => constant(new Int32Array(4).fill(value));
const lane = (at: number): Piece => [simd(27), at];
const [splat, equal, floor, shiftLeft] = [simd(19), simd(65), simd(104), simd(171)];
const [subtractInts, lesserInts] = [simd(177), simd(182)];
const [addFloats, subtract, multiply, lesser, greater] = [simd(228), simd(229), simd(230), simd(234), simd(235)];

/** A loop over the chunk, up to the address in local 0; `body` finds the address of its vectors in `at`. */
function overChunk(at: number, step: number, body: Piece): Piece {
  return [number(layout.chunk), set(at), loopOver(at, step, 0, body)];
}

/**
 * `reach(end)`: least and greatest of each lane, NaN passed over, and a sum of x − x, which is 0 unless something is not finite; three
 * vectors at `results`. Four of each are kept side by side, for the processor to take at once.
 */
const reach = ((): WasmFunction => {
  const [at, x, first] = [1, 2, 3];
  const [least, most, rest] = [(n: number) => first + n, (n: number) => first + 4 + n, (n: number) => first + 8 + n];
  const lanes = [0, 1, 2, 3];
  const start = lanes.map((n) => [
    [floats(Number.POSITIVE_INFINITY), set(least(n))],
    [floats(Number.NEGATIVE_INFINITY), set(most(n))],
  ]);
  const turn = lanes.map((n) => [
    [get(at), load(16 * n), set(x)],
    // b < a ? b : a, which is a where b is NaN.
    [get(least(n)), get(x), lesser, set(least(n))],
    [get(most(n)), get(x), greater, set(most(n))],
    [get(rest(n)), get(x), get(x), subtract, addFloats, set(rest(n))],
  ]);
  const together = (of: (n: number) => number, op: Piece): Piece => [
    get(of(0)),
    [1, 2, 3].map((n) => [get(of(n)), op]),
  ];
  const results = [together(least, lesser), together(most, greater), together(rest, addFloats)];
  return {
    name: 'reach',
    parameters: [i32],
    locals: [
      [1, i32],
      [13, v128],
    ],
    code: [
      start,
      overChunk(at, 4 * turnFloats, turn),
      results.map((result, n) => [number(layout.results), result, store(16 * n)]),
    ],
  };
})();

/** 1.5 · 2^23: a whole number of less than 2^22 added to it stands in its lowest bits. */
const whole = 12_582_912;
const wholeBits = 0x4b400000;

/**
 * `count(end, scale)`: one more in bin ⌊x · scale⌋ + 4096 of the lane's bank for each x of the chunk, all finite, and at `results`, by lanes, how many
 * were 0 (they count in bin 4096 as well).
 */
const count = ((): WasmFunction => {
  const [scale, at, word, zeros, factor, x, bin] = [1, 2, 3, 4, 5, 6, 7];
  const turn = [0, 1, 2, 3].map((n) => [
    [get(at), load(16 * n), tee(x), get(factor), multiply, floor, floats(whole + bankBins / 2), addFloats],
    [ints(wholeBits), subtractInts, ints(bankBins - 1), lesserInts, number(2), shiftLeft, set(bin)],
    [get(zeros), get(x), floats(0), equal, subtractInts, set(zeros)],
    [0, 1, 2, 3].map((bank) => {
      const offset = bank * bankBins * 4;
      return [get(bin), lane(bank), tee(word), get(word), loadWord(offset), number(1), add, storeWord(offset)];
    }),
  ]);
  return {
    name: 'count',
    parameters: [i32, f32],
    locals: [
      [2, i32],
      [4, v128],
    ],
    code: [
      [get(scale), splat, set(factor)],
      overChunk(at, 4 * turnFloats, turn),
      [number(layout.results), get(zeros), store(0)],
    ],
  };
})();

/** A module that goes over floats in its own memory: exports `memory`, `reach` and `count`. */
export function countModule(): Uint8Array<ArrayBuffer> {
  return moduleOf(layout.pages, [reach, count]);
}
