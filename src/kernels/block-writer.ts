import { type BlockFormat, storedBits, storedOffset } from './block-fit.ts';
import type { BlockQuantized } from './block-quantized.ts';
import type { Grid } from './grid-search.ts';
import { type CodeBits, packCodes } from './pack.ts';

/** Collects blocks in any order. */
export class BlockWriter {
  signal = 0;
  noise = 0;
  readonly #format: BlockFormat;
  readonly #bits: CodeBits;
  readonly #offset: number;
  readonly #blocks: number;
  readonly #codes: Uint8Array;
  readonly #scales: Float32Array;
  readonly #zeros: Float32Array;

  constructor(n: number, blocks: number, format: BlockFormat) {
    this.#format = format;
    this.#bits = storedBits(format.bits);
    this.#offset = storedOffset(format);
    this.#blocks = blocks;
    this.#codes = new Uint8Array((n * blocks * format.block * this.#bits) / 8);
    this.#scales = new Float32Array(n * blocks);
    this.#zeros = new Float32Array(n * blocks);
  }

  /** The first `length` of `codes` (of a whole block's length; it is overwritten). */
  write(row: number, block: number, { scale, zero }: Grid, codes: Uint8Array, length: number): void {
    const at = row * this.#blocks + block;
    this.#scales[at] = scale;
    this.#zeros[at] = zero;
    if (length < codes.length) codes.fill(Math.min(2 ** this.#format.bits - 1, Math.max(0, zero)), length);
    if (this.#offset > 0) for (let i = 0; i < codes.length; i++) codes[i] = (codes[i] as number) + this.#offset;
    const from = (at * codes.length * this.#bits) / 8;
    if (this.#bits === 4) {
      // Without a small array for each block.
      const packed = this.#codes;
      for (let i = 0, to = from; i < codes.length; i += 2, to++)
        packed[to] = (codes[i] as number) | ((codes[i + 1] as number) << 4);
    } else {
      this.#codes.set(packCodes(codes, this.#bits), from);
    }
  }

  finish(): BlockQuantized {
    const { signal, noise } = this;
    return { codes: this.#codes, scales: this.#scales, zeroPoints: this.#zeroPoints(), signal, noise };
  }

  #zeroPoints(): Uint8Array | Float32Array | undefined {
    const { symmetric, floatZeros } = this.#format;
    if (symmetric) return undefined;
    if (floatZeros) return this.#zeros;
    const rowBytes = Math.ceil((this.#blocks * this.#bits) / 8);
    const rows = this.#zeros.length / this.#blocks;
    const packed = new Uint8Array(rows * rowBytes);
    const zeros = new Uint8Array(this.#blocks);
    for (let row = 0; row < rows; row++) {
      zeros.set(this.#zeros.subarray(row * this.#blocks, (row + 1) * this.#blocks));
      packed.set(packCodes(zeros, this.#bits), row * rowBytes);
    }
    return packed;
  }
}
