import { type ChildProcess, fork } from 'node:child_process';
import type { Tensor } from '../ir/tensor.ts';
import { type Probe, packTask, type WorkerAnswer, type WorkerStage, type WorkerTask } from './isolated-wire.ts';
import { programBeside } from './program-beside.ts';
import type { SessionOptions } from './session.ts';

export interface ProbeOptions extends Pick<SessionOptions, 'provider' | 'extra' | 'threads'> {
  readonly signal?: AbortSignal;
  /** Default two minutes. */
  readonly timeoutMs?: number;
  /** Added to the child's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

const worker = programBeside(import.meta.url, 'isolated-entry');

/**
 * Loads a model and runs it once in a child process, so that a file that crashes the runtime costs an answer and not
 * the program.
 * @param feeds inputs of one inference; undefined: load only.
 * @throws the signal's reason when aborted.
 */
export async function probe(
  model: string | Uint8Array,
  feeds?: ReadonlyMap<string, Tensor>,
  options: ProbeOptions = {},
): Promise<Probe> {
  options.signal?.throwIfAborted();
  const child = fork(worker, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, ...options.env },
    // A debugger's port cannot be opened twice.
    execArgv: process.execArgv.filter((flag) => !flag.startsWith('--inspect')),
  });
  const { provider, extra, threads } = options;
  const task: WorkerTask = {
    model,
    feeds: feeds && packTask(feeds),
    options: {
      ...(provider !== undefined && { provider }),
      ...(extra && { extra }),
      ...(threads !== undefined && { threads }),
    },
  };
  return await converse(child, task, options);
}

function converse(child: ChildProcess, task: WorkerTask, options: ProbeOptions): Promise<Probe> {
  const { signal, timeoutMs = 120_000 } = options;
  return new Promise<Probe>((resolve, reject) => {
    let stage: WorkerStage = 'starting';
    let answer: Probe | undefined;
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    const onAbort = (): void => {
      child.kill('SIGKILL');
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < 4096) stderr += text;
    });
    child.on('message', (message: WorkerAnswer) => {
      if (message.kind === 'stage') stage = message.stage;
      else answer = message.probe;
    });
    child.on('error', (error) => {
      answer ??= { ok: false, why: `the child process could not be started: ${error.message}.`, crashed: false };
    });
    child.on('close', (code, killedBy) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (signal?.aborted) reject(signal.reason);
      else if (answer) resolve(answer);
      else if (timedOut)
        resolve({ ok: false, why: `ONNX Runtime was still ${stage} after ${timeoutMs / 1000} s.`, crashed: true });
      else resolve({ ok: false, why: crashSentence(stage, killedBy ?? `exit code ${code}`, stderr), crashed: true });
    });
    child.send(task);
  });
}

function crashSentence(stage: WorkerStage, how: string, stderr: string): string {
  const said = stderr
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '' && !line.startsWith('at '));
  const memory = how === 'SIGKILL' ? ' (perhaps for lack of memory)' : '';
  return `ONNX Runtime crashed while ${stage} it: ${how}${memory}${said ? `, saying "${said.slice(0, 200)}"` : ''}.`;
}
