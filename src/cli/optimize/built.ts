import type { StepTrace } from '../../pass/pipeline.ts';

/** A variant as a file, before anything is measured. */
export interface Built {
  readonly name: string;
  readonly steps: readonly StepTrace[];
  /** Absolute; undefined when it could not be built or would be a copy of another. */
  readonly path: string | undefined;
  readonly sha256: string | undefined;
  readonly bytes: number | undefined;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  readonly nodes: number;
  readonly ops: Readonly<Record<string, number>>;
  readonly blockers: readonly string[];
}
