import { evaluate } from '../engine/evaluate.ts';
import { openSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { formatMs } from '../messages.ts';
import type { Session } from './command.ts';
import { openData } from './data.ts';
import { resolveModel } from './model-source.ts';
import { metricInterval } from './optimize/paired.ts';

interface EvalFlags {
  readonly data?: string;
  readonly metric?: string;
  readonly samples?: number;
  readonly provider: string;
}

/** The work of `mlpack eval`. */
export async function evalCommand(modelText: string, flags: EvalFlags, session: Session): Promise<void> {
  const { talk } = session;
  const source = await resolveModel(modelText, session);
  const runtime = await openSession(source.file, { provider: flags.provider });
  try {
    const dataset = await openData(source, flags.data, session, runtime.inputs);
    if (!dataset) {
      throw new UserError(
        'data.none',
        `which data? "${modelText}" has no dataset beside it; give --data <dir> (docs/datasets.md).`,
      );
    }
    const result = await evaluate(runtime, dataset, {
      signal: session.io.signal,
      ...(flags.metric !== undefined && { metric: flags.metric }),
      ...(flags.samples !== undefined && { samples: flags.samples }),
      onProgress: (done, total) => talk.progress('evaluate', `${done} of ${total}`),
    });
    const { scores: _, indices: __, labels: ___, labelNames: ____, classes: _____, ...summary } = result;
    const interval = metricInterval(result, 0);
    if (session.json) {
      talk.json({
        model: source.file,
        data: dataset.dir,
        provider: flags.provider,
        ...summary,
        interval: interval ?? null,
      });
      return;
    }
    talk.out(
      `${result.metric} ${talk.style.bold(result.value.toFixed(4))}${interval ? ` (95 % interval ${interval.map((end) => end.toFixed(4)).join('–')})` : ''}  (${result.samples} samples of ${dataset.name}, ${flags.provider})`,
    );
    talk.out(
      talk.style.dim(
        `${formatMs(result.ms / Math.max(result.samples, 1))} a sample, ${((100 * result.runMs) / result.ms).toFixed(0)} % of it inside the runtime`,
      ),
    );
    if (result.nonFinite > 0) talk.warn(`${result.nonFinite} samples gave NaN or infinite outputs.`);
  } finally {
    await runtime.dispose();
  }
}
