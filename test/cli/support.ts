import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from '../../src/cli/main.ts';

/** What `npm test` has built: for the few tests that need a process. */
export const distBin = fileURLToPath(new URL('../../dist/bin/mlpack.js', import.meta.url));

/** One for each file of tests, within the one of the run (vitest.config.ts), which is removed at its end. */
const runCache = process.env.MLPACK_CACHE ?? tmpdir();
mkdirSync(runCache, { recursive: true });
const testCache = mkdtempSync(join(runCache, 'file-'));

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** Width of a terminal that stdout and stderr pretend to be; without it they are none. */
  readonly terminal?: number;
}

/** Runs the command line in this process, with streams collected; as no terminal unless `terminal` says so. */
export async function runCli(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  let stdout = '';
  let stderr = '';
  const tty = options.terminal === undefined ? {} : { isTTY: true, columns: options.terminal };
  const code = await main({
    argv,
    stdout: { write: (text) => (stdout += text), ...tty },
    stderr: { write: (text) => (stderr += text), ...tty },
    env: { MLPACK_CACHE: testCache, ...options.env },
    cwd: options.cwd ?? process.cwd(),
    signal: options.signal ?? new AbortController().signal,
    scratch: new Set(),
  });
  return { code, stdout, stderr };
}
