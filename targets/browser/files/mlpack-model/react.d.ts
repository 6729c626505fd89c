import type { LoadOptions, Model, ModelError } from './index.js';

export interface ModelState {
  readonly status: 'loading' | 'ready' | 'failed';
  readonly model: Model | undefined;
  /** Share of the download, 0 to 1. */
  readonly progress: number;
  readonly error: ModelError | undefined;
}

/** Loads when the component appears and disposes when it goes. */
export function useModel(options?: Omit<LoadOptions, 'signal' | 'onProgress'>): ModelState;
