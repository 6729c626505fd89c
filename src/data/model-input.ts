/** As much of a model's input as the data must know. */
export interface ModelInput {
  readonly name: string;
  readonly dtype: string;
  /** Numbers, symbols, or null where nothing is known. */
  readonly shape: readonly (number | string | null)[] | null;
}
