import type { ImageDefaults } from './processor.ts';
import type { DatasetSpec } from './specs.ts';

/** Files whose names say so hold samples for calibration. */
export const calibrationFile = /(^|[._-])(calib|calibration|train)([._-]|\.|$)/i;
export const help = 'Write a dataset.json that says which file feeds which input.';
export const noLabels = { key: undefined, column: undefined, id: undefined, offset: 0, names: undefined };

export interface InferContext {
  /** Gets a sentence for each thing inferred. */
  readonly notes: string[];
  /** Folder of the model, where there may be a tokenizer. */
  readonly modelDir: string | undefined;
  /** What the image processor beside the data or the model says. */
  readonly image: ImageDefaults | undefined;
}

/** What of a description the files tell; the rest is the same for all. */
export type Inferred = Pick<DatasetSpec, 'inputs' | 'labels'> & {
  readonly targets?: DatasetSpec['targets'];
  readonly preprocessing?: unknown;
  readonly batch?: number;
};
