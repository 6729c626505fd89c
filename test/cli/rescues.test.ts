import { describe, expect, it } from 'vitest';
import { choose } from '../../src/cli/optimize/choose.ts';
import type { Measured } from '../../src/cli/optimize/measured.ts';
import { rescuesOf } from '../../src/cli/optimize/mixed.ts';
import { measured } from './measured.ts';

const floors = { maxDrop: 0.01, minSqnrDb: 30 };

/** A variant that loses so much, or that does not work. */
const variant = (name: string, drop: number, blockers: readonly string[] = []): Measured =>
  measured(name, { accuracy: { metric: 'top1', value: 0.9 - drop, base: 0.9, drop, samples: 500 }, blockers });
const mixes = (...judged: Measured[]): string[] => rescuesOf(judged, floors).map(({ variant }) => variant);

describe('which mixes are searched for', () => {
  it('none where what was built keeps the floor, or works nowhere', () => {
    expect(mixes(variant('int8-static', 0), variant('int8-wasm', 0.01), variant('int4', 0.3))).toEqual([]);
    expect(mixes(variant('int8-static', 0.1, ['does not load']), variant('fp16', 0.1))).toEqual([]);
  });

  it('each variant by the mix that runs where it does', () => {
    expect(mixes(variant('int8-static', 0.02), variant('int8-wasm', 0))).toEqual(['mixed']);
    expect(mixes(variant('int8-static', 0), variant('int8-wasm', 0.02))).toEqual(['mixed-wasm']);
    expect(mixes(variant('int8-static', 0.02), variant('int8-wasm', 0.02))).toEqual(['mixed', 'mixed-wasm']);
    expect(mixes(variant('int8', 0.02), variant('int4', 0))).toEqual(['mixed']);
  });

  it('of every default variant that can miss the floor, or says why none is', () => {
    const base = measured('base', { bytes: 1000, compressedBytes: 1000 });
    for (const name of [
      'int8',
      'int8-static',
      'int8-wasm',
      'int4',
      'q4f16',
      'uint8',
      'int4-dq',
      'pruned',
      'pruned-int8',
    ]) {
      const one = variant(name, 0.1);
      const [, judged] = choose([base, one], floors, []).variants;
      const said = judged?.reasons.filter((reason) => /^no mix is searched for it/.test(reason)) ?? [];
      expect([name, mixes(one).length + said.length]).toEqual([name, 1]);
      expect(judged?.reasons[0]).toMatch(/^top1 falls from/);
    }
  });

  it('with the reason', () => {
    expect(rescuesOf([variant('int8-wasm', 0.02)], floors)[0]?.why).toBe(
      'int8-wasm misses the floor: top1 falls from 0.9000 to 0.8800 on 500 samples, a drop of 0.0200 where 0.01 is allowed',
    );
  });
});
