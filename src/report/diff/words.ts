import { listWords } from '../words.ts';
import type { ReportDiff } from './diff.ts';
import type { DiffCall } from './row.ts';

export const callWords: Readonly<Record<DiffCall, string>> = {
  better: 'better',
  worse: 'worse',
  same: 'same',
  noise: 'within noise',
  machine: 'other machine',
  unclear: 'cannot be told',
};

/** The difference in a few sentences: what is recommended now, and what changed of it. */
export function diffSentences(diff: ReportDiff): string[] {
  const changed = diff.recommendations.filter((one) => one.before !== one.after);
  const kept = new Map<string, string[]>();
  for (const { target, before, after } of diff.recommendations)
    if (before === after && after !== null) kept.set(after, [...(kept.get(after) ?? []), target]);
  const name = (variant: string | null): string => variant ?? 'nothing';
  return [
    ...changed.map(
      ({ target, before, after }) => `For ${target}, ${name(after)} is recommended instead of ${name(before)}.`,
    ),
    ...(kept.size > 0
      ? [
          `Still recommended: ${listWords([...kept].map(([variant, targets]) => `${variant} for ${listWords(targets)}`))}.`,
        ]
      : []),
    ...shippedSentences(diff),
  ];
}

/** Of each variant that is recommended now: what of it is better, and what is worse. */
function shippedSentences({ recommendations, variants }: ReportDiff): string[] {
  const shipped = new Set(recommendations.map(({ after }) => after));
  return variants
    .filter(({ name, rows }) => shipped.has(name) && rows.length > 0)
    .map(({ name, rows }) => {
      const told = (call: DiffCall): string =>
        listWords(rows.filter((row) => row.call === call).map((row) => row.measure));
      const parts = [
        ...(told('better') === '' ? [] : [`better in ${told('better')}`]),
        ...(told('worse') === '' ? [] : [`worse in ${told('worse')}`]),
      ];
      return parts.length > 0
        ? `${name} is ${parts.join('; ')}.`
        : `Of ${name}, nothing can be told to be better or worse.`;
    });
}
