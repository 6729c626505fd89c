import { describe, expect, it } from 'vitest';
import { presets } from '../../passes/presets.ts';
import { choose } from '../../src/cli/optimize/choose.ts';
import type { Measured } from '../../src/cli/optimize/measured.ts';
import { rescuesOf } from '../../src/cli/optimize/mixed.ts';
import { planVariants } from '../../src/cli/optimize/variants.ts';
import { measured } from './measured.ts';

const floors = { maxDrop: 0.01, minSqnrDb: 30 };

/** A variant that loses so much, or that does not work. */
const variant = (name: string, drop: number, blockers: readonly string[] = []): Measured =>
  measured(name, { accuracy: { metric: 'top1', value: 0.9 - drop, base: 0.9, drop, samples: 500 }, blockers });
const mixes = (...judged: Measured[]): string[] => rescuesOf(judged, floors).map(({ variant }) => variant);

/** As if every step had changed something. */
const stepsOf = (name: string): Measured['steps'] =>
  (presets[name] ?? []).map(({ pass }) => {
    const counts = { nodesBefore: 1, nodesAfter: 1, ms: 1 };
    return { pass: pass.id, options: {}, changed: true, applied: {}, skipped: [], ...counts };
  });
const reasonsOf = (name: string, ...judged: readonly Measured[]): readonly string[] =>
  choose([measured('base'), ...judged], floors, []).variants.find((one) => one.name === name)?.reasons ?? [];

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
    expect(mixes(variant('int8-static', 0), variant('uint8', 0.02))).toEqual(['mixed-wasm']);
    expect(mixes(variant('int8-wasm', 0), variant('uint8', 0.02))).toEqual([]);
    expect(mixes(variant('int8-static', 0), variant('int4-dq', 0.02))).toEqual(['mixed-dq']);
  });

  it('of a pruned model where that keeps the floor and its integers do not', () => {
    const pruned = (drop: number) => [variant('int8-static', 0), variant('pruned', drop), variant('pruned-int8', 0.02)];
    expect(mixes(...pruned(0.008))).toEqual(['pruned-mixed']);
    expect(mixes(...pruned(0.011))).toEqual([]);
    expect(reasonsOf('pruned-int8', ...pruned(0.011)).at(-1)).toBe(
      'no mix is searched for it: pruned, which that would go on from, misses the floor itself',
    );
  });

  it('each of them a variant that can be asked for by its name', () => {
    const missed = ['int8-static', 'int8-wasm', 'int4-dq', 'pruned-int8'].map((name) => variant(name, 0.1));
    const plans = planVariants(mixes(...missed), new Map());
    expect(plans.map(({ name }) => name)).toEqual(['base', 'mixed', 'mixed-wasm', 'mixed-dq', 'pruned-mixed']);
    expect(plans.slice(1).every(({ steps }) => steps.at(-1)?.pass.id === 'mixed-precision')).toBe(true);
    // A mix goes on from what the variant rounds, and nothing else.
    const ids = (name: string): string[] => (presets[name] ?? []).map(({ pass }) => pass.id);
    const rounded = ids('pruned-int8').indexOf('quantize-static');
    expect(ids('pruned-mixed').slice(0, -1)).toEqual(ids('pruned-int8').slice(0, rounded));
  });

  it('not where variants are named, which their reasons say', () => {
    expect(reasonsOf('int4-dq', variant('int4-dq', 0.02)).at(-1)).toBe(
      'no mix is searched for it where variants are named: --variant mixed-dq is that search',
    );
    expect(reasonsOf('int4-dq', variant('int4-dq', 0.02), variant('mixed-dq', 0))).toHaveLength(1);
    expect(reasonsOf('uint8', variant('uint8', 0.02), variant('int8-wasm', 0)).at(-1)).toMatch(
      /^no mix is searched for it: int8-wasm keeps the floor/,
    );
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
      const one = { ...variant(name, 0.1), steps: stepsOf(name) };
      const [, judged] = choose([base, one], floors, []).variants;
      const said = judged?.reasons.filter((reason) => /^no mix is searched for it:/.test(reason)) ?? [];
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
