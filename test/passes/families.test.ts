import { describe, it } from 'vitest';
import { calmFillings, edgeFeeds } from '../support/differential.ts';
import { familiesOf, familyDims } from '../support/families/families.ts';
import { holds, networkSteps, survives } from '../support/holds.ts';
import { runOrt } from '../support/ort.ts';

/** Enough to see that the generators and the passes fit together; `npm run nightly -- --family all` looks for more. */
const graphs = 10;

describe.each(familiesOf('all'))('random models of the family %s', (_, build) => {
  it('keep their numbers through every faithful pass', { timeout: 60_000 }, async () => {
    for (let seed = 1; seed <= graphs; seed++) {
      const model = build(seed);
      const ran = await runOrt(model, edgeFeeds(model, seed, familyDims, {}, calmFillings)).then(
        () => true,
        () => false,
      );
      if (ran) await holds(model, seed, networkSteps, undefined, familyDims);
      else await survives(model, networkSteps);
    }
  });
});
