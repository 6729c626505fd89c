import { rmSync } from 'node:fs';

const interrupt = new AbortController();
const scratch = new Set<string>();
const opened = new Set<NodeJS.WriteStream>();

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

/** Node opens a stream at the first look at it, which takes milliseconds: many commands say nothing on one of the two. */
function stream(name: 'stdout' | 'stderr'): NodeJS.WriteStream {
  const found = process[name];
  if (opened.has(found)) return found;
  opened.add(found);
  // `mlpack … | head` has seen enough: nobody is left to tell.
  if (name === 'stdout')
    found.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit();
    });
  return found;
}

/** Later than this file: what other files need of the command line must not begin it. */
async function run(): Promise<void> {
  const { main } = await import('../src/cli/main.ts');
  process.exitCode = await main({
    argv: process.argv.slice(2),
    get stdout() {
      return stream('stdout');
    },
    get stderr() {
      return stream('stderr');
    },
    env: process.env,
    cwd: process.cwd(),
    signal: interrupt.signal,
    scratch,
  });
  // All is done: Node would take its heap apart first, for another hundredth of a second. What a pipe has not taken yet it still waits for.
  if ([...opened].every(({ writableLength }) => writableLength === 0)) process.exit();
}
void run();
