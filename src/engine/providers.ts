import { UserError } from '../errors.ts';
import { suggestion } from '../messages.ts';

/** A provider with its options, as the command line names it: `cpu`, `web-wasm:threads=2`, `cuda:device=1`. */
export interface ProviderSpec {
  readonly id: string;
  /** Threads inside one operator. */
  readonly threads?: number;
  /** Number of the graphics card. */
  readonly device?: number;
}

/** What each provider can be told. Others are passed to the runtime as they are, without options. */
const optionsOf: Readonly<Record<string, readonly (keyof Omit<ProviderSpec, 'id'>)[]>> = {
  cpu: ['threads'],
  'web-wasm': ['threads'],
  cuda: ['device'],
  tensorrt: ['device'],
  dml: ['device'],
};

/** @throws UserError for a text that is none, or an option that the provider does not have. */
export function parseProvider(text: string): ProviderSpec {
  const [id = '', ...rest] = text.split(':');
  const known: readonly string[] = optionsOf[id] ?? [];
  const options: Record<string, number> = {};
  for (const pair of rest.join(':').split(/[;,]/)) {
    if (pair === '') continue;
    const [, name = pair, value] = /^(\w+)=(\d+)$/.exec(pair) ?? [];
    if (!known.includes(name)) {
      const has = known.length > 0 ? `it has ${known.join(', ')}${suggestion(name, known)}` : 'it has none';
      throw new UserError('provider.option', `provider ${id} has no option "${name}"; ${has}.`);
    }
    const least = name === 'threads' ? 1 : 0;
    if (value === undefined || Number(value) < least) {
      throw new UserError('provider.option', `${name} of ${id} takes a number from ${least}: ${id}:${name}=2.`);
    }
    options[name] = Number(value);
  }
  return { id, ...options };
}

/** The text that names it, the same for the same provider. */
export function formatProvider({ id, ...options }: ProviderSpec): string {
  const pairs = Object.entries(options).filter(([, value]) => value !== undefined);
  return pairs.length === 0 ? id : `${id}:${pairs.map(([name, value]) => `${name}=${value}`).join(';')}`;
}

/** Providers that are pages of a browser, or the runtime that browsers have. */
export const isWeb = (provider: string): boolean => provider.startsWith('web-');

/**
 * A provider for each number of threads, where it has threads; others once.
 * @throws UserError when a provider says how many threads it has, and numbers of threads are asked for beside.
 */
export function withThreads(providers: readonly string[], threads: readonly number[] | undefined): string[] {
  if (!threads || threads.length === 0) return [...providers];
  return providers.flatMap((text) => {
    const spec = parseProvider(text);
    if (!optionsOf[spec.id]?.includes('threads')) return [text];
    if (spec.threads !== undefined)
      throw new UserError('provider.option', `${text} says how many threads it has already; leave out --threads.`);
    return threads.map((count) => formatProvider({ ...spec, threads: count }));
  });
}
