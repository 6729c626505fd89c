/** Weights of one group of a layer, [n, k], and its bias. */
export interface Weights {
  readonly rows: Float32Array;
  readonly bias: Float64Array;
}

/** What a fit came to. */
export interface Fitted extends Weights {
  /** Damping as a share of the mean diagonal; undefined where only the bias moved, or nothing. */
  readonly damping: number | undefined;
  /** Σ(t − y)² / Σt² over rows that nothing was fitted to: before and after. */
  readonly before: number;
  readonly after: number;
}
