import { adaptFeeds } from './compare.ts';
import { type Probe, unpackTask, type WorkerAnswer, type WorkerTask } from './isolated-wire.ts';
import { loadRuntime } from './runtime.ts';
import { openSession } from './session.ts';

/** Entry of the child process that `isolated.ts` starts: one task in, stages and one answer out. */

process.once('message', (task: WorkerTask) => {
  void work(task).then(finish, (error: unknown) => {
    finish({ ok: false, why: error instanceof Error ? error.message : String(error), crashed: false });
  });
});

async function work(task: WorkerTask): Promise<Probe> {
  await loadRuntime();
  const baselineRssBytes = peakRss();
  say({ kind: 'stage', stage: 'loading' });
  const session = await openSession(task.model, { ...task.options, label: 'the file' });
  const feeds = unpackTask(task.feeds ?? []);
  say({ kind: 'stage', stage: 'running' });
  const started = performance.now();
  if (task.feeds) await session.run(adaptFeeds(feeds, session.inputs));
  const firstRunMs = performance.now() - started;
  return { ok: true, sessionMs: session.createMs, firstRunMs, peakRssBytes: peakRss(), baselineRssBytes };
}

/** libuv gives kilobytes on every system. */
function peakRss(): number {
  return process.resourceUsage().maxRSS * 1024;
}

function say(answer: WorkerAnswer): void {
  process.send?.(answer);
}

/** Leaves at once: tearing the runtime down could still crash, and nothing is left to save. */
function finish(probe: Probe): void {
  process.send?.({ kind: 'answer', probe } satisfies WorkerAnswer, () => process.exit(0));
}
