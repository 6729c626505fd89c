import { bench, benchSessionExtra } from '../../engine/bench.ts';
import type { BenchSubject } from '../../engine/bench-runner.ts';
import { probe } from '../../engine/isolated.ts';
import { listProviders, openSession, type Session as RuntimeSession, requireProvider } from '../../engine/session.ts';
import { bug, UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import type { Latency } from '../../report/report.ts';
import type { Artifact } from '../../target/target.ts';
import { firstFeeds } from '../feeds.ts';
import { goldenProblem } from '../golden.ts';
import type { ChosenTarget } from './candidates.ts';
import type { Measured } from './choose.ts';
import type { MeasureContext } from './measure.ts';

/**
 * Providers to time on: those asked for, else the CPU and the first of each target that this machine has.
 * @throws UserError when one that was asked for does not exist here.
 */
export async function chooseProviders(
  asked: readonly string[] | undefined,
  targets: readonly ChosenTarget[],
): Promise<readonly string[]> {
  if (asked) {
    for (const provider of asked) await requireProvider(provider);
    return asked;
  }
  const known = await listProviders();
  const first = targets.flatMap(({ target }) => target.providers.find((provider) => known.includes(provider)) ?? []);
  return [...new Set(['cpu', ...first])];
}

export interface TimingContext extends MeasureContext {
  /** Variants that load, by name; base first. */
  readonly artifacts: ReadonlyMap<string, Artifact>;
  /** Session config entries that a bundle would set. */
  readonly sessionConfig: (variant: string, provider: string) => Readonly<Record<string, string>>;
}

interface ProviderResult {
  readonly latencies: Map<string, Latency>;
  readonly failures: Map<string, string>;
  readonly warnings: string[];
}

/**
 * Times the variants on each provider, interleaved, after a try-out: on other providers than the CPU each file is first
 * loaded in a child process, and must then give the outputs that it gave on the CPU.
 */
export async function timeAll(
  measured: readonly Measured[],
  providers: readonly string[],
  context: TimingContext,
): Promise<{ measured: Measured[]; warnings: string[] }> {
  const results = new Map<string, ProviderResult>();
  for (const provider of providers) results.set(provider, await timeOn(provider, context));
  const of = <T>(name: string, pick: (result: ProviderResult) => Map<string, T>): Record<string, T> => {
    const found: Record<string, T> = {};
    for (const [provider, result] of results) {
      const value = pick(result).get(name);
      if (value !== undefined) found[provider] = value;
    }
    return found;
  };
  return {
    measured: measured.map((one) => ({
      ...one,
      latency: of(one.name, ({ latencies }) => latencies),
      failures: of(one.name, ({ failures }) => failures),
    })),
    warnings: [...results.values()].flatMap(({ warnings }) => warnings),
  };
}

async function timeOn(provider: string, context: TimingContext): Promise<ProviderResult> {
  const result: ProviderResult = { latencies: new Map(), failures: new Map(), warnings: [] };
  const [base, ...others] = context.artifacts.keys();
  if (base === undefined) return result;
  const feeds = await benchFeeds(context);
  for (const name of [base, ...others]) {
    if (provider === 'cpu') break;
    const why = await tryOut(name, provider, feeds, context);
    if (why !== undefined) result.failures.set(name, why);
  }
  const working = others.filter((name) => !result.failures.has(name));
  for (const group of inGroups(working, provider, context)) {
    if (!result.failures.has(base)) await timeGroup([base, ...group], provider, feeds, context, result);
  }
  const why = result.failures.get(base);
  if (why !== undefined) result.warnings.push(`Nothing was timed on ${provider}: ${base} ${why}`);
  return result;
}

/** Loads the file and runs it once in a child process: it may crash the runtime, or never come back. */
async function tryOut(
  name: string,
  provider: string,
  feeds: ReadonlyMap<string, Tensor>,
  { session, ...context }: TimingContext,
): Promise<string | undefined> {
  session.talk.progress(`measure ${name}`, `load on ${provider} in a child process`);
  const result = await probe(fileOf(name, context.artifacts), feeds, {
    provider,
    extra: context.sessionConfig(name, provider),
    signal: session.io.signal,
  });
  return result.ok ? undefined : `does not work on ${provider}: ${result.why}`;
}

/** WebAssembly has 4 GB for all sessions together, and a model takes several times its size. */
const webGroupBytes = 0.6e9;

/** Variants to time side by side: all of them, where memory allows. Base goes along with each group. */
function inGroups(names: readonly string[], provider: string, { artifacts }: TimingContext): string[][] {
  if (!provider.startsWith('web-')) return [[...names]];
  const size = (name: string): number => (artifacts.get(name)?.files ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  const groups: string[][] = [[]];
  let room = webGroupBytes;
  for (const name of names) {
    const group = groups.at(-1) ?? bug('no group');
    if (group.length > 0 && size(name) > room) {
      groups.push([name]);
      room = webGroupBytes - size(name);
    } else {
      group.push(name);
      room -= size(name);
    }
  }
  return groups;
}

async function timeGroup(
  names: readonly string[],
  provider: string,
  feeds: ReadonlyMap<string, Tensor>,
  context: TimingContext,
  result: ProviderResult,
): Promise<void> {
  const { settings, session } = context;
  const subjects: BenchSubject[] = [];
  try {
    for (const name of names) {
      const opened = await openChecked(name, provider, context);
      if (typeof opened !== 'string') subjects.push({ name, session: opened });
      else result.failures.set(name, opened);
      // Without base, which comes first, there is nothing to compare with.
      if (subjects.length === 0) return;
    }
    const { results, warnings } = await bench(subjects, feeds, {
      timeMs: settings.seconds * 1000,
      seed: settings.seed,
      signal: session.io.signal,
      onProgress: (done) =>
        session.talk.progress(
          `measure latency on ${provider}`,
          `${(100 * done).toFixed(0)} %, all variants interleaved`,
        ),
    });
    for (const { name, latency } of results) {
      if (!result.latencies.has(name)) result.latencies.set(name, latency);
    }
    result.warnings.push(...warnings.map((warning) => `${provider}: ${warning}`));
  } finally {
    for (const subject of subjects) await subject.session.dispose();
  }
}

/** A session that gives the recorded outputs, or why there is none. */
async function openChecked(name: string, provider: string, context: TimingContext): Promise<RuntimeSession | string> {
  const { session, artifacts } = context;
  session.talk.progress(`measure ${name}`, `open on ${provider}`);
  let opened: RuntimeSession | undefined;
  try {
    opened = await openSession(fileOf(name, artifacts), {
      provider,
      extra: { ...benchSessionExtra, ...context.sessionConfig(name, provider) },
      label: `variant ${name}`,
    });
    const golden = provider === 'cpu' ? [] : (artifacts.get(name)?.golden ?? []);
    const problem = await goldenProblem(opened, golden, session.io.signal);
    if (problem === undefined) return opened;
    await opened.dispose();
    return `gives other outputs on ${provider} than on the CPU: ${problem}`;
  } catch (error) {
    await opened?.dispose();
    if (!(error instanceof UserError)) throw error;
    return `does not work on ${provider}: ${error.message}`;
  }
}

function fileOf(name: string, artifacts: ReadonlyMap<string, Artifact>): string {
  return artifacts.get(name)?.files[0]?.source ?? bug(`variant ${name} has no file`);
}

async function benchFeeds(context: TimingContext): Promise<ReadonlyMap<string, Tensor>> {
  const { settings, dataset, base, artifacts } = context;
  const runtime = await openSession(fileOf('base', artifacts), { label: 'the model' });
  try {
    return await firstFeeds({
      // Explicit dimensions are a wish about made-up inputs: samples of a dataset have their own.
      dataset: settings.inputShape.length > 0 ? undefined : dataset,
      model: base,
      runtime,
      seed: settings.seed,
      shapes: settings.inputShape,
      samples: 1,
    });
  } finally {
    await runtime.dispose();
  }
}
