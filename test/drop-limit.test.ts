import { describe, expect, it } from 'vitest';
import { findPass } from '../src/cli/steps.ts';
import { validateConfig } from '../src/config/validate.ts';
import { allowedDrop, partOfLimit, readDropLimit } from '../src/drop-limit.ts';
import { keepsFloor } from '../src/pass/judge.ts';
import { makeStep } from '../src/pass/resolve-options.ts';

describe('the largest drop allowed', () => {
  it.each([
    ['0.01', 0.01],
    [' 1% ', '1%'],
    ['0.50 %', '0.5%'],
    [2, 2],
    ['0', 0],
    ['-1', undefined],
    ['-1%', undefined],
    ['1e400', undefined],
    ['%', undefined],
    ['', undefined],
    [null, undefined],
  ])('reads %j as %j', (given, limit) => {
    expect(readDropLimit(given)).toBe(limit);
  });

  it('is a difference, or a share of what base reaches, whatever its sign', () => {
    expect(allowedDrop(0.5, 30)).toBe(0.5);
    expect(allowedDrop('1%', 30)).toBeCloseTo(0.3, 12);
    expect(allowedDrop('10%', -2)).toBeCloseTo(0.2, 12);
    expect(partOfLimit('1%', 0.5)).toBe('0.5%');
    expect(partOfLimit(0.01, 0.5)).toBe(0.005);
  });

  it('means the same to a pass, a search and a config', () => {
    expect(makeStep(findPass('mixed-precision'), { maxDrop: '2%' }).options).toMatchObject({ maxDrop: '2%' });
    // Errors in units of the target have no end at 1.
    expect(makeStep(findPass('mixed-precision'), { maxDrop: '3' }).options).toMatchObject({ maxDrop: 3 });
    expect(() => makeStep(findPass('mixed-precision'), { maxDrop: 'much' })).toThrow(
      /maxDrop takes a number from 0, .* or a share/,
    );
    const score = { metric: 'rmse', value: 10.3, base: 10, drop: 0.3, samples: 50, sqnrDb: 20 };
    expect(keepsFloor(score, { maxDrop: '5%', minSqnrDb: 30 })).toBe(true);
    expect(keepsFloor(score, { maxDrop: '2%', minSqnrDb: 30 })).toBe(false);
    expect(validateConfig({ maxDrop: '1%' }, 'c.json')).toEqual({ maxDrop: '1%' });
    expect(() => validateConfig({ maxDrop: '1' }, 'c.json')).toThrow(/maxDrop takes .*, not "1"/);
  });
});
