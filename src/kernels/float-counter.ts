import { instantiate } from '../wasm/assemble.ts';
import { bankBins, banks, chunkFloats, countModule, layout, turnFloats } from './count-module.ts';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  reach(end: number): void;
  count(end: number, scale: number): void;
}

/** What a piece of a tensor reaches. */
export interface Reach {
  readonly min: number;
  readonly max: number;
  /** All are finite; otherwise the extremes may be infinite, and NaN is in neither. */
  readonly finite: boolean;
}

/**
 * Goes over floats four at a time, in WebAssembly: a tensor is copied in pieces that stay in the processor's cache, since what the runtime hands
 * out lies in other memory. (A third of the time of the plain loops of `Histogram` on the tensors of ResNet-20.)
 */
export class FloatCounter {
  readonly #exports: Exports;
  readonly #chunk: Float32Array;
  readonly #results: Float32Array;
  readonly #zeros: Int32Array;
  readonly #banks: Uint32Array;

  private constructor(exports: Exports) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#chunk = new Float32Array(buffer, layout.chunk, chunkFloats);
    this.#results = new Float32Array(buffer, layout.results, 12);
    this.#zeros = new Int32Array(buffer, layout.results, 4);
    this.#banks = new Uint32Array(buffer, 0, banks * bankBins);
  }

  /** @returns undefined where the processor lacks the instructions, or no memory for a module is to be had: the plain loops serve as well */
  static create(): FloatCounter | undefined {
    const exports = instantiate(countModule()) as Exports | undefined;
    return exports && new FloatCounter(exports);
  }

  /** How many of so many floats are taken together: at most a chunk, and a multiple of what a loop takes. */
  static pieceOf(rest: number): number {
    const most = Math.min(rest, chunkFloats);
    return most - (most % turnFloats);
  }

  /** Copies a piece and looks what it reaches; `size` from `pieceOf`. */
  take(values: Float32Array, at: number, size: number): Reach {
    this.#chunk.set(values.subarray(at, at + size));
    this.#exports.reach(layout.chunk + 4 * size);
    const found = this.#results;
    let [min, max, rest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    for (let lane = 0; lane < 4; lane++) {
      min = Math.min(min, found[lane] as number);
      max = Math.max(max, found[4 + lane] as number);
      rest += found[8 + lane] as number;
    }
    return { min, max, finite: rest === 0 };
  }

  /**
   * Whether bins of this width (1 / scale, a power of two) can be counted in single precision: as exactly as in double, but for numbers of less
   * than 2⁻¹²⁶ of a bin, whose sign is lost.
   */
  static canCount(scale: number): boolean {
    return scale >= 2 ** -126 && scale <= 2 ** 127;
  }

  /** Counts the piece taken last into the banks; all of it is finite. @returns how many were 0 */
  count(size: number, scale: number): number {
    this.#exports.count(layout.chunk + 4 * size, scale);
    const zeros = this.#zeros;
    return (zeros[0] as number) + (zeros[1] as number) + (zeros[2] as number) + (zeros[3] as number);
  }

  /** Adds the banks to `counts` and empties them. @param zeros that were counted, which belong into no bin */
  settle(counts: Float64Array, zeros: number): void {
    const all = this.#banks;
    for (let bin = 0; bin < bankBins; bin++) {
      const found =
        (all[bin] as number) +
        (all[bin + bankBins] as number) +
        (all[bin + 2 * bankBins] as number) +
        (all[bin + 3 * bankBins] as number);
      if (found > 0) (counts[bin] as number) += found;
    }
    (counts[bankBins / 2] as number) -= zeros;
    all.fill(0);
  }
}
