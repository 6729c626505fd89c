import { BrowserHost } from '../engine/browser/host.ts';
import { diagnoseNative, nativeProviders } from '../engine/doctor.ts';
import { isWeb, parseProvider } from '../engine/providers.ts';
import { runtimeVersion } from '../engine/runtime.ts';
import { requireProvider } from '../engine/session.ts';
import { adoptSoftwareDriver, softwareWebgpu, webgpuIsSoftware } from '../engine/webgpu.ts';
import { UserError } from '../errors.ts';
import type { ProviderInfo } from '../report/timing.ts';
import { findChromium, launchChromium } from '../target/chromium.ts';
import type { Session } from './command.ts';

/** Providers that are ready to be measured on, and what their figures come from. */
export interface ReadyProviders {
  /** As asked for, those that work here. */
  readonly working: readonly string[];
  /** By provider: why it does not work here, in a sentence. */
  readonly failures: ReadonlyMap<string, string>;
  /** Where the web providers run; closed when the command ends. */
  readonly browser: BrowserHost | undefined;
  info(provider: string): Promise<ProviderInfo>;
}

/**
 * Finds out which of the providers work here, each tried in a child process or a page. One that does not is named, and the
 * others go on. The native `webgpu` takes Chromium's software driver where there is no other.
 * @throws UserError for a provider that does not exist, and when none works.
 */
export async function prepareProviders(asked: readonly string[], session: Session): Promise<ReadyProviders> {
  const { talk, io } = session;
  const unique = [...new Set(asked)];
  const browser = unique.some((text) => isWeb(text)) ? openBrowser(session) : undefined;
  const failures = new Map<string, string>();
  for (const text of unique) {
    await requireProvider(text, true);
    const why = await whyNot(text, browser, session);
    if (why === undefined) continue;
    failures.set(text, why);
  }
  io.signal.throwIfAborted();
  const working = unique.filter((text) => !failures.has(text));
  const told = [...failures].map(([text, why]) => `${text} does not work here: ${why}`);
  if (working.length === 0) throw new UserError('provider-unusable', told.join(' '));
  for (const sentence of told) talk.warn(`${sentence} The other providers go on.`);
  return { working, failures, browser, info: (text) => infoOf(text, browser) };
}

/** A browser for the web providers, closed when the command ends; undefined where there is none. */
function openBrowser({ atEnd }: Session): BrowserHost | undefined {
  if (findChromium() === undefined) return undefined;
  const host = new BrowserHost({ launch: ({ software }) => launchChromium(undefined, { software }) });
  atEnd.push(() => host.close());
  return host;
}

async function whyNot(text: string, browser: BrowserHost | undefined, session: Session): Promise<string | undefined> {
  const { id, threads } = parseProvider(text);
  if (isWeb(id)) return whyNotInPage(id, threads, browser, session);
  const native = nativeProviders.find((one) => one === id);
  // The CPU always works, and what it cannot do its sessions say. Providers without a diagnosis are tried by their sessions.
  if (id === 'cpu' || native === undefined) return undefined;
  session.talk.progress(`try ${text}`, 'in a child process');
  const diagnosis = await diagnoseNative(native, session.io.signal);
  if (diagnosis.works) return undefined;
  const env = id === 'webgpu' ? await softwareWebgpu(session.io.signal) : undefined;
  if (env !== undefined) {
    adoptSoftwareDriver(env);
    session.talk.note('webgpu: no graphics adapter; on the software driver of Chromium, for correctness only');
    return undefined;
  }
  const enable = diagnosis.enable === undefined ? '' : ` To enable it: ${diagnosis.enable}`;
  return `${diagnosis.detail}.${enable}`.replaceAll('..', '.');
}

async function whyNotInPage(
  id: string,
  threads: number | undefined,
  browser: BrowserHost | undefined,
  { talk }: Session,
): Promise<string | undefined> {
  if (!browser) {
    const missing = 'Chromium or Chrome was not found (Debian: apt-get install chromium)';
    if (id !== 'web-wasm') return `${missing}.`;
    talk.note(`web-wasm: ${missing}; its WebAssembly runs in Node instead`);
    return undefined;
  }
  talk.progress(`try ${id}`, 'in Chromium');
  try {
    await browser.page(id, threads);
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}

async function infoOf(text: string, browser: BrowserHost | undefined): Promise<ProviderInfo> {
  const { id, threads } = parseProvider(text);
  const inPage = isWeb(id) ? browser?.info(id, threads) : undefined;
  if (inPage) return inPage;
  const package_ = isWeb(id) ? 'onnxruntime-web in Node' : 'onnxruntime-node';
  return {
    runtime: `${package_} ${await runtimeVersion()}`,
    software: id === 'webgpu' && webgpuIsSoftware(),
    ...(id === 'webgpu' && webgpuIsSoftware() && { adapter: 'software (SwiftShader or lavapipe)' }),
    ...(threads !== undefined && { threads }),
  };
}
