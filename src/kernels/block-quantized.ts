/**
 * The layout of com.microsoft.MatMulNBits. x̂ = (code − zeroPoint) · scale.
 * codes [N, blocks, block·bits/8] bytes along K, tail padded with the zero point; scales [N, blocks];
 * zeroPoints [N, ceil(blocks·bits/8)] bytes, each row padded, or real numbers [N, blocks]; undefined when symmetric.
 * Codes of 3 bits are stored in 4.
 */
export interface BlockQuantized {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array | Float32Array | undefined;
  /** Σx² and Σ(x − x̂)² over all weights. */
  readonly signal: number;
  readonly noise: number;
}
