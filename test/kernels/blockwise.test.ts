import { describe, expect, it } from 'vitest';
import type { BlockFormat } from '../../src/kernels/block-fit.ts';
import { dequantizeBlocks, quantizeBlocks } from '../../src/kernels/blockwise.ts';
import { packCodes, unpackCodes } from '../../src/kernels/pack.ts';
import { transpose } from '../../src/kernels/quantize.ts';

const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * Math.cos(i * 0.731));

describe('packing', () => {
  it('puts the first code into the low bits: all pairs of 4-bit codes', () => {
    for (let a = 0; a < 16; a++) {
      for (let b = 0; b < 16; b++) {
        const packed = packCodes(Uint8Array.of(a, b), 4);
        expect(packed).toEqual(Uint8Array.of(a | (b << 4)));
        expect(unpackCodes(packed, 4, 2)).toEqual(Uint8Array.of(a, b));
      }
    }
  });
  it('packs 2 and 8 bits, signed codes, and pads the last byte with zeros', () => {
    expect(packCodes(Uint8Array.of(1, 2, 3, 0, 2), 2)).toEqual(Uint8Array.of(0b00111001, 0b10));
    expect(packCodes(Uint8Array.of(7, 255), 8)).toEqual(Uint8Array.of(7, 255));
    expect(packCodes(Uint8Array.of(0xff, 0xf8, 1), 4)).toEqual(Uint8Array.of(0x8f, 0x01));
    expect(unpackCodes(Uint8Array.of(0x8f, 0x01), 4, 3)).toEqual(Uint8Array.of(15, 8, 1));
  });
});

describe('quantizeBlocks', () => {
  const base: BlockFormat = { bits: 4, block: 16, symmetric: true, scaleType: 'float32' };

  it('puts the value of largest magnitude on code 0, with a signed scale', () => {
    const data = new Float32Array(32);
    data.set([0.1, -1.6, 0.8], 0);
    data.set([0.1, 1.6, -0.8], 16);
    const q = quantizeBlocks({ data, k: 32, n: 1, rows: 'n' }, base);
    expect(q.scales).toEqual(Float32Array.of(Math.fround(1.6) / 8, -Math.fround(1.6) / 8));
    const codes = unpackCodes(q.codes, 4, 32);
    expect(Array.from(codes.subarray(0, 4))).toEqual([8 + 0, 0, 12, 8]); // 0.1/0.2 = 0.5 rounds to even: 0
    expect(Array.from(codes.subarray(16, 20))).toEqual([8 - 0, 0, 12, 8]);
    const back = dequantizeBlocks(q, 1, 32, base);
    expect(back[1]).toBe(Math.fround(-1.6));
    expect(back[17]).toBe(Math.fround(1.6));
  });

  it('keeps one-signed groups close, since the asymmetric range is widened to zero', () => {
    const data = Float32Array.from({ length: 32 }, (_, i) => 10 + i / 31);
    const format = { ...base, block: 32, symmetric: false };
    const q = quantizeBlocks({ data, k: 32, n: 1, rows: 'n' }, format);
    expect(q.zeroPoints).toEqual(Uint8Array.of(0));
    const back = dequantizeBlocks(q, 1, 32, format);
    for (let i = 0; i < 32; i++)
      expect(Math.abs((back[i] as number) - (data[i] as number))).toBeLessThan(11 / 15 / 2 + 1e-6);
  });

  it.each([
    { bits: 4, block: 16, symmetric: true },
    { bits: 4, block: 32, symmetric: false },
    { bits: 2, block: 16, symmetric: false },
    { bits: 2, block: 16, symmetric: true },
    { bits: 8, block: 64, symmetric: false },
    { bits: 8, block: 16, symmetric: true },
  ] as const)('reads [K, N] and [N, K] alike, tails and odd block counts included: %o', (given) => {
    const format: BlockFormat = { ...given, scaleType: 'float32' };
    const [k, n] = [83, 19];
    const rows = wave(k * n);
    const q = quantizeBlocks({ data: rows, k, n, rows: 'n' }, format);
    const turned = quantizeBlocks({ data: transpose(rows, n, k), k, n, rows: 'k' }, format);
    expect(turned).toEqual(q);
    const blocks = Math.ceil(k / format.block);
    expect(q.codes.length).toBe((n * blocks * format.block * format.bits) / 8);
    expect(q.scales.length).toBe(n * blocks);
    expect(q.zeroPoints?.length).toBe(format.symmetric ? undefined : n * Math.ceil((blocks * format.bits) / 8));
    const back = dequantizeBlocks(q, n, k, format);
    let noise = 0;
    for (let i = 0; i < rows.length; i++) {
      const error = (back[i] as number) - (rows[i] as number);
      noise += error * error;
      const scale = Math.abs(q.scales[Math.floor(i / k) * blocks + Math.floor((i % k) / format.block)] as number);
      // At most half a step; a full one where the symmetric grid ends one short on the far side.
      expect(Math.abs(error)).toBeLessThanOrEqual(scale * (format.symmetric ? 1 : 0.5) * 1.0001 + 1e-7);
    }
    expect(q.noise).toBeCloseTo(noise, 5);
  });

  it('keeps zero blocks zero and rounds scales to the type they are stored in', () => {
    const zero = quantizeBlocks({ data: new Float32Array(16), k: 16, n: 1, rows: 'n' }, { ...base, symmetric: false });
    expect(zero.scales).toEqual(Float32Array.of(0));
    expect(Array.from(dequantizeBlocks(zero, 1, 16, { ...base, symmetric: false }))).toEqual(Array(16).fill(0));
    const q = quantizeBlocks({ data: wave(16), k: 16, n: 1, rows: 'n' }, { ...base, scaleType: 'float16' });
    expect(Number.isInteger(((q.scales[0] as number) * 2 ** 24) / 2)).toBe(true);
  });
});
