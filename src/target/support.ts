import { formatOf, objectionsTo } from '../capability/format.ts';
import type { OptionTable, OptionValues } from '../pass/options.ts';
import type { Artifact, Support, Target } from './target.ts';

/**
 * What a target says of a model, and what the capability table says of its format on the providers that the bundle runs it on: that int8 falls
 * back to the CPU on WebGPU, for one, is known before a session is opened.
 */
export function supportOf<T extends OptionTable>(
  target: Target<T>,
  artifact: Artifact,
  options: OptionValues<T>,
): Support {
  const support = target.supports(artifact, options);
  const format = support.ok ? formatOf(artifact.ops, artifact.weightBytes ?? {}) : undefined;
  if (format === undefined) return support;
  const providers = support.byVariant?.[artifact.variant] ?? support.providers ?? target.providers;
  const said = new Set<string>();
  for (const { why } of objectionsTo(format, providers)) said.add(`${why.charAt(0).toUpperCase()}${why.slice(1)}.`);
  return { ...support, because: [...support.because, ...said] };
}
