/** Families of random models beside random-graph.ts, random-blocks.ts and random-mobile.ts: what `--family` of the nightly commands takes. */
import type { Model } from '../../../src/ir/graph.ts';
import { buildAttention } from './attention.ts';
import { buildControl } from './control.ts';
import { buildConvolutions } from './conv.ts';
import { buildOdd } from './odd.ts';
import { buildRecurrent } from './recurrent.ts';
import { buildSelection } from './selection.ts';
import { buildTables } from './tables.ts';

/** By name: a seed gives a model. ONNX Runtime need not run each of them (a window larger than what is left of a picture). */
const families: ReadonlyMap<string, (seed: number) => Model> = new Map([
  ['recurrent', buildRecurrent],
  ['conv', buildConvolutions],
  ['tables', buildTables],
  ['selection', buildSelection],
  ['control', buildControl],
  ['attention', buildAttention],
  ['odd', buildOdd],
]);

/** Extents of the symbolic dimensions that the families use, where 2 will not do. */
export const familyDims = { D0: 12, D1: 11, D2: 10 };

type Family = readonly [name: string, build: (seed: number) => Model];

/** The families that a list of names with commas asks for; all of them for `all`, none for nothing. @throws Error for a name that is none. */
export function familiesOf(names: string): Family[] {
  if (names === 'all') return [...families];
  return names
    .split(',')
    .filter((name) => name !== '')
    .map((name) => {
      const build = families.get(name);
      if (!build) throw new Error(`"${name}" is no family: ${[...families.keys()].join(', ')}`);
      return [name, build] as const;
    });
}
