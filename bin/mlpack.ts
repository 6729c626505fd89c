import { fstatSync, rmSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { TextSink } from '../src/cli/io.ts';

const interrupt = new AbortController();
const scratch = new Set<string>();
const opened = new Set<NodeJS.WriteStream>();

/** The first signal asks; the second does not wait for a running inference to come back. */
function stop(code: number): void {
  if (!interrupt.signal.aborted) {
    interrupt.abort();
    return;
  }
  leave(code);
}

/** At once, and nothing stays half made. */
function leave(code?: number): never {
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
  found.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // Talk that nobody hears is no reason to throw the work away.
    if (name === 'stdout') leave();
  });
  return found;
}

/** Files, and pipes whose reader comes along, take text without Node's streams, which are 4 ms of code (that of networks with it). */
function isPlain(descriptor: number): boolean {
  try {
    const stats = fstatSync(descriptor);
    // Devices that are no terminal: /dev/null, and /dev/full, of which a stream learns too late.
    return (
      stats.isFile() ||
      stats.isFIFO() ||
      (process.platform === 'linux' && stats.isCharacterDevice() && !isatty(descriptor))
    );
  } catch (error) {
    // Closed: the stream says so.
    if (!isSystemError(error)) throw error;
    return false;
  }
}

/** Standard output of a kind that `isPlain` knows. */
class PlainOutput implements TextSink {
  #stream: NodeJS.WriteStream | undefined;

  write(text: string): void {
    if (this.#stream) {
      this.#stream.write(text);
      return;
    }
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(1, bytes, at);
      } catch (error) {
        if (!isSystemError(error)) throw error;
        // `mlpack … | head` has seen enough: nobody is left to tell.
        if (error.code === 'EPIPE') leave();
        if (error.code !== 'EAGAIN') throw error;
        // A full pipe that does not wait, as some programs make them: the stream does.
        this.#stream = stream('stdout');
        this.#stream.write(bytes.subarray(at));
        return;
      }
    }
  }
}

const isSystemError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error;

let output: TextSink | undefined;

/** Later than this file: what other files need of the command line must not begin it. */
async function run(): Promise<void> {
  const { main } = await import('../src/cli/main.ts');
  process.exitCode = await main({
    argv: process.argv.slice(2),
    get stdout() {
      return (output ??= isPlain(1) ? new PlainOutput() : stream('stdout'));
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
