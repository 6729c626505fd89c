/** A tensor as LiteRT.js exchanges it. */
export interface LiteValues {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | Uint8Array;
}

/** What `test/support/litert.mjs` exports: it is JavaScript, so that bench commands use it too. */
export interface OpenLite {
  openLite(
    bytes: Uint8Array,
  ): Promise<(inputs: Readonly<Record<string, LiteValues>>) => Promise<Record<string, LiteValues>>>;
}
