import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setEnvironmentData } from 'node:worker_threads';
import type * as OrtWeb from 'onnxruntime-web';
import { UserError } from '../errors.ts';
import { unpackTask, type WireTensor } from './isolated-wire.ts';
import { OrtSession } from './ort-session.ts';

/** Entry of the child process that `web-profile.ts` starts: runs models on a watched onnxruntime-web, says which functions ran. */

export interface ProfileTask {
  /** Folder with `watched.wasm` and `glue.mjs`. */
  readonly dir: string;
  /** Address of onnxruntime-web's script. */
  readonly script: string;
  readonly threads: number;
  readonly functions: number;
  readonly models: readonly {
    readonly file: string;
    readonly externalData: readonly { readonly path: string; readonly file: string }[];
    readonly extra: Readonly<Record<string, unknown>>;
    readonly feeds: readonly (readonly WireTensor[])[];
    readonly others: readonly (readonly WireTensor[])[];
  }[];
}

export type ProfileAnswer =
  | { readonly ok: true; readonly run: readonly number[] }
  | { readonly ok: false; readonly why: string };

process.once('message', (task: ProfileTask) => {
  work(task).then(finish, (error: unknown) => {
    finish({ ok: false, why: error instanceof Error ? error.message : String(error) });
  });
});

// Nobody waits for an answer any more.
process.once('disconnect', () => process.exit(1));

async function work(task: ProfileTask): Promise<ProfileAnswer> {
  const run = new Uint8Array(new SharedArrayBuffer(task.functions));
  setEnvironmentData('mlpack functions run', run.buffer);
  const ort = (await import(task.script)) as typeof OrtWeb;
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = task.threads;
  ort.env.wasm.wasmPaths = { mjs: pathToFileURL(join(task.dir, 'glue.mjs')).href };
  ort.env.wasm.wasmBinary = await readFile(join(task.dir, 'watched.wasm'));
  for (const model of task.models) {
    const externalData = [];
    for (const { path, file } of model.externalData) externalData.push({ path, data: await readFile(file) });
    const inner = await ort.InferenceSession.create(await readFile(model.file), {
      executionProviders: ['wasm'],
      extra: { ...model.extra },
      externalData,
    });
    const session = new OrtSession(ort, inner, 'web-wasm', 'the model', 0);
    // The first again: plans of memory come into play from the second run on.
    for (const feeds of [...model.feeds, ...model.feeds.slice(0, 1)]) await session.run(unpackTask(feeds));
    for (const feeds of model.others) await session.run(unpackTask(feeds)).catch(refused);
    await session.dispose();
  }
  return { ok: true, run: [...run.keys()].filter((n) => run[n] === 1) };
}

/** A shape that the model does not take: what runs then is worth knowing, too. Anything else is no refusal. */
function refused(error: unknown): void {
  if (!(error instanceof UserError)) throw error;
}

/** Leaves at once: threads may still wait for work. */
function finish(answer: ProfileAnswer): void {
  process.send?.(answer, () => process.exit(0));
}
