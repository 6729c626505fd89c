import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holds, networkSteps } from '../support/holds.ts';
import { buildProgram, programs } from '../support/random-graph.ts';
import { linearRules } from '../support/rules.ts';

describe('random graphs', () => {
  it('keep signature, validity, numbers and text under every faithful pass', { timeout: 180_000 }, async () => {
    const fired = new Set<string>();
    const property = fc.asyncProperty(programs, (program) =>
      holds(buildProgram(program), program.seed, networkSteps, fired),
    );
    await fc.assert(property, {
      numRuns: 500,
      seed: 20_260,
      interruptAfterTimeLimit: 150_000,
      markInterruptAsFailure: true,
    });
    const missing = [...linearRules].filter((rule) => !fired.has(`fuse/${rule}`));
    expect(missing, 'rules of fuse that no graph made fire: the generator is too narrow').toEqual([]);
  });
});
