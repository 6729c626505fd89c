import { bootstrapWeights } from '../../kernels/bootstrap.ts';
import { holm, mcNemar, normalTail, pairedDropInterval } from '../../kernels/proportions.ts';
import { randomNumbers } from '../../kernels/random.ts';
import type { ClassResult } from '../../report/evidence.ts';
import { countDiscordant, isRightOrWrong, type Scored } from './scored.ts';

/**
 * Rows kept by each of two rankings: a thousand classes would make the report large, and those that did not change say nothing. Of the drop alone
 * it would be classes of a single sample that are kept, which lose all or nothing, and not the large one that surely lost a tenth.
 */
const mostRows = 50;

interface Row extends Omit<ClassResult, 'name' | 'base' | 'value'> {
  readonly id: number;
  readonly base: number;
  readonly value: number;
  readonly drop: number;
  /** Not adjusted yet. */
  readonly p: number;
}

/**
 * The drop of each class, both models on the same samples, worst first. Right and wrong: the share of the class that is right, score interval
 * and exact McNemar test. Metrics with figures of their own by class (f1, average precision, IoU): paired bootstrap and the normal tail of
 * drop / standard error. The p-values are adjusted for the number of classes, since one of a hundred classes always looks worse.
 * @returns undefined where samples have no classes; of many classes those that lost most, and those least likely by chance
 */
export function perClass(base: Scored, candidate: Scored, seed: number): ClassResult[] | undefined {
  const rows = candidate.classes
    ? foldedRows(base, candidate, seed)
    : candidate.labels && isRightOrWrong(base) && isRightOrWrong(candidate)
      ? countedRows(base, candidate, candidate.labels)
      : [];
  if (rows.length < 2) return undefined;
  const adjusted = holm(rows.map(({ p }) => p));
  const judged = rows.map((row, at) => ({ ...row, p: adjusted[at] as number }));
  judged.sort((a, b) => b.drop - a.drop || a.p - b.p || a.id - b.id);
  // Before the adjustment, which makes most of many 1.
  const chance = new Map(rows.map(({ id, p }) => [id, p]));
  const surest = judged
    .toSorted((a, b) => (chance.get(a.id) ?? 1) - (chance.get(b.id) ?? 1) || b.samples - a.samples)
    .slice(0, mostRows);
  const kept = new Set([...judged.slice(0, mostRows), ...surest]);
  return judged
    .filter((row) => kept.has(row))
    .map(({ id, drop: _, ...row }) => ({ name: candidate.labelNames?.[id] ?? String(id), ...row }));
}

function countedRows(base: Scored, candidate: Scored, labels: readonly number[]): Row[] {
  const groups = new Map<number, number[]>();
  for (const [sample, label] of labels.entries()) {
    const group = groups.get(label);
    if (group) group.push(sample);
    else groups.set(label, [sample]);
  }
  return [...groups].map(([id, samples]) => {
    const before = samples.map((sample) => base.scores[sample] as number);
    const after = samples.map((sample) => candidate.scores[sample] as number);
    const discordant = countDiscordant(before, after);
    const share = (scores: readonly number[]): number => scores.filter((score) => score === 1).length / scores.length;
    return {
      id,
      samples: samples.length,
      value: share(after),
      base: share(before),
      drop: (discordant.lost - discordant.gained) / samples.length,
      ...discordant,
      dropCi: pairedDropInterval(discordant, samples.length),
      p: mcNemar(discordant).worse,
    };
  });
}

function foldedRows(base: Scored, candidate: Scored, seed: number): Row[] {
  const [before, after] = [base.classes, candidate.classes];
  if (!before || !after) return [];
  // A class that only one of the two predicts, and nobody labelled, has no samples: it is no class of the data.
  const shared = after.ids
    .map((id, at) => ({ id, at, place: before.ids.indexOf(id), samples: after.counts[at] as number }))
    .filter(({ place, samples }) => place >= 0 && samples > 0);
  const sign = candidate.higherIsBetter ? 1 : -1;
  const dropsOf = (weights?: ArrayLike<number>): number[] => {
    const [x, y] = [before.values(weights), after.values(weights)];
    return shared.map(({ place, at }) => sign * ((x[place] as number) - (y[at] as number)));
  };
  const [was, is, drops] = [before.values(), after.values(), dropsOf()];
  const drawn = bootstrapWeights(candidate.scores.length, dropsOf, {
    random: randomNumbers(seed),
    cost: 2 * (candidate.cost ?? 0),
  });
  return shared.flatMap(({ id, at, place, samples }, row): Row[] => {
    const [drop, value, first] = [drops[row] as number, is[at] as number, was[place] as number];
    if (![drop, value, first].every(Number.isFinite)) return [];
    const spread = drawn[row];
    const error = spread?.standardError ?? 0;
    return [
      {
        id,
        samples,
        value,
        base: first,
        drop,
        ...(spread && error > 0 && { dropCi: spread.interval }),
        p: error > 0 ? normalTail(drop / error) : 1,
      },
    ];
  });
}
