/**
 * Something that a caller can act on. `code` is one of: `network`, `integrity`, `provider`, `runtime`, `input`, `cancelled`,
 * `disposed`.
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
