import { describe, expect, it } from 'vitest';
import { auditModel } from '../../../../src/engine/audit.ts';
import { constantScalar } from '../../../../src/ir/constant.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { fused, head } from './support.ts';

const text = (opset: number): string =>
  head(
    opset,
    `g (float[1,4,8,8] x) => (float[1,8,8,8] y) <float[8,4,3,3] w = random(1), float[8] b = random(2), float[8,1,1] k = random(3)> {
      c = Conv <pads = [1,1,1,1]> (x, w, b)  r = Relu (c)  m = Mul (r, k)  y = Conv <pads = [1,1,1,1], group = 8> (m, v) }`.replace(
      'float[8,1,1] k',
      'float[8,1,3,3] v = random(4), float[8,1,1] k',
    ),
  );

const quantizers = (model: Model) => [...model.graph.nodes].filter(({ op }) => op === 'QuantizeLinear');

describe('codes of activations', () => {
  it.each([
    ['u16', 'uint16', 13, 'com.microsoft'],
    ['s16', 'int16', 13, 'com.microsoft'],
    ['u16', 'uint16', 21, ''],
  ] as const)(
    '%s at opset %#: in the domain that has 16 bits, and much closer',
    async (activations, dtype, opset, domain) => {
      const { after, problems, unfusedDb, db } = await fused(text(opset), { activations });
      expect(problems).toEqual([]);
      expect(new Set(quantizers(after).map((node) => `${node.domain}:${node.output().dtype}`))).toEqual(
        new Set([`${domain}:${dtype}`]),
      );
      // What is left is the rounding of the weights.
      const { unfusedDb: eight } = await fused(text(opset), { activations: 'u8' });
      expect(unfusedDb).toBeGreaterThan(eight + 2);
      expect(Math.abs(db - unfusedDb)).toBeLessThan(1);
    },
  );

  it('symmetric: the zero point is in the middle everywhere', async () => {
    for (const [options, middle] of [
      [{ symmetric: true }, 128],
      [{ symmetric: true, activations: 's8' }, 0],
      [{ engine: 'tensorrt' }, 0],
    ] as const) {
      const { after, unfusedDb } = await fused(text(13), options);
      expect(quantizers(after).map((node) => constantScalar(node.input(2)))).toEqual(
        quantizers(after).map(() => middle),
      );
      expect(unfusedDb).toBeGreaterThan(24);
    }
  });

  it('takes signed codes for ARM and for engines that ask for them', async () => {
    const typeFor = async (options: Parameters<typeof fused>[1]) =>
      quantizers((await fused(text(13), options)).after)[0]?.output().dtype;
    expect(await typeFor({ cpu: 'arm-dot' })).toBe('int8');
    expect(await typeFor({ engine: 'qnn' })).toBe('int8');
    expect(await typeFor({ cpu: 'vnni' })).toBe('uint8');
    expect(await typeFor({ cpu: 'arm', activations: 'u8' })).toBe('uint8');
    // On x64 the runtime turns signed codes of activations into unsigned ones unless told that the processor likes them.
    const { after } = await fused(text(13), { cpu: 'arm-dot' });
    expect(await auditModel(after, { extra: { 'session.qdqisint8allowed': '1' } })).toMatchObject({
      fusedOps: { QLinearConv: 2, QLinearMul: 1 },
      leftoverQdq: 0,
    });
  });
});
