/** Rows whose difference is judged by its interval: accuracy and latency. */
import { formatMs } from '../../messages.ts';
import { compareAccuracy } from '../before.ts';
import { smallestEffect } from '../facts.ts';
import { quotient } from '../quotient.ts';
import { formatDrop, formatMetric } from '../words.ts';
import { type DiffRow, factor, type Pair, scatteredRow, shown } from './row.ts';

export function accuracyRow({ before, after }: Pair): DiffRow | undefined {
  const [was, is] = [before.variant.accuracy, after.variant.accuracy];
  const metric = is?.metric ?? was?.metric;
  if (metric === undefined) return undefined;
  const known = shown(metric, [was?.value, is?.value], (value) => formatMetric(metric, value));
  if (!known) return undefined;
  const compared = compareAccuracy(after, before);
  if (typeof compared === 'string' || compared.drop === null) return { ...known, change: '' };
  const { drop, dropCi } = compared;
  const change = drop === 0 ? '' : formatDrop(compared);
  if (drop === 0 && dropCi === undefined) return { ...known, change, call: 'same' };
  if (!dropCi) return { ...known, change };
  const [low, high] = dropCi;
  if (low > 0) return { ...known, change, call: 'worse' };
  if (high < 0) return { ...known, change, call: 'better' };
  const unchanged = compared.discordant !== undefined && compared.discordant.lost + compared.discordant.gained === 0;
  return { ...known, change, call: unchanged ? 'same' : 'noise' };
}

/** The median of each provider; what was timed beside base in both runs is compared beside it. */
export function latencyRows(pair: Pair): (DiffRow | undefined)[] {
  const { before, after, sameMachine } = pair;
  const providers = [...new Set([...Object.keys(after.variant.latency), ...Object.keys(before.variant.latency)])];
  return providers.map((provider) => {
    const [was, is] = [before.variant.latency[provider], after.variant.latency[provider]];
    const measure = `latency, ${provider}`;
    const ratio = was && is && after.variant.name !== 'base' ? quotient(is, was) : undefined;
    if (!ratio) return scatteredRow(measure, [was?.p50, is?.p50], formatMs, pair);
    const known = shown(measure, [was?.p50, is?.p50], formatMs);
    if (!known) return undefined;
    if (!sameMachine) return { ...known, change: '', call: 'machine' };
    const [low, high] = ratio.interval;
    const change = `${factor(ratio.ratio)} of base’s share (${[low, high].map((end) => Number(end.toPrecision(3))).join('–')})`;
    if (low > 1 + smallestEffect) return { ...known, change, call: 'worse' };
    if (high < 1 - smallestEffect) return { ...known, change, call: 'better' };
    return { ...known, change, call: 'noise' };
  });
}
