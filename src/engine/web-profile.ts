import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tensor } from '../ir/tensor.ts';
import { type WatchedModule, watchFunctions } from '../wasm/watch.ts';
import { packTask } from './isolated-wire.ts';
import { programBeside } from './program-beside.ts';
import type { ProfileAnswer, ProfileTask } from './web-profile-entry.ts';
import { webModelFiles } from './web-session.ts';

/** Files of onnxruntime-web's WebAssembly build, by their places. */
export interface WebRuntimeFiles {
  readonly script: string;
  readonly mjs: string;
  readonly wasm: string;
}

/** A model as a page opens it, and what it is given. */
export interface ProfiledModel {
  readonly file: string;
  /** Session config entries by their full key. */
  readonly extra: Readonly<Record<string, unknown>>;
  readonly feeds: readonly ReadonlyMap<string, Tensor>[];
  /** Feeds that the model may refuse. */
  readonly others: readonly ReadonlyMap<string, Tensor>[];
}

/** Two threads take every way that more take: a pool hands work out from two on. */
const usualThreads = [1, 2];

const timeoutMs = 120_000;
const worker = programBeside(import.meta.url, 'web-profile-entry');

/**
 * Which functions of onnxruntime-web's WebAssembly module run while models are opened, run, refused and closed: on one thread and on two, each in
 * a process of its own.
 * @returns the numbers of the defined functions, ascending
 * @throws WasmFormError where the module cannot be watched; Error with a sentence where the run fails
 */
export async function webFunctionsRun(
  runtime: WebRuntimeFiles,
  models: readonly ProfiledModel[],
  signal: AbortSignal,
  threadCounts: readonly number[] = usualThreads,
): Promise<number[]> {
  const watched = watchFunctions(new Uint8Array(await readFile(runtime.wasm)));
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-profile-'));
  try {
    await Promise.all([
      writeFile(join(dir, 'watched.wasm'), watched.bytes),
      writeFile(join(dir, 'watch.mjs'), watchScript(watched)),
      // A name of the module's own stands before the global one, in its threads too.
      writeFile(
        join(dir, 'glue.mjs'),
        `import { watching } from './watch.mjs';\nconst WebAssembly = watching;\n${await readFile(runtime.mjs, 'utf8')}`,
      ),
    ]);
    const run = new Set<number>(watched.untold);
    for (const threads of threadCounts) {
      const task: ProfileTask = {
        ...{ dir, threads, functions: watched.functions, script: pathToFileURL(runtime.script).href },
        models: await Promise.all(models.map(packModel)),
      };
      for (const one of await inChild(task, signal)) run.add(one);
    }
    return [...run].sort((a, b) => a - b);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function packModel({ file, extra, feeds, others }: ProfiledModel): Promise<ProfileTask['models'][number]> {
  const { externalData } = await webModelFiles(file, undefined, 'the model');
  return { file, externalData: [...externalData], extra, feeds: feeds.map(packTask), others: others.map(packTask) };
}

/**
 * Hooks every instance of the module, in whichever thread it is made. Node hands the shared memory in which runs are noted to every new
 * thread. A function of JavaScript becomes one for a table by passing through a module that imports and exports it.
 */
function watchScript({ hook }: WatchedModule): string {
  const passing = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 1, 0x7f, 0, 2, 7, 1, 1, 0x61, 1, 0x61, 0, 0, 7, 5, 1, 1, 0x61, 0, 0,
  ];
  return `import { getEnvironmentData } from 'node:worker_threads';
const native = globalThis.WebAssembly;
const run = new Uint8Array(getEnvironmentData('mlpack functions run'));
const passed = new native.Instance(new native.Module(Uint8Array.of(${passing.join(', ')})), { a: { a: (n) => { run[n] = 1; } } });
const hooked = (instance) => {
  Object.values(instance.exports).find((one) => one instanceof native.Table).set(${hook}, passed.exports.a);
  return instance;
};
export const watching = Object.assign(Object.create(native), {
  async instantiate(...given) {
    const made = await native.instantiate(...given);
    hooked(made.instance);
    return made;
  },
  Instance: function (...given) { return hooked(new native.Instance(...given)); },
});
`;
}

function inChild(task: ProfileTask, signal: AbortSignal): Promise<readonly number[]> {
  const child = fork(worker, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: process.execArgv.filter((flag) => !flag.startsWith('--inspect')),
  });
  return converse(child, task, signal);
}

function converse(child: ChildProcess, task: ProfileTask, signal: AbortSignal): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    let answer: ProfileAnswer | undefined;
    let said = '';
    const stop = (): void => {
      child.kill('SIGKILL');
    };
    const timer = setTimeout(stop, timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 2000) said += text;
    });
    child.on('message', (message: ProfileAnswer) => {
      answer = message;
    });
    child.on('error', (error) => {
      answer ??= { ok: false, why: error.message };
    });
    child.on('close', (code, killedBy) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      if (signal.aborted) reject(signal.reason);
      else if (answer?.ok) resolve(answer.run);
      else
        reject(
          new Error(
            answer?.why ?? `the runtime ended with ${killedBy ?? `exit code ${code}`} ${said.split('\n', 1)[0]}`,
          ),
        );
    });
    child.send(task);
  });
}
