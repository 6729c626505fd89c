import { describe, expect, it } from 'vitest';
import { searchOrder } from '../../src/kernels/permute.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

describe('the order of columns for N of M', () => {
  it('brings strong columns into groups with weak ones', () => {
    // Four strong columns stand together, and two of them would go in every row.
    const row = [9, 9, 9, 9, 1, 1, 1, 1];
    const weights = Float32Array.from([...row, ...row, ...row]);
    const { order, before, after } = searchOrder(weights, 8, 2, 4, 1e5, randomNumbers(1));
    expect(before).toBe(3 * 20);
    expect(after).toBe(3 * 36);
    expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    for (const g of [0, 4]) expect([...order.subarray(g, g + 4)].filter((c) => c < 4)).toHaveLength(2);
  });

  it('never keeps less, leaves an incomplete group alone, and is the same for the same seed', () => {
    const next = randomNumbers(3);
    const weights = Float32Array.from({ length: 6 * 18 }, () => next());
    const one = searchOrder(weights, 18, 2, 4, 2e5, randomNumbers(5));
    expect(one.after).toBeGreaterThan(one.before);
    expect([...one.order.subarray(16)]).toEqual([16, 17]);
    expect(searchOrder(weights, 18, 2, 4, 2e5, randomNumbers(5)).order).toEqual(one.order);
    expect(searchOrder(weights.subarray(0, 24), 4, 2, 4, 1e5, randomNumbers(5)).order).toEqual(
      Int32Array.of(0, 1, 2, 3),
    );
  });
});
