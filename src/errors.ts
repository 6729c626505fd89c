/**
 * Coded errors. A `UserError` is the user's to mend (exit code 2), a `GateError` says that a floor was missed
 * (exit code 1); anything else that reaches the CLI is our own bug (exit code 70).
 */

/** Input, usage or environment is wrong. `message` is one sentence: what, where, why, what to do. */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly code: string;
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Something measured fell below what was asked for. */
export class GateError extends Error {
  override readonly name = 'GateError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A broken invariant inside mlpack. */
export class BugError extends Error {
  override readonly name = 'BugError';
}

export function bug(message: string): never {
  throw new BugError(message);
}
