import type { Media } from './index.js';

/** `<mlpack-model base="…" provider="…">`; events `ready`, `answer`, `failed`. */
export class MlpackModelElement extends HTMLElement {
  predict(input: Media): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    'mlpack-model': MlpackModelElement;
  }
}
