import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';
import { fuseSteps, holds } from '../support/holds.ts';
import { blockPrograms, buildBlocks } from '../support/random-blocks.ts';
import { linearRules, mobileRules } from '../support/rules.ts';

describe('random transformer blocks', () => {
  it('keep signature, validity and numbers at both levels of fuse', { timeout: 120_000 }, async () => {
    const fired = new Set<string>();
    const property = fc.asyncProperty(blockPrograms, (program) =>
      holds(buildBlocks(program), program.seed, fuseSteps, fired),
    );
    await fc.assert(property, { numRuns: 300, seed: 11 });
    const others = new Set([...linearRules, ...mobileRules]);
    const missing = Object.keys(fuse.rules).filter((rule) => !fired.has(`fuse/${rule}`) && !others.has(rule));
    expect(missing, 'rules that no graph made fire: the generator is too narrow').toEqual([]);
  });
});
