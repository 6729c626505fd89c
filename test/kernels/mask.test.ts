import { describe, expect, it } from 'vitest';
import { countZeros, dropBelow, dropGroups, isNofM, keepNofM, magnitudeCut, smallest } from '../../src/kernels/mask.ts';

const noise = (length: number, seed: number): Float32Array => {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 10 ** ((state % 7) - 3);
  });
};

describe('magnitudeCut', () => {
  it.each([0, 1, 500, 999, 1000])('drops exactly %i of 1000, the smallest ones', (count) => {
    const data = noise(1000, count + 1);
    const { data: pruned, ties } = dropBelow(data, magnitudeCut([() => data], count));
    expect(ties).toBe(0);
    expect(countZeros(pruned)).toBe(count);
    const sorted = Array.from(data, Math.abs).sort((a, b) => a - b);
    for (let i = 0; i < data.length; i++) {
      if (pruned[i] === 0) expect(Math.abs(data[i] as number)).toBeLessThanOrEqual(sorted[count - 1] as number);
      else {
        expect(pruned[i]).toBe(data[i]);
        expect(Math.abs(data[i] as number)).toBeGreaterThanOrEqual(sorted[count] as number);
      }
    }
  });

  it('takes the first of equal magnitudes, over several tensors in order', () => {
    const a = Float32Array.of(1, -1, 2, 1);
    const b = Float32Array.of(-1, 1, 0.5);
    const cut = magnitudeCut([() => a, () => b], 4);
    const first = dropBelow(a, cut);
    expect(first).toEqual({ data: Float32Array.of(0, 0, 2, 0), ties: 0 });
    expect(dropBelow(b, { ...cut, ties: first.ties }).data).toEqual(Float32Array.of(-1, 1, 0));
  });

  it('changes nothing the second time, and leaves the source alone', () => {
    const data = noise(300, 5);
    const copy = data.slice();
    const once = dropBelow(data, magnitudeCut([() => data], 150)).data;
    expect(data).toEqual(copy);
    expect(dropBelow(once, magnitudeCut([() => once], 150)).data).toEqual(once);
  });

  it('never drops NaN or infinity before a number', () => {
    const data = Float32Array.of(NaN, Infinity, 3e38, -1);
    expect(dropBelow(data, magnitudeCut([() => data], 2)).data).toEqual(Float32Array.of(NaN, Infinity, 0, 0));
    expect(() => magnitudeCut([() => data], 5)).toThrow(RangeError);
  });
});

describe('keepNofM', () => {
  it('keeps the two largest of four along the axis, ties to the first, tail whole', () => {
    const row = Float32Array.of(1, -3, 2, 0.5, 1, 1, 1, 1, 9);
    expect(Array.from(keepNofM(row, { outer: 1, length: 9, inner: 1 }, 2, 4))).toEqual([0, -3, 2, 0, 1, 1, 0, 0, 9]);
    const columns = Float32Array.of(1, 8, -3, 7, 2, 6, 0.5, 5);
    expect(Array.from(keepNofM(columns, { outer: 1, length: 4, inner: 2 }, 2, 4))).toEqual([0, 8, -3, 7, 2, 0, 0, 0]);
  });
  it('holds the pattern everywhere and never keeps a smaller weight than it drops', () => {
    const data = noise(4 * 6 * 5 * 3, 3);
    const pruned = keepNofM(data, { outer: 4, length: 30, inner: 3 }, 1, 5);
    expect(countZeros(pruned)).toBe((data.length * 4) / 5);
    expect(keepNofM(pruned, { outer: 4, length: 30, inner: 3 }, 1, 5)).toEqual(pruned);
  });
});

describe('patterns', () => {
  it('drop whole groups of neighbours, the weakest first, a short one at the end among them', () => {
    // [outer 2, length 5, inner 1] in groups of two: {1,1} {9,0} {2} | {3,3} {0.1,0.1} {8}
    const data = Float32Array.of(1, 1, 9, 0, 2, 3, 3, 0.1, 0.1, 8);
    const view = { outer: 2, length: 5, inner: 1 };
    expect(Array.from(dropGroups(data, view, 2, 2))).toEqual([0, 0, 9, 0, 2, 3, 3, 0, 0, 8]);
    expect(Array.from(dropGroups(data, view, 2, 3))).toEqual([0, 0, 9, 0, 0, 3, 3, 0, 0, 8]);
    expect(
      Array.from(
        dropGroups(
          data,
          view,
          2,
          1,
          data.map((x) => 10 - x),
        ),
      ),
    ).toEqual([1, 1, 9, 0, 2, 3, 3, Math.fround(0.1), Math.fround(0.1), 0]);
  });

  it('run along the middle axis, and are recognized', () => {
    const view = { outer: 1, length: 8, inner: 3 };
    const data = noise(24, 5);
    expect(isNofM(data, view, 2, 4)).toBe(false);
    expect(isNofM(keepNofM(data, view, 2, 4), view, 2, 4)).toBe(true);
    expect(isNofM(keepNofM(data, view, 2, 4), { outer: 3, length: 8, inner: 1 }, 2, 4)).toBe(false);
    expect(isNofM(keepNofM(data, view, 4, 8), view, 4, 8)).toBe(true);
  });

  it('mark exactly as many as asked, of equal ones the first', () => {
    expect(Array.from(smallest(Float32Array.of(1, 2, 1, 1, 0), 3))).toEqual([1, 0, 1, 0, 1]);
    expect(Array.from(smallest(Float32Array.of(1, 2), 0))).toEqual([0, 0]);
  });
});
