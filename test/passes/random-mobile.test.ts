import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';
import { holds } from '../support/holds.ts';
import { buildMobile, mobilePrograms } from '../support/random-mobile.ts';
import { mobileRules } from '../support/rules.ts';

describe('random networks of convolutions', () => {
  it('keep signature, validity and numbers in the shapes that kernels are fast on', { timeout: 120_000 }, async () => {
    const fired = new Set<string>();
    const steps = [fuse({ level: 'runtime' })];
    const property = fc.asyncProperty(mobilePrograms, (program) =>
      holds(buildMobile(program), program.seed, steps, fired),
    );
    await fc.assert(property, { numRuns: 70, seed: 9 });
    const missing = [...mobileRules].filter((rule) => !fired.has(`fuse/${rule}`));
    expect(missing, 'rules that no graph made fire: the generator is too narrow').toEqual([]);
  });
});
