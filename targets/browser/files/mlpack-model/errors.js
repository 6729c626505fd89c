/**
 * Something that a caller can act on. `code` is one of: `network`, `integrity`, `provider`, `runtime`, `input`, `cancelled`,
 * `disposed`, `place`.
 */
export class ModelError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'ModelError';
    this.code = code;
  }
}

/** Message of anything that was thrown, on one line. */
export function messageOf(error) {
  return String(error instanceof Error ? error.message : error).split('\n', 1)[0];
}

/** An error as it goes from the worker to the page, and back into one. */
export function packError(error) {
  return { code: error instanceof ModelError ? error.code : 'runtime', message: messageOf(error) };
}

export function unpackError({ code, message }) {
  return new ModelError(code, message);
}
