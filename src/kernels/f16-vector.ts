import { instantiate } from '../wasm/assemble.ts';
import { halfModule, layout } from './f16-module.ts';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  fits(end: number): void;
  halve(end: number, clamp: number): void;
}

/** Fewer numbers are done in a plain loop before this is made. */
export const worthVectors = 2048;

/** Four float32 numbers at a time, in WebAssembly. (A loop of JavaScript runs as bytecode at first: of 280,000 weights for most of its time.) */
class HalfVectors {
  readonly #exports: Exports;
  readonly #numbers: Uint32Array;
  readonly #halves: Uint16Array;
  readonly #flags: Int32Array;

  constructor(exports: Exports) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#numbers = new Uint32Array(buffer, 0, layout.most);
    this.#halves = new Uint16Array(buffer, layout.halves, layout.most);
    this.#flags = new Int32Array(buffer, layout.flags, 4);
  }

  /** Whether all of these fit: none becomes infinite, or zero where it was not. @param bits of float32 */
  fits(bits: Uint32Array): boolean {
    for (let at = 0; at < bits.length; at += layout.most) {
      this.#exports.fits(this.#take(bits.subarray(at, at + layout.most)));
      if (this.#flags.some((lane) => lane !== -1)) return false;
    }
    return true;
  }

  /**
   * Rounds as many as there are, until some would overflow.
   * @param clamp what would become zero becomes the smallest half
   * @returns how many are done
   */
  halve(bits: Uint32Array, clamp: boolean, to: Uint16Array): number {
    for (let at = 0; at < bits.length; at += layout.most) {
      const some = bits.subarray(at, at + layout.most);
      this.#exports.halve(this.#take(some), clamp ? 1 : 0);
      if (this.#flags.some((lane) => lane !== 0)) return at;
      to.set(this.#halves.subarray(0, some.length), at);
    }
    return bits.length;
  }

  /** Puts numbers into the module's memory, zeros behind them up to a multiple of eight. @returns where they end */
  #take(bits: Uint32Array): number {
    this.#numbers.set(bits);
    const end = Math.ceil(bits.length / 8) * 8;
    this.#numbers.fill(0, bits.length, end);
    return 4 * end;
  }
}

let made: HalfVectors | undefined;
let tried = false;

/** Undefined where the processor has no such instructions. */
export function halfVectors(): HalfVectors | undefined {
  if (!tried) {
    tried = true;
    const exports = instantiate(halfModule()) as Exports | undefined;
    made = exports && new HalfVectors(exports);
  }
  return made;
}
