import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../errors.ts';

/** A port on loopback that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no address for a listening socket');
  return address.port;
}

/** A started bundle. */
export interface Running {
  readonly url: string;
  /** From the start of the process until it answered that it is ready: a cold start. */
  readonly readyMs: number;
  /** Sends SIGTERM and waits; true when the process ended by itself with code 0. Kills it after `graceMs`. */
  stop(graceMs?: number): Promise<boolean>;
}

interface StartOptions {
  /** `node <script> …`, as the manifest documents it. */
  readonly command: string;
  readonly dir: string;
  /** Polled until it answers 200. */
  readonly readyPath: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Splits a documented start command. Only `node` with a script inside the bundle is ever run. */
export function nodeArguments(command: string, files: ReadonlySet<string>): string[] {
  const [program, script, ...rest] = command.trim().split(/\s+/);
  if (program !== 'node' || script === undefined || !files.has(script)) {
    throw new UserError(
      'bundle-command',
      `The start command "${command}" is not "node" with a script of the bundle, so it is not run.`,
    );
  }
  return [script, ...rest];
}

/**
 * Starts a bundle on a free port of loopback and waits until it is ready.
 * @throws UserError `bundle-start` with the end of what it printed, when it ends or does not become ready in time.
 */
export async function startBundle(args: readonly string[], options: StartOptions): Promise<Running> {
  const port = await freePort();
  const started = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: options.dir,
    env: { ...process.env, PORT: String(port), HOST: '127.0.0.1', LOG_LEVEL: 'warn', NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = tail(child);
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', resolve);
    child.once('error', () => resolve(null));
  });
  const url = `http://127.0.0.1:${port}`;
  const stop = (graceMs = 10_000): Promise<boolean> => stopChild(child, ended, graceMs);
  try {
    await waitUntilReady(child, `${url}${options.readyPath}`, options, printed);
  } catch (error) {
    await stop(1_000);
    throw error;
  }
  return { url, readyMs: performance.now() - started, stop };
}

function tail(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('utf8')).slice(-4000);
    });
  }
  return () => text.trim();
}

async function waitUntilReady(
  child: ChildProcess,
  url: string,
  options: StartOptions,
  printed: () => string,
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  for (;;) {
    options.signal?.throwIfAborted();
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new UserError(
        'bundle-start',
        `"${options.command}" ended before it was ready: ${printed() || 'it printed nothing'}`,
      );
    }
    if (await answers(url)) return;
    if (Date.now() > deadline) {
      const seconds = options.timeoutMs / 1000;
      throw new UserError(
        'bundle-start',
        `"${options.command}" was not ready within ${seconds} s: ${printed() || 'it printed nothing'}`,
      );
    }
    await sleep(20);
  }
}

/** Refused connections and other statuses both mean: not yet. */
async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function stopChild(child: ChildProcess, ended: Promise<number | null>, graceMs: number): Promise<boolean> {
  if (child.exitCode !== null) return child.exitCode === 0;
  child.kill('SIGTERM');
  const cancel = new AbortController();
  const late = sleep(graceMs, 'late' as const, { signal: cancel.signal }).catch(() => 'late' as const);
  const outcome = await Promise.race([ended, late]);
  cancel.abort();
  if (outcome !== 'late') return outcome === 0;
  child.kill('SIGKILL');
  await ended;
  return false;
}
