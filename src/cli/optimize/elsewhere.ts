import { agreeAcross, outputSteps } from '../../engine/agreement.ts';
import type { PageSession } from '../../engine/browser/session.ts';
import { profile } from '../../engine/profile.ts';
import { isWeb, parseProvider } from '../../engine/providers.ts';
import { openSession, type Session as RuntimeSession } from '../../engine/session.ts';
import { UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import { loadModel } from '../../onnx/load.ts';
import type { Placement, RuntimeAgreement } from '../../report/evidence.ts';
import type { OpTime, ProviderInfo } from '../../report/timing.ts';
import { feedBatches } from '../feeds.ts';
import type { MeasureContext } from './measure.ts';

/** What is known of a variant on a provider beside its times. */
export interface Elsewhere {
  readonly runtimes: Map<string, RuntimeAgreement>;
  readonly placement: Map<string, Placement>;
  readonly profile: Map<string, readonly OpTime[]>;
}

/** Samples on which a provider's outputs are held against those of the CPU. */
const agreementSamples = 32;
const madeUpSamples = 4;
/** Operators that the report lists; what is left takes next to no time. */
const listedOps = 12;
/** Software adapters compute a sample in seconds: no more is begun after this long. */
const patienceMs = 10_000;

/**
 * Holds an open variant's outputs on a provider against those on the CPU, and asks the runtime where its nodes ran and what
 * they took. Facts, not judgements: what cannot be found out is left out.
 */
export async function observe(
  name: string,
  provider: string,
  { file, opened, info }: { file: string; opened: RuntimeSession; info: ProviderInfo },
  feeds: ReadonlyMap<string, Tensor>,
  context: MeasureContext & { readonly found: Elsewhere },
): Promise<void> {
  const { found, session } = context;
  const onCpu = parseProvider(provider).id === 'cpu';
  if (!onCpu) {
    session.talk.progress(`measure ${name}`, `compare ${provider} with the CPU`);
    const agreement = await agree(file, opened, context);
    const adapter = info.adapter === undefined ? {} : { adapter: info.adapter };
    found.runtimes.set(name, { ...agreement, ...adapter, ...(info.software && { software: true }) });
  }
  const placed = (opened as PageSession).placement;
  if (placed) found.placement.set(name, placed);
  if (isWeb(provider)) return;
  session.talk.progress(`measure ${name}`, `profile on ${provider}`);
  try {
    const measured = await profile(file, feeds, { provider, label: `variant ${name}`, signal: session.io.signal });
    if (!onCpu) found.placement.set(name, measured.placement);
    if (!info.software) found.profile.set(name, measured.ops.slice(0, listedOps));
  } catch (error) {
    session.io.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    session.talk.warn(`variant ${name} has no profile on ${provider}: ${error.message}`);
  }
}

async function agree(file: string, opened: RuntimeSession, context: MeasureContext): Promise<RuntimeAgreement> {
  const { dataset, base, settings, session } = context;
  const cpu = await openSession(file, { label: 'the file' });
  try {
    const own = settings.inputShape.length > 0 ? undefined : dataset;
    const batches = feedBatches({
      dataset: own,
      model: base,
      runtime: cpu,
      seed: settings.seed,
      shapes: settings.inputShape,
      samples: own ? agreementSamples : madeUpSamples,
      batch: 1,
    });
    return await agreeAcross(
      cpu,
      opened,
      within(batches, patienceMs),
      outputSteps(await loadModel(file)),
      session.io.signal,
    );
  } finally {
    await cpu.dispose();
  }
}

async function* within<T>(items: AsyncIterable<T>, ms: number): AsyncGenerator<T> {
  const until = performance.now() + ms;
  for await (const item of items) {
    yield item;
    if (performance.now() > until) return;
  }
}
