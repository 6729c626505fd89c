import { resolve } from 'node:path';
import { requiredInputs } from '../engine/feed-shapes.ts';
import { probe } from '../engine/isolated.ts';
import { mergeTraces, traceStart } from '../engine/profile.ts';
import { isWeb, withThreads } from '../engine/providers.ts';
import { openSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { loadModel } from '../onnx/load.ts';
import { measureOn, type ProviderBench, type Subject } from './bench/measure.ts';
import { printBench } from './bench/print.ts';
import { makeSettings, type Setting, type SettingFlags } from './bench/settings.ts';
import type { Session } from './command.ts';
import { resolveModel } from './model-source.ts';
import { refuseOther, requireWritable } from './output.ts';
import { prepareProviders } from './providers.ts';
import { writeAtomically } from './write.ts';

interface BenchFlags extends SettingFlags {
  readonly provider?: readonly string[];
  readonly seconds: number;
  readonly threads?: readonly number[];
  readonly concurrency?: readonly number[];
  readonly profile?: boolean;
  readonly trace?: string;
  readonly cold: boolean;
}

/** The work of `mlpack bench`: all models interleaved, once for each provider and setting. */
export async function benchCommand(modelTexts: readonly string[], flags: BenchFlags, session: Session): Promise<void> {
  const { talk, io } = session;
  if (!(flags.seconds > 0))
    throw new UserError('option.value', `--seconds takes a number above 0, not ${flags.seconds}.`);
  const trace = flags.trace === undefined ? undefined : resolve(io.cwd, flags.trace);
  if (trace !== undefined) {
    await requireWritable(trace, flags.trace ?? trace, { makesFolders: false });
    await refuseOther(trace, flags.trace ?? trace, { start: traceStart, what: 'no trace', flag: '--trace' });
  }
  const sources = await Promise.all(modelTexts.map((text) => resolveModel(text, session)));
  const [first] = sources;
  if (!first) throw new UserError('model.none', 'which models? Name at least one.');
  const subjects: Subject[] = sources.map(({ file, name }, at) => ({ name: modelTexts[at] ?? name, file }));
  await refuseCrashing(subjects, session);
  const ready = await prepareProviders(withThreads(flags.provider ?? ['cpu'], flags.threads), session);
  if (trace !== undefined && ready.working.every(isWeb)) throw noProfile();
  const runtime = await openSession(first.file, { label: subjects[0]?.name ?? first.name });
  let settings: Setting[];
  try {
    settings = await makeSettings({ source: first, model: await loadModel(first.file), runtime }, flags, session);
  } finally {
    await runtime.dispose();
  }
  await refuseOtherInputs(subjects, settings);
  const results: ProviderBench[] = [];
  for (const provider of ready.working) {
    const options = {
      settings,
      seconds: flags.seconds,
      seed: flags.seed,
      concurrency: flags.concurrency ?? [],
      profile: flags.profile === true || trace !== undefined,
      cold: flags.cold,
    };
    results.push(await measureOn(provider, subjects, options, { ready, session }));
  }
  refuseUnusable(subjects, results);
  if (trace !== undefined) await writeTrace(trace, results, session);
  if (session.json) talk.json(toJson(results, ready.failures));
  else printBench(results, session);
}

/** A file that crashes the runtime must cost an answer and not the program: each is loaded in a child process first. */
async function refuseCrashing(subjects: readonly Subject[], { io, talk }: Session): Promise<void> {
  for (const { name, file } of subjects) {
    talk.progress('load in a child process', name);
    const loaded = await probe(file, undefined, { signal: io.signal });
    if (loaded.ok) continue;
    // Our reader says better what is wrong with a file that is cut off, empty or no model; the runtime says only that it cannot parse it.
    await loadModel(file);
    throw new UserError('bench.model', `${name} cannot be measured: ${loaded.why}`);
  }
}

/** Models that take turns are fed the same, else their times would be of different work. */
async function refuseOtherInputs(subjects: readonly Subject[], settings: readonly Setting[]): Promise<void> {
  const [base, ...others] = subjects;
  for (const { name, file } of others) {
    const model = await loadModel(file);
    for (const { feeds } of settings) {
      for (const { name: input, shape } of requiredInputs(model)) {
        const fed = feeds.get(input)?.shape;
        const fits =
          fed &&
          (!shape ||
            (shape.length === fed.length && shape.every((dim, at) => typeof dim !== 'number' || dim === fed[at])));
        if (fits) continue;
        const takes = `"${input}"${shape ? ` [${shape.map((dim) => dim ?? '?').join(', ')}]` : ''}`;
        throw new UserError(
          'bench.inputs',
          `${name} takes other inputs than ${base?.name}: ${takes}, ${fed ? `where ${base?.name} is fed [${fed.join(', ')}]` : `which ${base?.name} does not have`}. ` +
            `Models that are compared are fed the same: ${fed ? 'name the one with fixed sizes first, give --batch or --input-shape, or ' : ''}bench each by itself.`,
        );
      }
    }
  }
}

/** A model that works on none of the providers is a mistake of the command, not a result. */
function refuseUnusable(subjects: readonly Subject[], results: readonly ProviderBench[]): void {
  for (const { name } of subjects) {
    const whys = results.map(({ failures }) => failures.get(name));
    const [why] = whys;
    if (why !== undefined && whys.every((one) => one !== undefined))
      throw new UserError('bench.model', `${name} cannot be measured: ${why}`);
  }
}

const noProfile = (): UserError =>
  new UserError('trace.none', 'there is no profile to write: --trace needs a provider of onnxruntime-node.');

async function writeTrace(path: string, results: readonly ProviderBench[], { talk }: Session): Promise<void> {
  const traces = results.flatMap(({ provider, profiles }) =>
    [...profiles].map(([name, { events }]) => ({ name: `${name} on ${provider}`, events })),
  );
  if (traces.length === 0) throw noProfile();
  await writeAtomically(path, mergeTraces(traces), true);
  talk.note(`wrote ${path}; open it at https://ui.perfetto.dev`);
}

function toJson(results: readonly ProviderBench[], failures: ReadonlyMap<string, string>): unknown {
  return {
    results: results.flatMap<unknown>(
      ({ provider, info, timed, cold, placement, profiles, throughput, agreement, ...rest }) => {
        const ops = new Map([...profiles].map(([name, one]) => [name, one.ops]));
        const facts = { provider, info, cold, placement, ops, throughput, agreement, failures: rest.failures };
        if (timed.length === 0) return [{ ...facts, warnings: [], models: [] }];
        return timed.map(({ setting: { feeds: _, label: __, ...sizes }, report }) => ({
          ...facts,
          ...sizes,
          noise: report.noise,
          warnings: report.warnings,
          models: report.results.map(({ rounds: ___, ...model }) => model),
        }));
      },
    ),
    failures,
  };
}
