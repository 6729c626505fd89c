import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBundle } from '../../../src/target/bundle.ts';
import { freePort } from '../../../src/target/process.ts';
import type { Artifact } from '../../../src/target/target.ts';
import { server } from '../../../targets/server/index.ts';

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly child: ChildProcess;
  /** Everything it has printed so far. */
  readonly log: () => string;
  readonly exit: Promise<number | null>;
}

/** Bundles `artifact`, starts its server and waits until it is ready (or, with `ready: false`, until it listens). */
export async function startServer(
  artifact: Artifact,
  dir: string,
  modules: string,
  { env = {}, ready = true }: { env?: Record<string, string>; ready?: boolean } = {},
): Promise<TestServer> {
  if (!existsSync(join(dir, 'mlpack.json'))) {
    await buildBundle(server, artifact, {}, dir);
    symlinkSync(modules, join(dir, 'node_modules'));
  }
  const port = await freePort();
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: dir,
    env: { ...process.env, PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  if (ready) await untilReady(url, child, () => text);
  return { url, port, child, log: () => text, exit };
}

async function untilReady(url: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const response = await fetch(`${url}/v2/health/ready`).catch(() => undefined);
    if (response?.ok) return;
    if (child.exitCode !== null) break;
    await sleep(25);
  }
  throw new Error(`the server is not ready: ${log()}`);
}
