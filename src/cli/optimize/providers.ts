import { listProviders } from '../../engine/session.ts';
import { bug } from '../../errors.ts';
import type { Session } from '../command.ts';
import { prepareProviders, type ReadyProviders } from '../providers.ts';
import type { ChosenTarget } from './candidates.ts';

/** Providers to time on, unless others are asked for: the CPU and the first of each target that this machine has. */
export async function defaultProviders(targets: readonly ChosenTarget[]): Promise<string[]> {
  const known = await listProviders();
  const first = targets.flatMap(({ target }) => target.providers.find((provider) => known.includes(provider)) ?? []);
  return [...new Set(['cpu', ...first])];
}

/** @throws UserError when a provider that was asked for does not exist, or none works. */
export async function chooseProviders(
  asked: readonly string[] | undefined,
  targets: readonly ChosenTarget[],
  session: Session,
): Promise<ReadyProviders> {
  return await prepareProviders(asked ?? (await defaultProviders(targets)), session);
}

/** With --no-bench nothing is timed. */
export const noProviders: ReadyProviders = {
  working: [],
  failures: new Map(),
  browser: undefined,
  info: () => bug('no provider was made ready'),
};
