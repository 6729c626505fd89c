import { rmSync } from 'node:fs';

const interrupt = new AbortController();
const scratch = new Set<string>();

/** The first signal asks; the second does not wait for a running inference to come back. */
function stop(code: number): void {
  if (!interrupt.signal.aborted) {
    interrupt.abort();
    return;
  }
  for (const path of scratch) rmSync(path, { recursive: true, force: true });
  process.exit(code);
}
process.on('SIGINT', () => stop(130));
process.on('SIGTERM', () => stop(143));
// `mlpack … | head` has seen enough: nobody is left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

/** Later than this file: what other files need of the command line must not begin it. */
async function run(): Promise<void> {
  const { main } = await import('../src/cli/main.ts');
  process.exitCode = await main({
    argv: process.argv.slice(2),
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    signal: interrupt.signal,
    scratch,
  });
}
void run();
