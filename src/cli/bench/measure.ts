import { stat } from 'node:fs/promises';
import { agreeAcross, outputSteps } from '../../engine/agreement.ts';
import { type BenchReport, bench, benchSessionExtra } from '../../engine/bench.ts';
import type { BenchSubject } from '../../engine/bench-runner.ts';
import type { PageSession } from '../../engine/browser/session.ts';
import { type Profile, profile } from '../../engine/profile.ts';
import { isWeb, parseProvider } from '../../engine/providers.ts';
import { openSession, type Session as RuntimeSession } from '../../engine/session.ts';
import { throughput } from '../../engine/throughput.ts';
import { UserError } from '../../errors.ts';
import { loadModel } from '../../onnx/load.ts';
import type { Placement, RuntimeAgreement } from '../../report/evidence.ts';
import type { ProviderInfo, Throughput } from '../../report/timing.ts';
import type { Session } from '../command.ts';
import type { ReadyProviders } from '../providers.ts';
import { type ColdStart, coldStarts } from './cold.ts';
import type { Setting } from './settings.ts';

/** A model to measure, by the name that the user gave it. */
export interface Subject {
  readonly name: string;
  readonly file: string;
}

/** What was measured on one provider. */
export interface ProviderBench {
  readonly provider: string;
  readonly info: ProviderInfo;
  /** By setting; empty on a software adapter, whose times mean nothing. */
  readonly timed: readonly { readonly setting: Setting; readonly report: BenchReport }[];
  /** By model. */
  readonly cold: ReadonlyMap<string, ColdStart>;
  readonly placement: ReadonlyMap<string, Placement>;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly throughput: ReadonlyMap<string, readonly Throughput[]>;
  readonly agreement: ReadonlyMap<string, RuntimeAgreement>;
  readonly failures: ReadonlyMap<string, string>;
}

export interface MeasureOptions {
  readonly settings: readonly Setting[];
  readonly seconds: number;
  readonly seed: number;
  /** Processes at once; none: throughput is not measured. */
  readonly concurrency: readonly number[];
  readonly profile: boolean;
  readonly cold: boolean;
}

/** Above this a second session of the first model, which only judges the machine, takes too much memory. */
const controlBytes = 300e6;

