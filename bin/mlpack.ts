#!/usr/bin/env node
import { rmSync } from 'node:fs';
import module from 'node:module';
import { join } from 'node:path';
import { cacheFolder } from '../src/cache/place.ts';

keepCompiled();
const { main } = await import('../src/cli/main.ts');
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

process.exitCode = await main({
  argv: process.argv.slice(2),
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  signal: interrupt.signal,
  scratch,
});

/**
 * What V8 made of the program is kept for the next run, where Node can (from 22.8 on). In our own folder: Node's default is one in the
 * temporary folder, where another user could put code for us to run. A folder that cannot be written costs nothing but the gain.
 */
function keepCompiled(): void {
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown };
  if (!process.env.NODE_COMPILE_CACHE) enableCompileCache?.(join(cacheFolder(process.env), 'compiled'));
}
