/** Blocks of large row-major matrices. */

/** a [m, k] · b [k, n] → [m, n] in float64, wherever that is fast. */
export type Product64 = (a: Float64Array, b: Float64Array, m: number, k: number, n: number) => Promise<Float64Array>;

/** Memory for one block at a time, kept: the first touch of new memory takes longer than the copy does. */
export class Scratch {
  #memory = new Float64Array(0);

  #of(length: number): Float64Array {
    if (this.#memory.length < length) this.#memory = new Float64Array(length);
    return this.#memory.subarray(0, length);
  }

  /** m[r0:r1, c0:c1]; gone with the next block. */
  copy(m: Float64Array, pitch: number, r0: number, r1: number, c0: number, c1: number): Float64Array {
    const width = c1 - c0;
    const block = this.#of((r1 - r0) * width);
    for (let r = r0; r < r1; r++) block.set(m.subarray(r * pitch + c0, r * pitch + c1), (r - r0) * width);
    return block;
  }

  /** m[r0:r1, c0:c1]ᵀ; gone with the next block. */
  transposed(m: Float64Array, pitch: number, r0: number, r1: number, c0: number, c1: number): Float64Array {
    const rows = r1 - r0;
    const block = this.#of(rows * (c1 - c0));
    for (let r = r0; r < r1; r++)
      for (let c = c0; c < c1; c++) block[(c - c0) * rows + (r - r0)] = m[r * pitch + c] as number;
    return block;
  }
}

/** m[row:row + rows, column:column + columns] = block */
export function writeBlock(
  m: Float64Array,
  pitch: number,
  row: number,
  column: number,
  block: Float64Array,
  rows: number,
  columns: number,
): void {
  for (let r = 0; r < rows; r++) m.set(block.subarray(r * columns, (r + 1) * columns), (row + r) * pitch + column);
}

/** m[row:row + rows, column:column + columns] −= block */
export function subtractBlock(
  m: Float64Array,
  pitch: number,
  row: number,
  column: number,
  block: Float64Array,
  rows: number,
  columns: number,
): void {
  for (let r = 0; r < rows; r++) {
    const at = (row + r) * pitch + column;
    const from = r * columns;
    for (let c = 0; c < columns; c++) m[at + c] = (m[at + c] as number) - (block[from + c] as number);
  }
}
