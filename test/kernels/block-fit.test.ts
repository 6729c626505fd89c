import { describe, expect, it } from 'vitest';
import {
  type BlockFormat,
  clipFit,
  clipRatios,
  codeOf,
  hqqFit,
  kquantFit,
  rangeFit,
} from '../../src/kernels/block-fit.ts';
import { dequantizeBlocks, quantizeBlocks } from '../../src/kernels/blockwise.ts';
import { gridError } from '../../src/kernels/grid-search.ts';
import { normals } from '../support/synthetic-layer.ts';

const symmetric: BlockFormat = { bits: 4, block: 32, symmetric: true, scaleType: 'float32' };
const asymmetric: BlockFormat = { ...symmetric, symmetric: false };
const real: BlockFormat = { ...asymmetric, floatZeros: true };

function blocksOf(count: number, length = 32): Float64Array[] {
  const normal = normals(11);
  return Array.from({ length: count }, (_, b) =>
    Float64Array.from({ length }, () => Math.fround(0.1 * normal() + (b % 3) * 0.05)),
  );
}

const total = (
  blocks: readonly Float64Array[],
  format: BlockFormat,
  fit: (x: Float64Array) => ReturnType<ReturnType<typeof rangeFit>>,
) => blocks.reduce((sum, x) => sum + gridError(x, undefined, fit(x), 2 ** format.bits), 0);

describe('codes', () => {
  it('round ties to even before the zero point is added, and stay in range', () => {
    const grid = { scale: 1, zero: 3 };
    expect([0.5, 1.5, -0.5, -9, 99].map((x) => codeOf(x, grid, 16))).toEqual([3, 5, 3, 0, 15]);
    expect(codeOf(0.2, { scale: 1, zero: 3.4 }, 16)).toBe(4);
    expect(codeOf(5, { scale: 0, zero: 8 }, 16)).toBe(8);
    expect(codeOf(1.6, { scale: -0.2, zero: 8 }, 16)).toBe(0);
  });
});

describe('clip search', () => {
  it.each([symmetric, asymmetric])('takes the ratio with the smallest error: %o', (format) => {
    for (const x of blocksOf(20)) {
      const error = gridError(x, undefined, clipFit(format)(x, undefined), 16);
      for (const ratio of clipRatios) {
        const shrunk = rangeFit(format)(
          x.map((value) => value * ratio),
          undefined,
        );
        expect(error).toBeLessThanOrEqual(gridError(x, undefined, shrunk, 16) + 1e-12);
      }
    }
  });

  it('gives up the outlier that does not count', () => {
    const x = Float64Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0.7 * Math.abs(Math.sin(i))));
    const importance = new Float64Array(32).fill(1);
    const kept = clipFit(asymmetric)(
      x,
      importance.map((_, i) => (i === 0 ? 1000 : 1)),
    );
    const given = clipFit(asymmetric)(
      x,
      importance.map((_, i) => (i === 0 ? 0 : 1)),
    );
    expect(given.scale).toBeLessThan(kept.scale);
  });
});

describe('k-quant', () => {
  it.each([
    [10, 11],
    [0.5, 1],
    [-11, -10],
    [3, 3],
  ])('does not collapse on groups of one sign: %d … %d', (low, high) => {
    const x = Float64Array.from({ length: 32 }, (_, i) => Math.fround(low + ((high - low) * i) / 31));
    const { scale, zero } = kquantFit(asymmetric)(x, undefined);
    expect(zero === 0 || zero === 15).toBe(true);
    for (const value of x) {
      const back = (codeOf(value, { scale, zero }, 16) - zero) * scale;
      expect(Math.abs(back - value) / Math.abs(value)).toBeLessThan(0.05);
    }
  });

  it.each([symmetric, asymmetric])('is closer than plain rounding: %o', (format) => {
    const blocks = blocksOf(60);
    const plain = total(blocks, format, (x) => rangeFit(format)(x, undefined));
    expect(total(blocks, format, (x) => kquantFit(format)(x, undefined))).toBeLessThan(0.95 * plain);
  });
});

describe('HQQ', () => {
  it('moves real zero points to 0.3 dB below the error of asymmetric rounding, and more', () => {
    const blocks = blocksOf(60);
    const plain = total(blocks, asymmetric, (x) => rangeFit(asymmetric)(x, undefined));
    const moved = total(blocks, real, (x) => hqqFit(real)(x, undefined));
    expect(10 * Math.log10(plain / moved)).toBeGreaterThan(0.3);
    expect(Number.isInteger(hqqFit(real)(blocks[0] as Float64Array, undefined).zero)).toBe(false);
  });

  it('spans one-signed groups by their own range, and constant ones somehow', () => {
    const x = Float64Array.from({ length: 32 }, (_, i) => Math.fround(10 + i / 31));
    const grid = hqqFit(real)(x, undefined);
    expect(grid.scale).toBeLessThan(0.1);
    expect(gridError(x, undefined, grid, 16) / 32).toBeLessThan(1e-3);
    const constant = new Float64Array(32).fill(3);
    expect(gridError(constant, undefined, hqqFit(real)(constant, undefined), 16)).toBeLessThan(1e-9);
  });
});

describe.each(Object.entries({ rangeFit, clipFit, kquantFit, hqqFit }))('%s', (name, fit) => {
  const formats = name === 'hqqFit' ? [real] : [symmetric, asymmetric];
  it('takes zeros, a single weight, tiny and huge numbers, and half scales', () => {
    for (const given of formats) {
      for (const scaleType of ['float32', 'float16'] as const) {
        const format = { ...given, scaleType };
        for (const size of [0, 1e-30, 1e-7, 1, 3e4]) {
          for (const block of [
            new Float64Array(32).fill(size),
            Float64Array.of(size),
            Float64Array.from(blocksOf(1)[0] as Float64Array, (x) => x * size),
          ]) {
            const data = Float32Array.from(block);
            const weights = { data, k: data.length, n: 1, rows: 'n' } as const;
            const q = quantizeBlocks(weights, format, fit(format));
            const back = dequantizeBlocks(q, 1, data.length, format);
            expect(back.every(Number.isFinite)).toBe(true);
            const extreme = Math.max(...data.map(Math.abs));
            const coarse = scaleType === 'float16' && size < 1e-3;
            for (const [i, x] of data.entries())
              expect(Math.abs((back[i] as number) - x)).toBeLessThanOrEqual(coarse ? 1e-6 : 0.35 * extreme);
          }
        }
      }
    }
  });
});
