import { describe, expect, it } from 'vitest';
import {
  mcNemar,
  pairedDropInterval,
  samplesNeeded,
  samplesWithoutChange,
  wilsonInterval,
} from '../../src/kernels/proportions.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

describe('mcNemar', () => {
  it('is the tail of fair coin tosses, worked by hand', () => {
    // 3 lost, 1 gained: P(X ≥ 3 of 4) = (4 + 1) / 16.
    expect(mcNemar({ lost: 3, gained: 1 }).worse).toBeCloseTo(5 / 16, 14);
    expect(mcNemar({ lost: 3, gained: 1 }).different).toBeCloseTo(10 / 16, 14);
    expect(mcNemar({ lost: 1, gained: 3 }).worse).toBeCloseTo(15 / 16, 14);
    expect(mcNemar({ lost: 1, gained: 3 }).different).toBeCloseTo(10 / 16, 14);
    expect(mcNemar({ lost: 10, gained: 0 }).worse).toBeCloseTo(2 ** -10, 16);
  });

  it('says nothing where nothing changed, and never more than 1', () => {
    expect(mcNemar({ lost: 0, gained: 0 })).toEqual({ worse: 1, different: 1 });
    expect(mcNemar({ lost: 6, gained: 6 }).different).toBe(1);
  });

  it.each([
    // scipy 1.17 binomtest(lost, lost + gained, 0.5): greater and two-sided; binom.sf for the large ones
    [18, 6, 0.011327922344207764],
    [150, 100, 0.0009416504675380801],
    [5100, 4900, 0.023292763852473225],
  ])('agrees with SciPy: %i lost, %i gained', (lost, gained, worse) => {
    expect(mcNemar({ lost, gained }).worse / worse).toBeCloseTo(1, 9);
    expect(mcNemar({ lost, gained }).different / (2 * worse)).toBeCloseTo(1, 9);
  });

  it('holds for a million pairs', () => {
    expect(mcNemar({ lost: 500_000, gained: 500_000 }).worse).toBeCloseTo(0.5 + 0.000398942, 7);
  });
});

describe('wilsonInterval', () => {
  it('agrees with SciPy (binomtest.proportion_ci, wilson)', () => {
    const [low, high] = wilsonInterval(81, 263);
    expect(low).toBeCloseTo(0.2552885198782742, 12);
    expect(high).toBeCloseTo(0.36620957698280004, 12);
    expect(wilsonInterval(0, 20)[0]).toBe(0);
    expect(wilsonInterval(0, 20)[1]).toBeCloseTo(0.16112515805281935, 12);
    expect(wilsonInterval(20, 20)[0]).toBeCloseTo(1 - 0.16112515805281935, 12);
    expect(wilsonInterval(20, 20)[1]).toBe(1);
    expect(wilsonInterval(0, 0)).toEqual([0, 1]);
  });
});

describe('pairedDropInterval', () => {
  it.each([
    // Likelihood maximised and score equation solved numerically with SciPy; (1, 0, 44) is Tango's own example.
    [0, 0, 20, -0.16112515805302352, 0.16112515805302352],
    [1, 0, 44, -0.05939323113429021, 0.11807709698227402],
    [12, 4, 100, 0.001782775105833051, 0.1655881479799176],
    [250, 150, 10_000, 0.006110423492543874, 0.013973455702209186],
    [7, 9, 53, -0.1908189529596317, 0.11566929482803065],
    [5, 0, 500, 0.0022994161494867245, 0.023193099756151633],
  ])('agrees with an independent solution: %i lost, %i gained of %i', (lost, gained, n, low, high) => {
    const interval = pairedDropInterval({ lost, gained }, n);
    expect(interval[0]).toBeCloseTo(low, 8);
    expect(interval[1]).toBeCloseTo(high, 8);
  });

  it('mirrors itself, holds the drop, and keeps to −1…1', () => {
    for (const [lost, gained, n] of [
      [3, 1, 7],
      [0, 5, 5],
      [5, 0, 5],
      [40, 60, 1000],
    ] as const) {
      const [low, high] = pairedDropInterval({ lost, gained }, n);
      const mirrored = pairedDropInterval({ lost: gained, gained: lost }, n);
      expect(mirrored[0]).toBeCloseTo(-high, 10);
      expect(mirrored[1]).toBeCloseTo(-low, 10);
      expect(low).toBeLessThanOrEqual((lost - gained) / n);
      expect(high).toBeGreaterThanOrEqual((lost - gained) / n);
      expect(low).toBeGreaterThanOrEqual(-1);
      expect(high).toBeLessThanOrEqual(1);
    }
    expect(pairedDropInterval({ lost: 0, gained: 0 }, 0)).toEqual([-1, 1]);
  });

  it('covers the true drop in about 95 of 100 sets, small ones too', () => {
    for (const [n, pLost, pGained] of [
      [60, 0.06, 0.03],
      [500, 0.02, 0.02],
      [2000, 0.03, 0.01],
    ] as const) {
      const random = randomNumbers(n);
      let covered = 0;
      for (let trial = 0; trial < 2000; trial++) {
        let [lost, gained] = [0, 0];
        for (let sample = 0; sample < n; sample++) {
          const u = random();
          if (u < pLost) lost++;
          else if (u < pLost + pGained) gained++;
        }
        const [low, high] = pairedDropInterval({ lost, gained }, n);
        if (low <= pLost - pGained && pLost - pGained <= high) covered++;
      }
      expect(covered / 2000).toBeGreaterThan(0.93);
      expect(covered / 2000).toBeLessThan(0.975);
    }
  });
});

describe('samplesNeeded', () => {
  it('is 7.85·p/δ²: about 7,900 for one point at 10 % discordant samples', () => {
    expect(samplesNeeded(0.1, 0.01)).toBe(7849);
    expect(samplesNeeded(0.1, 0.02)).toBe(1963);
  });

  it('where nothing changes, it takes as many as make the interval that narrow', () => {
    const n = samplesWithoutChange(0.01);
    expect(n).toBe(381);
    expect(pairedDropInterval({ lost: 0, gained: 0 }, n)[1]).toBeLessThanOrEqual(0.01);
    expect(pairedDropInterval({ lost: 0, gained: 0 }, n - 1)[1]).toBeGreaterThan(0.01);
  });

  it('gives the power that it promises', () => {
    const [pLost, pGained] = [0.07, 0.05];
    const n = samplesNeeded(pLost + pGained, pLost - pGained);
    const random = randomNumbers(3);
    let found = 0;
    for (let trial = 0; trial < 1000; trial++) {
      let [lost, gained] = [0, 0];
      for (let sample = 0; sample < n; sample++) {
        const u = random();
        if (u < pLost) lost++;
        else if (u < pLost + pGained) gained++;
      }
      if (pairedDropInterval({ lost, gained }, n)[0] > 0) found++;
    }
    expect(found / 1000).toBeGreaterThan(0.77);
    expect(found / 1000).toBeLessThan(0.84);
  });
});
