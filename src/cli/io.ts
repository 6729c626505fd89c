/** The outside world of one run of the command line, injected so that tests need no process. */
export interface CliIo {
  /** Arguments behind the program's name. */
  readonly argv: readonly string[];
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly signal: AbortSignal;
  /** Files and folders in the making, to be removed when the process ends without unwinding. */
  readonly scratch: Set<string>;
}

export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export const exitCodes = { ok: 0, gate: 1, user: 2, bug: 70, interrupted: 130 } as const;
