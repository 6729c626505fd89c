import { bench, benchSessionExtra } from '../engine/bench.ts';
import type { BenchSubject } from '../engine/bench-runner.ts';
import { openSession, type Session as RuntimeSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { formatMs } from '../messages.ts';
import { loadModel } from '../onnx/load.ts';
import type { Session } from './command.ts';
import { openData } from './data.ts';
import { firstFeeds } from './feeds.ts';
import { resolveModel } from './model-source.ts';
import { table } from './talk.ts';

interface BenchFlags {
  readonly provider?: readonly string[];
  readonly seconds: number;
  readonly threads?: number;
  readonly inputShape?: readonly string[];
  readonly seed: number;
}

/** The work of `mlpack bench`: all models interleaved, once for each provider. */
export async function benchCommand(modelTexts: readonly string[], flags: BenchFlags, session: Session): Promise<void> {
  const { talk, io } = session;
  if (!(flags.seconds > 0))
    throw new UserError('option.value', `--seconds takes a number above 0, not ${flags.seconds}.`);
  const sources = await Promise.all(modelTexts.map((text) => resolveModel(text, session)));
  const [first] = sources;
  if (!first) throw new UserError('model.none', 'which models? Name at least one.');
  const results = [];
  for (const provider of flags.provider ?? ['cpu']) {
    const opened: RuntimeSession[] = [];
    try {
      const subjects: BenchSubject[] = [];
      for (const [index, source] of sources.entries()) {
        talk.progress(`open on ${provider}`, modelTexts[index]);
        const runtime = await openSession(source.file, {
          provider,
          extra: benchSessionExtra,
          ...(flags.threads !== undefined && { threads: flags.threads }),
        });
        opened.push(runtime);
        subjects.push({ name: modelTexts[index] ?? source.name, session: runtime });
      }
      const runtime = opened[0] as RuntimeSession;
      const dataset = await openData(first, undefined, session, runtime.inputs);
      const shapes = flags.inputShape ?? [];
      // Explicit dimensions are a wish about made-up inputs: samples of a dataset have their own.
      const model = await loadModel(first.file);
      const feeds = await firstFeeds({
        dataset: shapes.length > 0 ? undefined : dataset,
        model,
        runtime,
        seed: flags.seed,
        shapes,
        samples: 1,
      });
      const measured = await bench(subjects, feeds, {
        timeMs: flags.seconds * 1000,
        seed: flags.seed,
        signal: io.signal,
        onProgress: (done) => talk.progress(`measure on ${provider}`, `${(100 * done).toFixed(0)} %`),
      });
      results.push({ provider, ...measured });
    } finally {
      for (const runtime of opened) await runtime.dispose();
    }
  }
  if (session.json) {
    talk.json({
      results: results.map(({ provider, warnings, results: models }) => ({
        provider,
        warnings,
        models: models.map(({ rounds: _, ...model }) => model),
      })),
    });
    return;
  }
  for (const { provider, results: models, warnings } of results) {
    const header = [provider, 'p50', 'p90', 'p99', 'runs/s', '× base', '95 % interval', 'session', 'runs'];
    const rows = models.map(({ name, latency, sessionMs }, index) => [
      name,
      formatMs(latency.p50),
      formatMs(latency.p90),
      formatMs(latency.p99),
      (1000 / latency.p50).toPrecision(3),
      latency.ratioToBase.toFixed(2),
      index === 0 ? '' : `${latency.ratioCi[0].toFixed(2)}–${latency.ratioCi[1].toFixed(2)}`,
      formatMs(sessionMs),
      String(latency.samples),
    ]);
    talk.out(table([header, ...rows], [1, 2, 3, 4, 5, 6, 7, 8]));
    for (const warning of warnings) talk.warn(warning);
  }
}
