import { bench, benchSessionExtra } from '../../engine/bench.ts';
import type { BenchSubject } from '../../engine/bench-runner.ts';
import { probe } from '../../engine/isolated.ts';
import { isWeb } from '../../engine/providers.ts';
import { openSession, type Session as RuntimeSession, type SessionOptions } from '../../engine/session.ts';
import { bug, UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import type { Latency } from '../../report/report.ts';
import type { ProviderInfo, TimingNoise } from '../../report/timing.ts';
import type { Artifact } from '../../target/target.ts';
import { firstFeeds } from '../feeds.ts';
import { goldenProblem } from '../golden.ts';
import type { ReadyProviders } from '../providers.ts';
import { type Elsewhere, observe } from './elsewhere.ts';
import type { MeasureContext } from './measure.ts';
import type { Measured } from './measured.ts';

export interface TimingContext extends MeasureContext {
  /** Variants that load, by name; base first. */
  readonly artifacts: ReadonlyMap<string, Artifact>;
  /** Session config entries that a bundle would set. */
  readonly sessionConfig: (variant: string, provider: string) => Readonly<Record<string, string>>;
  readonly ready: ReadyProviders;
}

interface ProviderResult extends Elsewhere {
  readonly info: ProviderInfo;
  readonly latencies: Map<string, Latency>;
  readonly failures: Map<string, string>;
  readonly warnings: string[];
  noise?: TimingNoise;
}

export interface Timings {
  readonly measured: Measured[];
  readonly warnings: string[];
  readonly providers: Record<string, ProviderInfo>;
  readonly noise: Record<string, TimingNoise>;
}

/**
 * Times the variants on each provider, interleaved, after a try-out: on other providers than the CPU each file is first
 * loaded in a child process or a page, and must then give the outputs that it gave on the CPU. On software adapters nothing is
 * timed.
 */
export async function timeAll(measured: readonly Measured[], context: TimingContext): Promise<Timings> {
  const results = new Map<string, ProviderResult>();
  for (const provider of context.ready.working) results.set(provider, await timeOn(provider, context));
  const of = <T>(name: string, pick: (result: ProviderResult) => Map<string, T>): Record<string, T> => {
    const found: Record<string, T> = {};
    for (const [provider, result] of results) {
      const value = pick(result).get(name);
      if (value !== undefined) found[provider] = value;
    }
    return found;
  };
  const some = <K extends string, T>(key: K, found: Record<string, T>): { [P in K]?: Record<string, T> } =>
    (Object.keys(found).length === 0 ? {} : { [key]: found }) as { [P in K]?: Record<string, T> };
  const noise = [...results].flatMap(([provider, one]) => (one.noise ? [[provider, one.noise] as const] : []));
  return {
    measured: measured.map((one) => ({
      ...one,
      latency: of(one.name, ({ latencies }) => latencies),
      failures: of(one.name, ({ failures }) => failures),
      ...some(
        'runtimes',
        of(one.name, ({ runtimes }) => runtimes),
      ),
      ...some(
        'placement',
        of(one.name, ({ placement }) => placement),
      ),
      ...some(
        'profile',
        of(one.name, ({ profile }) => profile),
      ),
    })),
    warnings: [...results.values()].flatMap(({ warnings }) => warnings),
    providers: Object.fromEntries([...results].map(([provider, { info }]) => [provider, info])),
    noise: Object.fromEntries(noise),
  };
}

async function timeOn(provider: string, context: TimingContext): Promise<ProviderResult> {
  const result: ProviderResult = {
    info: await context.ready.info(provider),
    latencies: new Map(),
    failures: new Map(),
    warnings: [],
    runtimes: new Map(),
    placement: new Map(),
    profile: new Map(),
  };
  const [base, ...others] = context.artifacts.keys();
  if (base === undefined) return result;
  const feeds = await benchFeeds(context);
  for (const name of [base, ...others]) {
    // A page is a process of its own already.
    if (provider === 'cpu' || inPage(provider, context)) break;
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

const inPage = (provider: string, { ready }: TimingContext): boolean => isWeb(provider) && ready.browser !== undefined;

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
  let control: RuntimeSession | undefined;
  try {
    for (const name of names) {
      const opened = await openChecked(name, provider, context);
      if (typeof opened !== 'string') subjects.push({ name, session: opened });
      else result.failures.set(name, opened);
      // Without base, which comes first, there is nothing to compare with.
      if (subjects.length === 0) return;
    }
    for (const { name, session: opened } of subjects) {
      if (name === 'base' && result.latencies.has(name)) continue;
      const file = fileOf(name, context.artifacts);
      await observe(name, provider, { file, opened, info: result.info }, feeds, { ...context, found: result });
    }
    if (result.info.software) return;
    control = await openControl(provider, context);
    const { results, noise, warnings } = await bench(subjects, feeds, {
      timeMs: settings.seconds * 1000,
      extendTo: longest,
      seed: settings.seed,
      signal: session.io.signal,
      ownProcess: !inPage(provider, context),
      ...(control && { control }),
      onProgress: (done) =>
        session.talk.progress(
          `measure latency on ${provider}`,
          `${(100 * done).toFixed(0)} %, all variants interleaved`,
        ),
    });
    for (const { name, latency } of results) {
      if (!result.latencies.has(name)) result.latencies.set(name, latency);
    }
    result.noise ??= noise;
    result.warnings.push(...warnings.map((warning) => `${provider}: ${warning}`));
  } finally {
    await control?.dispose();
    for (const subject of subjects) await subject.session.dispose();
  }
}

/** A noisy machine gets this multiple of the time, so that the whole command stays bounded. */
const longest = 1.5;
/** Above this a second session of base, which only judges the machine, takes too much memory. */
const controlBytes = 300e6;

async function openControl(provider: string, context: TimingContext): Promise<RuntimeSession | undefined> {
  const size = (context.artifacts.get('base')?.files ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  if (size > controlBytes) return undefined;
  return await openSession(fileOf('base', context.artifacts), optionsFor('base', provider, context));
}

function optionsFor(name: string, provider: string, context: TimingContext): SessionOptions {
  const page = inPage(provider, context);
  return {
    provider,
    browser: context.ready.browser,
    extra: { ...(isWeb(provider) ? {} : benchSessionExtra), ...context.sessionConfig(name, provider) },
    label: `variant ${name}`,
    ...(page && { placement: true }),
  };
}

/** A session that gives the recorded outputs, or why there is none. */
async function openChecked(name: string, provider: string, context: TimingContext): Promise<RuntimeSession | string> {
  const { session, artifacts } = context;
  session.talk.progress(`measure ${name}`, `open on ${provider}`);
  let opened: RuntimeSession | undefined;
  try {
    opened = await openSession(fileOf(name, artifacts), optionsFor(name, provider, context));
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