/** All that is to be known of the models on one provider; models that do not work there are named and left out. */
export async function measureOn(
  provider: string,
  subjects: readonly Subject[],
  options: MeasureOptions,
  { ready, session }: { ready: ReadyProviders; session: Session },
): Promise<ProviderBench> {
  const { signal } = session.io;
  const info = await ready.info(provider);
  const inPage = isWeb(provider) && ready.browser !== undefined;
  const [first] = options.settings;
  const feeds = first?.feeds ?? new Map();
  const failures = new Map<string, string>();
  const cold = new Map<string, ColdStart>();
  if (!inPage && (options.cold || provider !== 'cpu')) {
    session.talk.progress(`start on ${provider}`, 'in child processes');
    const starts = await coldStarts(
      subjects.map(({ file }) => file),
      feeds,
      { provider, signal },
    );
    for (const [at, start] of starts.entries()) {
      const { name = '' } = subjects[at] ?? {};
      if (typeof start === 'string') failures.set(name, start);
      else if (options.cold) cold.set(name, start);
    }
  }
  const opened: (BenchSubject & { readonly file: string })[] = [];
  const placement = new Map<string, Placement>();
  let control: RuntimeSession | undefined;
  try {
    const open = (file: string, name: string): Promise<RuntimeSession> =>
      openSession(file, {
        provider,
        label: name,
        browser: ready.browser,
        ...(!inPage && { extra: isWeb(provider) ? {} : benchSessionExtra }),
        ...(inPage && { placement: true }),
      });
    for (const { name, file } of subjects) {
      if (failures.has(name)) continue;
      session.talk.progress(`open on ${provider}`, name);
      const runtime = await attempt(() => open(file, name), name, failures);
      if (!runtime) continue;
      opened.push({ name, file, session: runtime });
      const placed = inPage ? (runtime as PageSession).placement : undefined;
      if (placed) placement.set(name, placed);
    }
    const agreement = new Map<string, RuntimeAgreement>();
    if (parseProvider(provider).id !== 'cpu') {
      for (const { name, file, session: other } of opened) {
        session.talk.progress(`compare ${provider} with cpu`, name);
        const found = await attempt(() => agree(file, other, options.settings, signal), name, failures);
        if (found) agreement.set(name, found);
      }
    }
    const usable = opened.filter(({ name }) => !failures.has(name));
    const [base] = usable;
    const timed: { setting: Setting; report: BenchReport }[] = [];
    if (base && !info.software) {
      if (usable.length > 1 && (await stat(base.file)).size < controlBytes) control = await open(base.file, base.name);
      for (const setting of options.settings) {
        const report = await bench(usable, setting.feeds, {
          timeMs: options.seconds * 1000,
          seed: options.seed,
          signal,
          ownProcess: !inPage,
          ...(control && { control }),
          onProgress: (done) =>
            session.talk.progress(
              `measure on ${provider}${setting.label && `, ${setting.label}`}`,
              `${(100 * done).toFixed(0)} %`,
            ),
        });
        timed.push({ setting, report });
      }
    }
    const profiles = new Map<string, Profile>();
    if (!inPage && (options.profile || parseProvider(provider).id !== 'cpu') && !isWeb(provider)) {
      for (const { name, file } of usable) {
        session.talk.progress(`profile on ${provider}`, name);
        const found = await attempt(() => profile(file, feeds, { provider, label: name, signal }), name, failures);
        if (!found) continue;
        // Times of a software adapter mean nothing; where nodes ran does.
        if (!info.software) profiles.set(name, found);
        placement.set(name, found.placement);
      }
    }
    const rates = inPage ? new Map() : await rate(usable, provider, options, { session, failures });
    return { provider, info, timed, cold, placement, profiles, throughput: rates, agreement, failures };
  } finally {
    await control?.dispose();
    for (const one of opened) await one.session.dispose();
  }
}

async function rate(
  subjects: readonly (BenchSubject & { readonly file: string })[],
  provider: string,
  { settings, concurrency, seconds }: MeasureOptions,
  { session, failures }: { session: Session; failures: Map<string, string> },
): Promise<Map<string, Throughput[]>> {
  const rates = new Map<string, Throughput[]>();
  for (const { name, file } of concurrency.length === 0 ? [] : subjects) {
    for (const { feeds, batch, sequence, label } of settings) {
      for (const count of concurrency) {
        session.talk.progress(`throughput on ${provider}`, `${name}, ${count} at once${label && `, ${label}`}`);
        const work = (): Promise<Throughput> =>
          throughput(file, feeds, { provider, concurrency: count, runMs: seconds * 1000, signal: session.io.signal });
        const found = await attempt(work, name, failures);
        if (!found) continue;
        const sizes = { ...(batch !== undefined && { batch }), ...(sequence !== undefined && { sequence }) };
        rates.set(name, [...(rates.get(name) ?? []), { ...sizes, ...found }]);
      }
    }
  }
  return rates;
}

async function agree(
  file: string,
  other: RuntimeSession,
  settings: readonly Setting[],
  signal: AbortSignal,
): Promise<RuntimeAgreement> {
  const cpu = await openSession(file);
  try {
    const batches = settings.map(({ feeds, batch }) => ({ feeds, size: batch ?? 1 }));
    return await agreeAcross(cpu, other, batches, outputSteps(await loadModel(file)), signal);
  } finally {
    await cpu.dispose();
  }
}

/** A model that fails at one thing ends on this provider, not the command. */
async function attempt<T>(work: () => Promise<T>, name: string, failures: Map<string, string>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    failures.set(name, error.message);
    return undefined;
  }
}
