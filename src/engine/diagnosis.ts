/** Whether a provider works here, found out by running a small model on it. */
export interface Diagnosis {
  readonly id: string;
  readonly works: boolean;
  /** A sentence: what it runs on, or why it does not run. */
  readonly detail: string;
  /** The command that would enable it, or a sentence where it takes more than one. */
  readonly enable?: string;
}
