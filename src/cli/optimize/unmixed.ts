import type { Floors } from './floor.ts';
import type { Measured } from './measured.ts';
import { enoughOf, familyOf, noStart, searches } from './mixed.ts';

/** Why there is no mix of formats in place of a variant that misses the floor, and what to do; undefined where there is one, or never could be. */
export function whyUnmixed(variant: Measured, measured: readonly Measured[], floors: Floors): string | undefined {
  const last = variant.steps.findLast(({ changed }) => changed);
  if (last && searches.has(last.pass))
    return 'no mix is searched for it: its own search was held to this floor on half of the samples, and the others do not agree (more samples would)';
  const family = familyOf(variant.name);
  if (!family || !variant.accuracy || measured.some(({ name }) => name === family.mix)) return undefined;
  const start = noStart(family, measured, floors);
  if (start !== undefined)
    return `no mix is searched for it: ${start}, which that would go on from, misses the floor itself`;
  const better = enoughOf(family, measured, floors);
  if (better) return `no mix is searched for it: ${better.name} keeps the floor, and a mix would be no better`;
  return `no mix is searched for it where variants are named: --variant ${family.mix} is that search`;
}
