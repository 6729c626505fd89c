import type { VariantResult } from '../../report/report.ts';

/** A variant with everything measured, before its verdict. */
export type Measured = Omit<VariantResult, 'verdict' | 'reasons'> & {
  /** Why it is out already: could not be built, does not load, changed nothing. */
  readonly blockers: readonly string[];
  /** By provider: why it does not work there, in a sentence. */
  readonly failures: Readonly<Record<string, string>>;
};
