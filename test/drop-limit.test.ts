import { describe, expect, it } from 'vitest';
import { findPass } from '../src/cli/steps.ts';
import { validateConfig } from '../src/config/validate.ts';
import { allowedDrop, partOfLimit, readDropLimit, usual, whyOddLimit } from '../src/drop-limit.ts';
import { keepsFloor } from '../src/pass/judge.ts';
import { makeStep } from '../src/pass/resolve-options.ts';

const floor = { maxDrop: usual, minSqnrDb: 30 } as const;

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
    expect(allowedDrop(0.5, 'psnr', 30)).toBe(0.5);
    expect(allowedDrop('1%', 'psnr', 30)).toBeCloseTo(0.3, 12);
    expect(allowedDrop('10%', 'si-snr', -2)).toBeCloseTo(0.2, 12);
    expect(partOfLimit('1%', 0.5)).toBe('0.5%');
    expect(partOfLimit(0.01, 0.5)).toBe(0.005);
  });

  it.each([
    ['top1', 0.97, 0.01],
    ['wer', 0.2, 0.01],
    ['mae', 0.004, 0.00004],
    ['rmse', 31_000, 310],
    ['psnr', 30, 0.3],
    ['si-snr', 0.5, 0.005],
    // A data set may bring a metric of its own.
    ['./points.mjs', 40, 0.4],
    ['./points.mjs', 0.4, 0.01],
  ])('is usually a point of a share, and 1 %% of all else: %s %d', (metric, base, drop) => {
    expect(readDropLimit(usual)).toBe(usual);
    expect(allowedDrop(usual, metric, base)).toBeCloseTo(drop, 12);
    expect(findPass('mixed-precision').options.maxDrop?.default).toBe(usual);
    expect(keepsFloor({ metric, value: base, base, drop: 0.99 * drop, samples: 50, sqnrDb: 20 }, floor)).toBe(true);
    expect(keepsFloor({ metric, value: base, base, drop: 1.01 * drop, samples: 50, sqnrDb: 20 }, floor)).toBe(false);
  });

  it('says where a number is hardly meant in the unit of the metric', () => {
    expect(whyOddLimit(0.01, 'rmse', 310)).toMatch(
      /0\.01 is in the unit of rmse, 0\.0032 % of the 310 of .*--max-drop 1%/,
    );
    expect(whyOddLimit(0.01, 'mae', 0.02)).toMatch(/50 % of the 0\.02/);
    const meant = [
      [0.01, 'top1', 0.9],
      [0.3, 'psnr', 30],
      ['1%', 'rmse', 310],
      [usual, 'rmse', 310],
      [0, 'mae', 1],
      [1, 'mae', 0],
      [1, 'mae', Number.NaN],
    ] as const;
    for (const [limit, metric, base] of meant) expect(whyOddLimit(limit, metric, base)).toBeUndefined();
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
