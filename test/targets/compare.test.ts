import { describe, expect, it } from 'vitest';
import { compareElements, elementsOf } from '../../src/target/compare.ts';
import { packStrings, unpackStrings } from '../../src/target/golden.ts';
import { carriedByJson } from '../../src/target/number-bytes.ts';
import type { LoadedCase } from '../../src/target/replay.ts';
import { goldenTolerance, roundingTolerance, widest } from '../../src/target/tolerance.ts';

const exact = { rtol: 0, atol: 0 };

describe('comparison of outputs', () => {
  it('holds every element to atol + rtol · max|expected|', () => {
    const tolerance = { rtol: 0.1, atol: 0.5 };
    expect(compareElements([-10, 1.5], [-10, 0], tolerance)).toMatchObject({ ok: true, maxAbs: 1.5 });
    const bad = compareElements([10, 11.75, 0], [10, 10, 9], tolerance);
    expect(bad.ok).toBe(false);
    expect(bad.maxAbs).toBe(9);
    expect(bad.why).toBe('has 11.75 at element 1 instead of 10');
    expect(compareElements([0.5, Infinity], [0, Infinity], tolerance).ok).toBe(true);
    expect(compareElements([0.75, Infinity], [0, Infinity], tolerance).ok).toBe(false);
  });

  it('knows NaN and infinities', () => {
    expect(compareElements([Number.NaN, Infinity], [Number.NaN, Infinity], exact).ok).toBe(true);
    expect(compareElements([1], [Number.NaN], { rtol: 1, atol: 1e9 }).ok).toBe(false);
    expect(compareElements([Number.NaN], [1], { rtol: 1, atol: 1e9 }).ok).toBe(false);
    expect(compareElements([Infinity], [-Infinity], { rtol: 1, atol: 1 }).ok).toBe(false);
    expect(compareElements([Infinity], [1], { rtol: 1, atol: 1 }).ok).toBe(false);
    expect(compareElements([1], [Infinity], { rtol: 1, atol: 1 }).ok).toBe(false);
  });

  it('compares 64-bit whole numbers exactly', () => {
    const a = BigInt64Array.of(2n ** 62n + 1n);
    const b = BigInt64Array.of(2n ** 62n);
    expect(compareElements(a, b, exact)).toMatchObject({ ok: false, maxAbs: 1 });
    expect(compareElements(a, b, { rtol: 0, atol: 1 }).ok).toBe(true);
  });

  it('wants strings and lengths equal', () => {
    expect(compareElements(['a'], ['a'], exact).ok).toBe(true);
    expect(compareElements(['a'], ['b'], { rtol: 9, atol: 9 }).ok).toBe(false);
    expect(compareElements(['1', '0'], ['1.0', ''], exact).why).toBe('has 1 at element 0 instead of 1.0');
    expect(compareElements([1], [1, 2], exact).why).toBe('has 1 elements instead of 2');
  });

  it('reads halves as numbers and bytes at any offset', () => {
    const bytes = new Uint8Array([9, 0x00, 0x3c, 0x00, 0xc0]).subarray(1);
    expect([...(elementsOf('float16', bytes) as Float32Array)]).toEqual([1, -2]);
    expect(elementsOf('int4', bytes)).toBeUndefined();
  });

  it('packs strings and reads them back', () => {
    const values = ['', 'größe', '日本\u0000語'];
    expect(unpackStrings(packStrings(values))).toEqual(values);
    expect(() => unpackStrings(packStrings(['abc']).subarray(0, 6))).toThrow(RangeError);
  });

  it('says which cases JSON cannot carry, so that none is passed over in silence', () => {
    const tensor = (value: number) => ({
      ...{ name: 'x', dtype: 'float32', shape: [1], file: 'golden/0/input-0.bin' },
      bytes: new Uint8Array(Float32Array.of(value).buffer),
    });
    const one = (value: number): LoadedCase => ({ inputs: [tensor(1)], outputs: [tensor(value)], tolerance: exact });
    const notes: string[] = [];
    expect(carriedByJson([one(1), one(Number.NaN)], notes)).toEqual([one(1)]);
    expect(notes).toEqual([expect.stringMatching(/^1 of 2 golden cases were not replayed: they hold NaN/)]);
    expect(carriedByJson([one(1)], notes)).toHaveLength(1);
    expect(notes).toHaveLength(1);
  });

  it('allows a quantized model what runtimes differ by, and a float model little', () => {
    expect(goldenTolerance({ Conv: 1 })).toEqual({ rtol: 1e-4, atol: 1e-6 });
    expect(goldenTolerance({ Conv: 1 }, { float16: 10 })).toEqual({ rtol: 1e-2, atol: 1e-6 });
    expect(goldenTolerance({ 'com.microsoft:MatMulNBits': 1 })).toEqual({ rtol: 2e-2, atol: 1e-6 });
    expect(goldenTolerance({ QuantizeLinear: 1 })).toEqual({ rtol: 1e-1, atol: 1e-6 });
    expect(goldenTolerance({ DequantizeLinear: 1 })).toEqual({ rtol: 1e-4, atol: 1e-6 });
    expect(goldenTolerance({ DequantizeLinear: 1 }, { int4: 9 })).toEqual({ rtol: 2e-2, atol: 1e-6 });
    expect(roundingTolerance(0.1234)).toEqual({ rtol: 1e-4, atol: 0.13 });
    expect(roundingTolerance(0)).toEqual({ rtol: 1e-4, atol: 1e-6 });
    expect(
      widest([
        { rtol: 1e-4, atol: 1 },
        { rtol: 2e-2, atol: 0 },
      ]),
    ).toEqual({ rtol: 2e-2, atol: 1 });
  });
});
