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
import type { Piece } from '../wasm/bytes.ts';

/** Numbers that the module takes at a time, eight by eight. Where things lie in its memory, in bytes: the numbers begin at 0. */
export const layout = { most: 16384, halves: 65536, flags: 98304, pages: 2 } as const;

const { i32, v128 } = types;
/** Instructions on four integers, or floats, by their numbers in the specification. */
const [both, either, select] = [simd(78), simd(80), simd(82)];
const [equal, unequal, below, notBelow] = [simd(55), simd(56), simd(58), simd(64)];
const [plus, minus, times, nearest, whole] = [simd(174), simd(177), simd(230), simd(106), simd(248)];
const [splat, narrow] = [simd(17), simd(134)];
const shifted = (bits: number): Piece => [number(bits), simd(173)];
const four = (word: number): Piece => constant(new Uint32Array(4).fill(word));
const scale = constant(new Float32Array(4).fill(2 ** 24));

const magnitude = four(0x7fffffff);
const [least, overflow] = [0x33000001, 0x477ff000];

/** `fits(end)`: leaves −1 in the lanes of the flags where every number stays finite in half precision, and none but zeros becomes zero. */
const fits = ((): WasmFunction => {
  const [end, at, abs, all] = [0, 1, 2, 3];
  const code: Piece = [
    [four(0xffffffff), set(all), number(0), set(at)],
    loopOver(at, 16, end, [
      [get(at), load(0), magnitude, both, set(abs)],
      [get(abs), four(least), minus, four(overflow - least), below, get(abs), four(0), equal, either],
      [get(all), both, set(all)],
    ]),
    [number(0), get(all), store(layout.flags)],
  ];
  return {
    name: 'fits',
    parameters: [i32],
    locals: [
      [1, i32],
      [2, v128],
    ],
    code,
  };
})();

/** `halve(end, clamp)`: halves of all numbers; `clamp` 1 keeps what would become zero. Leaves lanes of the flags other than 0 where one overflows. */
const halve = ((): WasmFunction => {
  const [end, clamp, at, to, bits, abs, half, first, over, one] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const lanes = (offset: number): Piece => [
    [get(at), load(offset), set(bits), get(bits), magnitude, both, set(abs)],
    [get(abs), four(overflow), notBelow, get(over), either, set(over)],
    // Below the normal halves a half is a multiple of 2⁻²⁴; the others get another exponent, and lose 13 bits.
    [get(abs), scale, times, nearest, whole],
    [get(abs), four(0xc8000fff), plus, get(abs), shifted(13), four(1), both, plus, shifted(13)],
    [get(abs), four(0x38800000), below, select, set(half)],
    [get(half), four(0), equal, get(abs), four(0), unequal, both, get(one), both, get(half), either],
    [get(bits), shifted(16), four(0x8000), both, either],
  ];
  const code: Piece = [
    [get(clamp), splat, set(one), four(0), set(over), number(0), set(at), number(layout.halves), set(to)],
    loopOver(at, 32, end, [
      [lanes(0), set(first), get(to), get(first), lanes(16), narrow, store(0)],
      [get(to), number(16), add, set(to)],
    ]),
    [number(0), get(over), store(layout.flags)],
  ];
  return {
    name: 'halve',
    parameters: [i32, i32],
    locals: [
      [2, i32],
      [6, v128],
    ],
    code,
  };
})();

/** A module that looks at float32 numbers in its own memory, and makes halves of them: exports `memory`, `fits` and `halve`. */
export function halfModule(): Uint8Array<ArrayBuffer> {
  return moduleOf(layout.pages, [fits, halve]);
}
