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
  const kept = diff.recommendations.filter((one) => one.before === one.after && one.after !== null);
  const name = (variant: string | null): string => variant ?? 'nothing';
  return [
    ...changed.map(
      ({ target, before, after }) => `For ${target}, ${name(after)} is recommended instead of ${name(before)}.`,
    ),
    ...(kept.length > 0
      ? [`Still recommended: ${listWords(kept.map(({ target, after }) => `${after} for ${target}`))}.`]
      : []),
    ...calls(diff),
  ];
}

function calls(diff: ReportDiff): string[] {
  const shipped = new Set(diff.recommendations.map(({ after }) => after));
  const rows = diff.variants
    .filter(({ name }) => shipped.has(name))
    .flatMap(({ name, rows: all }) => all.map((row) => ({ name, ...row })));
  const told = (call: DiffCall): string =>
    listWords(rows.filter((row) => row.call === call).map((row) => `${row.measure} of ${row.name}`));
  const [better, worse] = [told('better'), told('worse')];
  if (better === '' && worse === '')
    return rows.length > 0 ? ['Of what is recommended, nothing can be told to be better or worse.'] : [];
  return [...(better === '' ? [] : [`Better: ${better}.`]), ...(worse === '' ? [] : [`Worse: ${worse}.`])];
}
